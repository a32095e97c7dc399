/**
 * Which addresses of a bound pool each pod has, as it said last: what addresses are parted by
 * (plan/boundAddresses.ts). A pod that is silent keeps what it said.
 */
import type { IpPoolStatus } from "../../crds/ipPool.ts";
import { poolPods } from "../plan/assignAddresses.ts";
import type { PodAddresses } from "../plan/boundAddresses.ts";
import { contains, parseAddress, parseNetwork } from "../plan/ipAddresses.ts";
import { isBound } from "../plan/sources.ts";
import type { PoolWorld } from "../world.ts";
import { reportsByPod } from "../warmup/podReports.ts";

export type PodAddressRow = NonNullable<IpPoolStatus["podAddresses"]>[number];

/** Bound of the list in the API; pods beyond it count by their ordinals. */
const MOST_PODS = 100;

/** Empty where the network translates, and while no pod has said anything. */
export function podAddresses(world: PoolWorld): readonly PodAddressRow[] {
  const { pool, relays, environment } = world;
  if (!isBound(pool, environment)) return [];
  const reports = reportsByPod(world);
  const before = new Map(pool.status?.podAddresses?.map((row) => [row.pod, row]));
  const names = new Set(pool.spec.addresses.map(({ name }) => name));
  const mine = poolPods(
    relays.map(({ relay }) => relay).filter(({ metadata }) => metadata.namespace === pool.metadata.namespace),
    pool.metadata.name,
  );
  const rows = mine.flatMap((pod): PodAddressRow[] => {
    const report = reports.get(pod);
    if (report?.localAddresses !== undefined) {
      return [{ pod, addresses: present(pool.spec.addresses, report.localAddresses) }];
    }
    const last = before.get(pod);
    // An older relay answers and says nothing of it: what the newer one before it said is void.
    if (report !== undefined || last === undefined) return [];
    return [{ pod, addresses: last.addresses.filter((name) => names.has(name)) }];
  });
  return rows.toSorted((a, b) => (a.pod < b.pod ? -1 : 1)).slice(0, MOST_PODS);
}

/** As plans take it. */
export function knownAddresses(rows: readonly PodAddressRow[]): PodAddresses {
  return new Map(rows.map(({ pod, addresses }) => [pod, new Set(addresses)]));
}

/** Those of them that do not answer now, so that what they said may be old. */
export function silentPods(world: PoolWorld, rows: readonly PodAddressRow[]): ReadonlySet<string> {
  const reports = reportsByPod(world);
  return new Set(rows.flatMap(({ pod }) => (reports.has(pod) ? [] : [pod])));
}

/** Names of the addresses that are among these, of which some may be networks. */
function present(addresses: PoolWorld["pool"]["spec"]["addresses"], local: readonly string[]): string[] {
  const networks = local.flatMap((text) => parseNetwork(text) ?? []);
  return addresses
    .filter(({ ip }) => {
      const address = parseAddress(ip);
      return address !== null && networks.some((network) => contains(network, address));
    })
    .map(({ name }) => name)
    .toSorted();
}
