/**
 * Which pod sends from which addresses: part of each address in thousandths, by pod.
 *
 * With at least as many addresses as pods, every pod has one or more and every address one pod. With fewer,
 * every pod has one address and shares it in equal parts. Pods join one after the other: a new pod takes its
 * fair number from those that have most and touches nothing else, so that scaling moves as few addresses
 * as can be, and scaling back gives the same picture again. Which addresses are parted together is the
 * caller's affair (sources.ts).
 */
import type { SmtpRelay } from "../../crds/kinds.ts";
import { podKey, relayNames } from "./names.ts";

const WHOLE = 1000;

/** Thousandths by pod, by address. Parts of an address sum to 1000, or it has none when there is no pod. */
export type Assignment = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** `addresses` and `pods` are names; the order of `pods` is the order in which they joined. */
export function assignAddresses(addresses: readonly string[], pods: readonly string[]): Assignment {
  const sorted = addresses.toSorted();
  const owners = new Map<string, string[]>(sorted.map((address) => [address, []]));
  const held: { pod: string; addresses: string[] }[] = [];
  for (const [index, pod] of pods.entries()) {
    const mine: string[] = [];
    if (index === 0) mine.push(...sorted);
    else if (index < sorted.length) {
      const fair = Math.floor(sorted.length / (index + 1));
      for (let taken = 0; taken < fair; taken++) {
        const given = largest(held)?.addresses.pop();
        if (given !== undefined) mine.push(given);
      }
    } else if (sorted.length > 0) mine.push(sorted[index % sorted.length] ?? "");
    held.push({ pod, addresses: mine });
  }
  for (const { pod, addresses } of held) {
    for (const address of addresses) owners.get(address)?.push(pod);
  }
  return new Map([...owners].map(([address, holders]) => [address, equalParts(holders)]));
}

function largest(held: readonly { addresses: string[] }[]): { addresses: string[] } | undefined {
  let most: { addresses: string[] } | undefined;
  for (const one of held) {
    if (most === undefined || one.addresses.length > most.addresses.length) most = one;
  }
  return most;
}

/** Parts of the whole, by pod. */
export function equalParts(holders: readonly string[]): ReadonlyMap<string, number> {
  const part = Math.floor(WHOLE / Math.max(1, holders.length));
  const rest = WHOLE - part * holders.length;
  return new Map(holders.map((pod, index) => [pod, part + (index < rest ? 1 : 0)]));
}

/**
 * The pods that share a pool's addresses, by ledger key: those asked for, and those that still exist while
 * they drain. Relays take turns by ordinal, so that each gets its part of the addresses.
 */
export function poolPods(relays: readonly SmtpRelay[], pool: string): readonly string[] {
  const ordered = relays
    .filter((relay) => relay.metadata.deletionTimestamp === undefined && namesPool(relay, pool))
    .toSorted((a, b) => (relayOrder(a) < relayOrder(b) ? -1 : 1));
  const pods: { ordinal: number; key: string }[] = [];
  for (const relay of ordered) {
    const names = relayNames(relay.metadata.name);
    for (let ordinal = 0; ordinal < podCount(relay); ordinal++) {
      pods.push({ ordinal, key: podKey(relay.metadata.namespace, names.pod(ordinal)) });
    }
  }
  return pods.toSorted((a, b) => a.ordinal - b.ordinal).map(({ key }) => key);
}

/** Both sides of the ledger must count alike, so only what the SmtpRelay object itself says counts. */
export function podCount(relay: SmtpRelay): number {
  return Math.max(relay.spec.replicas, relay.status?.replicas ?? 0);
}

const relayOrder = ({ metadata }: SmtpRelay) =>
  `${metadata.creationTimestamp} ${metadata.namespace}/${metadata.name}`;

/** Names of the pools a relay sends from: the default one first, then its routes'. */
export function poolNames(relay: SmtpRelay): readonly string[] {
  const names = relay.spec.routes.flatMap((route) =>
    route.to.pool === undefined ? [] : [route.to.pool.name],
  );
  if (relay.spec.poolRef !== undefined) names.unshift(relay.spec.poolRef.name);
  return [...new Set(names)];
}

export function namesPool(relay: SmtpRelay, pool: string): boolean {
  return poolNames(relay).includes(pool);
}
