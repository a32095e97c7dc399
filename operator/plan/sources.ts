/**
 * The egress sources of each pod: which addresses of the pools it sends from, in which state, and with which
 * part of each day's allowance (operator/world.ts tells how parts are kept).
 */
import type { IpPool } from "../../crds/kinds.ts";
import type { EgressSource } from "../../relay/contract/config.ts";
import type { Environment, RelayWorld } from "../world.ts";
import { type Ramp, rampOf } from "../warmup/profile.ts";
import { type AddressStatus, allowanceRows, dayCaps } from "../warmup/rows.ts";
import { NEVER_SEEN, permilleOfPod } from "../warmup/shares.ts";
import { type Assignment, equalParts, poolPods } from "./assignAddresses.ts";
import { assignBoundAddresses, type PodAddresses } from "./boundAddresses.ts";
import { addressOwner, nameOf } from "./claims.ts";
import { podKey, sourceName } from "./names.ts";

type AddressSpec = IpPool["spec"]["addresses"][number];

export interface PodSources {
  readonly sources: readonly EgressSource[];
  /** Since when the pod's use is known; null when nothing of it is limited. */
  readonly usageSince: string | null;
}

export function podSources(world: RelayWorld, pod: string): PodSources {
  const key = podKey(world.relay.metadata.namespace, pod);
  const sources: EgressSource[] = [];
  const known: string[] = [];
  let limited = false;
  for (const pool of world.pools) {
    const ramp = rampOf(pool.spec.warmup);
    for (const [name, parts] of assignmentInForce(pool, world)) {
      const wanted = parts.get(key) ?? 0;
      const address = pool.spec.addresses.find((one) => one.name === name);
      if (wanted === 0 || address === undefined) continue;
      const status = statusOf(pool, address);
      const source = sourceOf(
        pool,
        address,
        status,
        ramp,
        Math.min(wanted, permilleOfPod(status?.shares, key)),
        isBound(pool, world.environment),
      );
      sources.push(source);
      limited ||= source.allowance.length > 0;
      const since = status?.shares?.find((share) => share.pod === key)?.spoolSince;
      if (since !== undefined) known.push(since);
    }
  }
  // The earliest: a source handed over today must not vouch for a volume that was lost today.
  return { sources, usageSince: limited ? (known.toSorted()[0] ?? NEVER_SEEN) : null };
}

/**
 * As the pool's status has it where pods say which addresses they have: a relay hears its own pods only, so the
 * pool decides, and its status is written before any configuration follows it. Else by ordinals, which
 * everyone counts alike.
 */
function assignmentInForce(pool: IpPool, world: RelayWorld): Assignment {
  if (!isBound(pool, world.environment) || (pool.status?.podAddresses ?? []).length === 0) {
    return poolAssignment(pool, world);
  }
  return new Map(
    ownAddresses(pool, world.allPools).map((address) => [
      address.name,
      equalParts(statusOf(pool, address)?.pods ?? []),
    ]),
  );
}

/**
 * Addresses this pool owns, parted among the pods of all relays that name it: by what pods said they have, where
 * relays connect from the addresses, else by ordinals. Addresses that send and addresses that rest (paused,
 * or blocked by a check) are parted by themselves: no pod is left with resting ones only while another sends, so
 * that pausing an address lets its mail leave by the others.
 */
export function poolAssignment(
  pool: IpPool,
  world: Pick<RelayWorld, "allPools" | "poolRelays">,
  known: PodAddresses = new Map(),
  silent: ReadonlySet<string> = new Set(),
): Assignment {
  const relays = world.poolRelays.filter((relay) => relay.metadata.namespace === pool.metadata.namespace);
  const owned = ownAddresses(pool, world.allPools);
  const pods = poolPods(relays, pool.metadata.name);
  const rests = (address: AddressSpec) =>
    address.state === "Paused" || statusOf(pool, address)?.state === "Blocked";
  const before = new Map(owned.map((address) => [address.name, statusOf(pool, address)?.pods ?? []]));
  const part = (addresses: readonly AddressSpec[]) =>
    assignBoundAddresses(
      addresses.map(({ name }) => name),
      pods,
      known,
      before,
      silent,
    );
  // While nothing sends there is nothing to fall back on, and nothing to move.
  if (owned.every(rests)) return part(owned);
  return new Map([...part(owned.filter((one) => !rests(one))), ...part(owned.filter(rests))]);
}

function ownAddresses(pool: IpPool, allPools: readonly IpPool[]): readonly AddressSpec[] {
  return pool.spec.addresses.filter((address) => addressOwner(pool, address.ip, allPools) === null);
}

/** Whether relays connect from the pool's addresses. */
export function isBound({ spec }: IpPool, environment: Environment): boolean {
  return spec.egress === undefined ? environment.bindSourceAddresses : spec.egress === "Bound";
}

function statusOf(pool: IpPool, address: AddressSpec): AddressStatus | undefined {
  return pool.status?.addresses?.find((one) => one.name === address.name && one.ip === address.ip);
}

function sourceOf(
  pool: IpPool,
  address: AddressSpec,
  status: AddressStatus | undefined,
  ramp: Ramp | null,
  permille: number,
  binds: boolean,
): EgressSource {
  const warmup = ramp === null ? undefined : status?.warmup;
  const allowance =
    warmup === undefined || ramp === null ? [] : allowanceRows(dayCaps(warmup, ramp), permille);
  const reason = whyPaused(pool, address, status, warmup !== undefined && permille === 0);
  return {
    name: sourceName(pool.metadata.name, address.name),
    pool: pool.metadata.name,
    address: binds ? address.ip : null,
    ehloName: address.ehloName,
    state: reason === "" ? "Active" : "Paused",
    stateReason: reason.slice(0, 512),
    allowance,
  };
}

/** Empty: it may send. */
function whyPaused(
  pool: IpPool,
  address: AddressSpec,
  status: AddressStatus | undefined,
  waitsForPart: boolean,
): string {
  if (address.state === "Paused") return `paused in IpPool ${pool.metadata.name}`;
  if (status === undefined) return `IpPool ${pool.metadata.name} has not been checked yet`;
  if (status.state === "Blocked") {
    const failed = status.checks.find(({ result }) => result !== "Pass");
    return failed === undefined ? `blocked in ${nameOf(pool)}` : `${failed.name}: ${failed.detail}`;
  }
  return waitsForPart ? "waits for its part of the day's allowance, which another pod still holds" : "";
}
