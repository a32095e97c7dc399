/**
 * Which pod sends from which addresses where relays connect from the addresses themselves (`egress: Bound`): only
 * from one its pod has can anything be sent, and which pod has which is the network's doing.
 *
 * Ordinals part the addresses (assignAddresses.ts) and what pods said of themselves corrects it:
 * - An address goes to a pod that has it. The one that sends from it keeps it while it has it; it goes where
 *   ordinals want it only if that evens out how many each has, as when a pod joined.
 * - One that the ordinals' pod lacks goes to the pod that has it and sends from the fewest.
 * - A pod that would be left with none takes one it has from the pod with most, or shares one.
 * - One that no pod is known to have stays where ordinals put it, which is where its absence is told.
 * - A pod of which nothing is known (it has not started, or is of an older version and says nothing) counts by
 *   its ordinal, but takes no address from a pod that has it.
 *
 * What a silent pod said last stays in force (status/podAddresses.ts): whether it still sends nobody knows, so
 * nothing is taken from it. Moving an address changes what each pod *should* hold; the ledger sees to it that nothing is
 * granted twice meanwhile (warmup/shares.ts).
 */
import { type Assignment, assignAddresses, equalParts } from "./assignAddresses.ts";

/** Names of the addresses each pod has, by ledger key; a pod that is not in here has said nothing. */
export type PodAddresses = ReadonlyMap<string, ReadonlySet<string>>;
/** Pods that send from an address, by its name. */
type Holders = ReadonlyMap<string, readonly string[]>;

/** Turns until nothing moves any more. Few are needed; a bound, should there be a case that goes round. */
const MOST_ROUNDS = 10;

/** `pods` in the order in which they joined; `before`: who sends from each address now; `silent` does not answer. */
export function assignBoundAddresses(
  addresses: readonly string[],
  pods: readonly string[],
  known: PodAddresses,
  before: Holders,
  silent: ReadonlySet<string> = new Set(),
): Assignment {
  const ordinals = assignAddresses(addresses, pods);
  if (!pods.some((pod) => known.has(pod))) return ordinals;
  let holders = before;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const next = new Parting(pods, known, silent, holders, ordinals).done();
    const settled = [...next].every(([address, those]) => sameSet(those, holders.get(address)));
    holders = next;
    if (settled) break;
  }
  return new Map([...holders].map(([address, those]) => [address, equalParts(those)]));
}

type Answer = "has" | "lacks" | "unknown";

/** One turn. Addresses in order of their names, pods in the order in which they joined. */
class Parting {
  readonly #pods: readonly string[];
  readonly #known: PodAddresses;
  readonly #silent: ReadonlySet<string>;
  readonly #before: Holders;
  readonly #ordinals: Assignment;
  readonly #holders = new Map<string, readonly string[]>();

  constructor(
    pods: readonly string[],
    known: PodAddresses,
    silent: ReadonlySet<string>,
    before: Holders,
    ordinals: Assignment,
  ) {
    this.#pods = pods;
    this.#known = known;
    this.#silent = silent;
    this.#before = before;
    this.#ordinals = ordinals;
  }

  done(): Holders {
    for (const address of this.#ordinals.keys()) this.#holders.set(address, this.#keep(address));
    for (const address of this.#ordinals.keys()) this.#house(address);
    this.#even();
    for (const pod of this.#pods) this.#feed(pod);
    return this.#holders;
  }

  /** Who goes on sending from it, or is to begin; nobody when everyone who might lacks it. */
  #keep(address: string): readonly string[] {
    const keepers = this.#keepers(address);
    const wished = this.#wished(address);
    if (this.#isFixed(keepers)) return keepers;
    if (wished.length === 0 || wished.some((pod) => keepers.includes(pod))) {
      return wished.length === 0 ? keepers : wished;
    }
    return keepers.some((pod) => this.#ask(pod, address) === "has") ? keepers : wished;
  }

  /** Those who send from it now and are not known to lack it. */
  #keepers(address: string): readonly string[] {
    const now = this.#before.get(address) ?? [];
    return this.#pods.filter((pod) => now.includes(pod) && this.#ask(pod, address) !== "lacks");
  }

  /** Those whom ordinals give it and who are not known to lack it. */
  #wished(address: string): readonly string[] {
    const now = this.#before.get(address) ?? [];
    const isHeld = now.some((pod) => this.#pods.includes(pod) && this.#ask(pod, address) === "has");
    return [...(this.#ordinals.get(address)?.keys() ?? [])].filter((pod) => {
      const answer = this.#ask(pod, address);
      return answer === "has" || (answer === "unknown" && (now.includes(pod) || !isHeld));
    });
  }

  /** An address without a pod goes to the one with fewest that has it, else where ordinals put it. */
  #house(address: string): void {
    if (this.#of(address).length > 0) return;
    let best: string | undefined;
    for (const pod of this.#pods) {
      if (this.#ask(pod, address) !== "has") continue;
      if (best === undefined || this.#count(pod) < this.#count(best)) best = pod;
    }
    this.#holders.set(
      address,
      best === undefined ? [...(this.#ordinals.get(address)?.keys() ?? [])] : [best],
    );
  }

  /** Addresses go where ordinals want them while that makes the most loaded pod's load less. */
  #even(): void {
    for (const address of this.#ordinals.keys()) {
      const wished = this.#wished(address);
      const now = this.#of(address);
      if (wished.length === 0 || sameSet(wished, now) || wished.some((pod) => now.includes(pod))) continue;
      if (this.#isFixed(now) || now.some((pod) => this.#ask(pod, address) !== "has")) continue;
      const most = Math.max(...wished.map((pod) => this.#count(pod)));
      if (now.every((pod) => most + 1 < this.#count(pod))) this.#holders.set(address, wished);
    }
  }

  /** A pod that sends from none and has one. */
  #feed(pod: string): void {
    if (this.#count(pod) > 0) return;
    let best: { address: string; rank: readonly number[] } | undefined;
    for (const [address, holders] of this.#holders) {
      if (this.#isFixed(holders) || this.#ask(pod, address) !== "has") continue;
      const itsNow = this.#before.get(address)?.includes(pod) === true ? 0 : 1;
      const spare = Math.min(...holders.map((holder) => this.#count(holder)));
      const rank = [itsNow, -spare, holders.length];
      if (best === undefined || isLess(rank, best.rank)) best = { address, rank };
    }
    if (best === undefined) return;
    const holders = this.#of(best.address);
    const canSpare = holders.every((holder) => this.#count(holder) > 1);
    this.#holders.set(best.address, canSpare ? [pod] : [...holders, pod]);
  }

  /** Whether one of them may still send and cannot be asked to let go. */
  #isFixed(holders: readonly string[]): boolean {
    return holders.some((pod) => this.#silent.has(pod));
  }

  #ask(pod: string, address: string): Answer {
    const has = this.#known.get(pod);
    return has === undefined ? "unknown" : has.has(address) ? "has" : "lacks";
  }

  #of(address: string): readonly string[] {
    return this.#holders.get(address) ?? [];
  }

  /** Addresses it can send from, as far as is known. */
  #count(pod: string): number {
    let count = 0;
    for (const [address, holders] of this.#holders) {
      if (holders.includes(pod) && this.#ask(pod, address) !== "lacks") count += 1;
    }
    return count;
  }
}

function sameSet(a: readonly string[], b: readonly string[] = []): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    if (value !== other) return value < other;
  }
  return false;
}
