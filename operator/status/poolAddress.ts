/**
 * One address of a pool: its check, its place on the ramp, its ledger, its use and reputation. Numbers are
 * raw here; poolStatus.ts decides whether they move.
 */
import type { IpPool } from "../../crds/kinds.ts";
import type { IpPoolStatus } from "../../crds/ipPool.ts";
import { addressOwner } from "../plan/claims.ts";
import { sourceName } from "../plan/names.ts";
import { reverseName } from "../plan/ipAddresses.ts";
import type { PoolWorld } from "../world.ts";
import { addDays, timestampOf, utcDay } from "../warmup/days.ts";
import { HEALTH_DAYS, judgeHealth, rate, RATING_DAYS, resultsOf } from "../warmup/health.ts";
import { countersOf, podHoldings, reportsByPod, usedByPod } from "../warmup/podReports.ts";
import type { Ramp } from "../warmup/profile.ts";
import { type AddressStatus, dayCaps, type WarmupStatus } from "../warmup/rows.ts";
import { nextShares, type Share } from "../warmup/shares.ts";
import { type Decision, nextWarmup } from "../warmup/warmupPlan.ts";
import { roundCount } from "./figures.ts";

type AddressSpec = IpPool["spec"]["addresses"][number];
type Check = AddressStatus["checks"][number];
export type PoolRecord = NonNullable<IpPoolStatus["records"]>[number];
export type History = NonNullable<IpPoolStatus["history"]>;

export interface AddressView {
  readonly world: PoolWorld;
  readonly spec: AddressSpec;
  readonly ramp: Ramp | null;
  readonly records: readonly PoolRecord[];
  /** Part each pod should have. */
  readonly wanted: ReadonlyMap<string, number>;
}

export interface AddressResult {
  readonly status: AddressStatus;
  readonly decisions: readonly (
    | Decision
    | { readonly decision: "Paused" | "Resumed"; readonly reason: string }
  )[];
}

export function addressStatus(view: AddressView): AddressResult {
  const { world, spec } = view;
  const byName = world.pool.status?.addresses?.find(({ name }) => name === spec.name);
  // Another address under the same name is a stranger to receivers: it starts its own ramp.
  const before = byName?.ip === spec.ip ? byName : undefined;
  const owner = addressOwner(world.pool, spec.ip, world.allPools);
  const checks = checksOf(view, before);
  const { warmup, decisions } = warmupOf(view, before);
  const shares =
    warmup === undefined || view.ramp === null
      ? undefined
      : sharesOf(view, warmup, view.ramp, byName?.shares ?? []);
  const reputation = reputationOf(world, spec.name, before);
  const blocked =
    owner !== null ||
    (world.pool.spec.checks.forwardConfirmedReverseDns === "Require" &&
      checks.some(({ result }) => result !== "Pass"));
  const state =
    owner !== null
      ? "Blocked"
      : spec.state === "Paused"
        ? "Paused"
        : blocked
          ? "Blocked"
          : warmup === undefined || view.ramp === null
            ? "Warm"
            : "Warming";
  return {
    status: {
      name: spec.name,
      ip: spec.ip,
      state,
      ...podsOf(view),
      checks,
      ...(warmup === undefined ? {} : { warmup }),
      ...(reputation === undefined ? {} : { reputation }),
      ...(shares === undefined || shares.length === 0 ? {} : { shares: [...shares] }),
    },
    decisions: [...decisions, ...pauseDecisions(before, spec.state === "Paused")],
  };
}

/** Bound of the list in the API. */
const MOST_PODS = 100;

/** Whose mail leaves from it. */
function podsOf({ wanted }: AddressView): Pick<AddressStatus, "pods"> {
  const pods = [...wanted].flatMap(([pod, permille]) => (permille > 0 ? [pod] : [])).toSorted();
  return pods.length === 0 ? {} : { pods: pods.slice(0, MOST_PODS) };
}

function pauseDecisions(before: AddressStatus | undefined, paused: boolean): AddressResult["decisions"] {
  if (before === undefined || (before.state === "Paused") === paused || before.state === "Blocked") return [];
  return paused
    ? [{ decision: "Paused", reason: "spec.addresses says Paused." }]
    : [{ decision: "Resumed", reason: "spec.addresses says Active." }];
}

/** Absent: the pool asks for no proof. */
function checksOf({ world, spec, records }: AddressView, before: AddressStatus | undefined): Check[] {
  if (world.pool.spec.checks.forwardConfirmedReverseDns === "Skip") return [];
  const name = "ForwardConfirmedReverseDns";
  const mine = records.filter((record) =>
    record.name === spec.ehloName
      ? record.expected === normal(spec, records)
      : record.name === reverseName(spec.ip),
  );
  const wrong = mine.filter(({ state }) => state === "Missing" || state === "Different");
  if (wrong.length > 0)
    return [{ name, result: "Fail", detail: wrong.map(recordText).join("; ").slice(0, 512) }];
  const proven = {
    name,
    result: "Pass",
    detail: `${spec.ip} is ${spec.ehloName} in both directions`,
  } as const;
  if (mine.length > 0 && mine.every(({ state }) => state === "Verified")) return [proven];
  // A server that does not answer takes back nothing that was proven.
  if (before?.checks.some((check) => check.name === name && check.result === "Pass") === true)
    return [proven];
  const unreachable = mine.filter(({ state }) => state === "Unreachable");
  return [
    {
      name,
      result: "Unknown",
      detail:
        unreachable.length > 0
          ? unreachable.map(recordText).join("; ").slice(0, 512)
          : "DNS has not been asked yet",
    },
  ];
}

