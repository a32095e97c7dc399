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

  /** Who is next, without serving; undefined when nobody waits. */
  peek(): T | undefined {
    const [lanes] = this.#tenants.values();
    const [lane] = lanes?.values() ?? [];
    const [item] = lane ?? [];
    return item;
  }

  /** Moves the tenant in turn, and its lane in turn, behind the others. */
  rotate(): void {
    const [tenant] = this.#tenants;
    if (tenant === undefined) return;
    const [tenantKey, lanes] = tenant;
    const [lane] = lanes;
    if (lane !== undefined) {
      lanes.delete(lane[0]);
      lanes.set(lane[0], lane[1]);
    }
    this.#tenants.delete(tenantKey);
    this.#tenants.set(tenantKey, lanes);
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

  /** Items of one lane. */
  countOf(tenant: string, laneName: string): number {
    return this.#tenants.get(tenant)?.get(laneName)?.size ?? 0;
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
  peek(): T | undefined {
    return this.#bandInTurn()?.[1].peek();
  }

  /** Counts the turn of whoever is next: others of his priority, tenant and lane stand behind. */
  rotate(): void {
    const inTurn = this.#bandInTurn();
    if (inTurn === undefined) return;
    const [rank, band] = inTurn;
    this.#shares.took(rank);
    band.rotate();
  }

  /** The highest rank that waits, null when none does. */
  get top(): Rank | null {
    return ranks.find((rank) => this.#has(rank)) ?? null;
  }

  countOf({ rank, tenant, lane }: Standing): number {
    return this.#bands[rank]?.countOf(tenant, lane) ?? 0;
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

  #bandInTurn(): readonly [Rank, Turns<T>] | undefined {
    const rank = this.#shares.next((each) => this.#has(each));
    const band = rank === null ? undefined : this.#bands[rank];
    return rank === null || band === undefined ? undefined : [rank, band];
  }
}
