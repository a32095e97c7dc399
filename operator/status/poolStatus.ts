/**
 * IpPool: World and plan → status, which is also the memory of ramps and of the ledger. Writes nothing new
 * while nothing changes.
 */
import type { IpPoolStatus } from "../../crds/ipPool.ts";
import { recordStatus, poolRecords } from "../plan/dnsRecords.ts";
import { poolAssignment } from "../plan/sources.ts";
import { dnsQuestion, type Plan, type PoolWorld } from "../world.ts";
import { addDays, utcDay } from "../warmup/days.ts";
import { worstRating } from "../warmup/health.ts";
import { podHoldings } from "../warmup/podReports.ts";
import { rampOf } from "../warmup/profile.ts";
import { type AddressStatus, dayCaps } from "../warmup/rows.ts";
import { nextShares } from "../warmup/shares.ts";
import { addressStatus, type History, type PoolRecord, withDecisions, withUse } from "./poolAddress.ts";
import { knownAddresses, podAddresses, silentPods } from "./podAddresses.ts";
import { poolFindings } from "./poolConditions.ts";
import { calmFigures } from "./poolFigures.ts";
import { setConditions } from "./setCondition.ts";

/** Bound of the list in the API. */
const MOST_ADDRESSES = 64;
/** How long a removed address may come back and go on where it was; receivers forget about as fast. */
const REMEMBERED_DAYS = 30;
const REMOVED = "Removed from spec.addresses.";

export function poolStatus(world: PoolWorld, plan: Plan): IpPoolStatus {
  const { pool, now } = world;
  const before = pool.status;
  const ramp = rampOf(pool.spec.warmup);
  const records = recordsOf(world);
  const relays = world.relays.map(({ relay }) => relay);
  const known = podAddresses(world);
  const assignment = poolAssignment(
    pool,
    { allPools: world.allPools, poolRelays: relays },
    knownAddresses(known),
    silentPods(world, known),
  );
  let history: History = before?.history ?? [];
  const present = pool.spec.addresses.map((spec) => {
    const wanted = assignment.get(spec.name) ?? new Map<string, number>();
    const { status, decisions } = addressStatus({ world, spec, ramp, records, wanted });
    history = withDecisions(history, spec.name, decisions, now);
    return status;
  });
  const removed = removedAddresses(world, history);
  history = removed.history;
  const { addresses, figuresAt } = calmFigures(
    before,
    [...present, ...removed.addresses],
    now,
    world.environment.figuresSeconds,
  );
  const shown = addresses.slice(0, MOST_ADDRESSES);
  const current = shown.slice(0, present.length);
  return {
    observedGeneration: pool.metadata.generation,
    conditions: setConditions(
      before?.conditions,
      poolFindings(world, plan, current, records, known),
      pool.metadata.generation,
      now,
    ),
    ready: `${current.filter(maySend).length}/${current.length}`,
    warming: warmingText(current),
    ...todayText(current),
    reputation: worstRating(current.map(({ reputation }) => reputation?.rating ?? "Unknown")),
    addresses: shown,
    ...(known.length === 0 ? {} : { podAddresses: [...known] }),
    ...(figuresAt === undefined ? {} : { figuresAt }),
    records: [...records],
    history,
  };
}

export function maySend({ state }: AddressStatus): boolean {
  return state === "Warming" || state === "Warm";
}

function recordsOf(world: PoolWorld): readonly PoolRecord[] {
  const { pool } = world;
  if (pool.spec.checks.forwardConfirmedReverseDns === "Skip") return [];
  const previous = (pool.status?.records ?? []).map((record) => ({
    ...record,
    purpose: purposeOf(record.type),
  }));
  return poolRecords(pool).map((expected) => {
    const {
      name,
      expected: value,
      seen,
      state,
    } = recordStatus(expected, world.dns?.get(dnsQuestion(expected)), previous, { addresses: [] });
    return {
      name,
      type: expected.type === "TXT" ? "A" : expected.type,
      expected: value,
      seen: seen.map((one) => one.slice(0, 253)),
      state,
    };
  });
}

/** A pool's records do not say their purpose: the type does. */
function purposeOf(type: PoolRecord["type"]): string {
  return type === "PTR" ? "Reverse" : "Forward";
}

/**
 * Addresses that left the spec: kept while pods may still send from them, and for a while after, so that one
 * that comes back goes on where it was.
 */
function removedAddresses(
  world: PoolWorld,
  history: History,
): { readonly addresses: readonly AddressStatus[]; readonly history: History } {
  const { pool, now } = world;
  const names = new Set(pool.spec.addresses.map(({ name }) => name));
  const ramp = rampOf(pool.spec.warmup);
  let next = history;
  const addresses = (pool.status?.addresses ?? []).flatMap((address): AddressStatus[] => {
    if (names.has(address.name)) return [];
    // Of those that left the spec only the ledger says whose they are.
    const { shares: former = [], pods: _pods, ...rest } = address;
    const isNew = address.state !== "Paused" || !saysRemoved(next, address.name);
    if (isNew) next = withDecisions(next, address.name, [{ decision: "Paused", reason: REMOVED }], now);
    const caps = address.warmup === undefined || ramp === null ? [] : dayCaps(address.warmup, ramp);
    const holdings = podHoldings(world, { address: address.name, wanted: new Map(), caps, ledger: former });
    const shares = withUse(world, address.name, nextShares(former, holdings, now));
    const removedOn = next.find((entry) => entry.address === address.name)?.at;
    const remembered =
      removedOn !== undefined &&
      saysRemoved(next, address.name) &&
      utcDay(now) <= addDays(removedOn.slice(0, 10), REMEMBERED_DAYS);
    if (shares.length === 0 && !remembered) return [];
    return [{ ...rest, state: "Paused", ...(shares.length === 0 ? {} : { shares: [...shares] }) }];
  });
  return { addresses, history: next };
}

function saysRemoved(history: History, address: string): boolean {
  return history.find((entry) => entry.address === address)?.reason === REMOVED;
}

/** "day 9/14" of the least advanced one, or "warm". */
function warmingText(addresses: readonly AddressStatus[]): string {
  const least = addresses
    .flatMap(({ state, warmup }) => (state === "Warm" || warmup === undefined ? [] : [warmup]))
    .toSorted((a, b) => a.stage - b.stage)[0];
  return least === undefined ? "warm" : `day ${least.stage}/${least.stages}`;
}

/** "20/400" over the addresses that are limited; nothing when none is. */
function todayText(addresses: readonly AddressStatus[]): Pick<IpPoolStatus, "today"> {
  const limited = addresses.flatMap(({ state, warmup }) =>
    state !== "Warming" || warmup === undefined ? [] : [warmup],
  );
  if (limited.length === 0) return {};
  const used = limited.reduce((sum, { usedToday }) => sum + usedToday, 0);
  const limit = limited.reduce((sum, { dayLimit }) => sum + dayLimit, 0);
  return { today: `${shortCount(used)}/${shortCount(limit)}` };
}

/** "9999", "31.2k", "1.5M" */
function shortCount(value: number): string {
  const [unit, divisor] = value >= 1_000_000 ? ["M", 1_000_000] : value >= 10_000 ? ["k", 1000] : ["", 1];
  return `${Number((value / divisor).toFixed(1))}${unit}`;
}