/** The expected value of this address's forward record: two addresses may share an EHLO name. */
function normal(spec: AddressSpec, records: readonly PoolRecord[]): string | undefined {
  const reverse = records.findIndex(({ name }) => name === reverseName(spec.ip));
  return records[reverse - 1]?.expected;
}

function recordText({ type, name, expected, seen, state }: PoolRecord): string {
  const found =
    state === "Missing"
      ? "does not exist"
      : state === "Unreachable"
        ? "got no answer"
        : `is ${seen.join(", ")}`;
  return `${type} ${name} ${found}; expected ${expected}`;
}

function warmupOf(
  { world, spec, ramp }: AddressView,
  before: AddressStatus | undefined,
): { warmup: WarmupStatus | undefined; decisions: readonly Decision[] } {
  // None keeps the place on the ramp, so that turning it on again goes on there.
  if (ramp === null) return { warmup: before?.warmup, decisions: [] };
  // Known and without a ramp: it is warm, whatever the manifest says again.
  if (before !== undefined && before.warmup === undefined) return { warmup: undefined, decisions: [] };
  const since = addDays(utcDay(world.now), 1 - HEALTH_DAYS);
  const step = nextWarmup({
    now: world.now,
    previous: before?.warmup ?? null,
    ramp,
    usedOn: (day) => usedOn(world, spec.name, day),
    health: judgeHealth(countersOf(world, spec.name, since)),
  });
  return step.kind === "warm"
    ? { warmup: undefined, decisions: step.decisions }
    : { warmup: step.warmup, decisions: step.decisions };
}

/** Recipients all pods used on a day: what they say now, or said last. */
export function usedOn(world: PoolWorld, address: string, day: string): number {
  const used = new Map<string, number>();
  const known = world.pool.status?.addresses?.find(({ name }) => name === address);
  for (const share of known?.shares ?? []) {
    if (share.day === day) used.set(share.pod, share.used?.["total"] ?? 0);
  }
  const source = sourceName(world.pool.metadata.name, address);
  for (const [pod, report] of reportsByPod(world)) {
    const now = usedByPod(report, source, day)["total"] ?? 0;
    // A volume that was lost knows less than we did; in-flight recipients that came back do not count.
    const lost =
      known?.shares?.some((share) => share.pod === pod && isYounger(report.usageSince, share)) === true;
    used.set(pod, lost ? Math.max(now, used.get(pod) ?? 0) : now);
  }
  return [...used.values()].reduce((sum, one) => sum + one, 0);
}

function isYounger(usageSince: string, share: Share): boolean {
  return share.spoolSince !== undefined && Date.parse(usageSince) > Date.parse(share.spoolSince);
}

function sharesOf(
  { world, spec, wanted }: AddressView,
  warmup: WarmupStatus,
  ramp: Ramp,
  previous: readonly Share[],
): readonly Share[] {
  const caps = dayCaps(warmup, ramp);
  const holdings = podHoldings(world, { address: spec.name, wanted, caps, ledger: previous });
  return withUse(world, spec.name, nextShares(previous, holdings, world.now));
}

/** Notes what each pod says it used today; who is silent keeps what it said last. */
export function withUse(world: PoolWorld, address: string, shares: readonly Share[]): readonly Share[] {
  const day = utcDay(world.now);
  const source = sourceName(world.pool.metadata.name, address);
  const reports = reportsByPod(world);
  return shares.map((share) => {
    const report = reports.get(share.pod);
    if (report === undefined || report.at.slice(0, 10) < day) return share;
    return { ...share, day, used: usedByPod(report, source, day) };
  });
}

function reputationOf(
  world: PoolWorld,
  address: string,
  before: AddressStatus | undefined,
): AddressStatus["reputation"] {
  if (reportsByPod(world).size === 0) return before?.reputation;
  const results = resultsOf(countersOf(world, address, addDays(utcDay(world.now), 1 - RATING_DAYS)));
  return {
    rating: rate(results),
    delivered7d: roundCount(results.delivered),
    bouncedPermille: results.bouncedPermille,
    blockedPermille: results.blockedPermille,
  };
}

/** An entry of the history, newest first; a hold that goes on takes the place of the former one. */
export function withDecisions(
  history: History,
  address: string,
  decisions: AddressResult["decisions"],
  now: number,
): History {
  const MOST = 50;
  let next = [...history];
  for (const { decision, reason } of decisions) {
    const entry = { at: timestampOf(now), address, decision, reason: reason.slice(0, 512) };
    const last = next.findIndex((one) => one.address === address);
    if (decision === "Held" && next[last]?.decision === "Held") next.splice(last, 1);
    next = [entry, ...next];
  }
  return next.slice(0, MOST);
}
