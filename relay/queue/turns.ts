/**
 * Whose turn it is: round robin between tenants, and within a tenant between lanes, so that neither one
 * customer's mailing nor one huge destination starves the rest. Within a lane, first come, first served.
 * Maps keep the order of insertion: the first key is the next in turn, and goes to the end when it was
 * served. `PriorityTurns` is three of them, whose parts `Shares` keeps.
 *
 * Every step is O(1), whatever waits.
 */
import { type Rank, ranks, Shares } from "./shares.ts";

export class Turns<T> {
  readonly #tenants = new Map<string, Map<string, Set<T>>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(tenant: string, laneName: string, item: T): void {
    let lanes = this.#tenants.get(tenant);
    if (lanes === undefined) this.#tenants.set(tenant, (lanes = new Map()));
    let lane = lanes.get(laneName);
    if (lane === undefined) lanes.set(laneName, (lane = new Set()));
    if (!lane.has(item)) this.#size++;
    lane.add(item);
  }

  /** The tenant in turn; undefined when nobody waits. */
  get tenant(): string | undefined {
    const [tenant] = this.#tenants.keys();
    return tenant;
  }

  /** What this tenant has in turn, without serving it. */
  first(tenant: string): T | undefined {
    const [lane] = this.#tenants.get(tenant)?.values() ?? [];
    const [item] = lane ?? [];
    return item;
  }

  /** The tenant was served: it, and its lane in turn, stand behind the others. */
  took(tenant: string): void {
    const lanes = this.#tenants.get(tenant);
    if (lanes === undefined) return;
    if (lanes.size > 1) {
      const [lane] = lanes;
      if (lane !== undefined) {
        lanes.delete(lane[0]);
        lanes.set(lane[0], lane[1]);
      }
    }
    this.#tenants.delete(tenant);
    this.#tenants.set(tenant, lanes);
  }

  delete(tenant: string, laneName: string, item: T): void {
    const lanes = this.#tenants.get(tenant);
    const lane = lanes?.get(laneName);
    if (lanes === undefined || lane === undefined || !lane.delete(item)) return;
    this.#size--;
    if (lane.size > 0) return;
    lanes.delete(laneName);
    if (lanes.size === 0) this.#tenants.delete(tenant);
  }

  /** Tenants that wait, in turn. */
  tenants(): Iterable<string> {
    return this.#tenants.keys();
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const lanes of this.#tenants.values()) for (const lane of lanes.values()) yield* lane;
  }
}

/** Where an item stands; the same three words take it out again. */
export interface Standing {
  readonly rank: Rank;
  readonly tenant: string;
  readonly lane: string;
}

/** Whose turn it is, and what he has in turn. */
export interface Turn<T> {
  readonly rank: Rank;
  readonly tenant: string;
  readonly item: T;
}

export class PriorityTurns<T> {
  readonly #shares = new Shares();
  /** By rank, made when first needed: most sites see one. */
  readonly #bands: (Turns<T> | undefined)[] = [];

  get size(): number {
    let size = 0;
    for (const band of this.#bands) size += band?.size ?? 0;
    return size;
  }

  add({ rank, tenant, lane }: Standing, item: T): void {
    const band = (this.#bands[rank] ??= new Turns());
    if (band.size === 0) this.#shares.joined(rank);
    band.add(tenant, lane, item);
  }

  delete({ rank, tenant, lane }: Standing, item: T): void {
    this.#bands[rank]?.delete(tenant, lane, item);
  }

  /** Who is next, without serving; undefined when nobody waits. */
  get turn(): Turn<T> | undefined {
    const rank = this.#shares.next((each) => this.#has(each));
    const tenant = rank === null ? undefined : this.#bands[rank]?.tenant;
    return rank === null || tenant === undefined ? undefined : this.turnOf(rank, tenant);
  }

  /** What this tenant has in turn at this rank. */
  turnOf(rank: Rank, tenant: string): Turn<T> | undefined {
    const item = this.#bands[rank]?.first(tenant);
    return item === undefined ? undefined : { rank, tenant, item };
  }

  /** Counts a turn: others of his rank, and other lanes of his, come before the next. */
  took({ rank, tenant }: Pick<Turn<T>, "rank" | "tenant">): void {
    this.#shares.took(rank);
    this.#bands[rank]?.took(tenant);
  }

  /** The highest rank that waits, null when none does. */
  get top(): Rank | null {
    return ranks.find((rank) => this.#has(rank)) ?? null;
  }

  /** Tenants with something of this rank, in turn. */
  tenants(rank: Rank): Iterable<string> {
    return this.#bands[rank]?.tenants() ?? [];
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const band of this.#bands) if (band !== undefined) yield* band;
  }

  #has(rank: Rank): boolean {
    return (this.#bands[rank]?.size ?? 0) > 0;
  }
}
