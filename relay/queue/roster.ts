/**
 * Things that may go now and compete for something shared: sites for transactions, domains for lookups.
 * Each stands once, under one priority and one tenant; priorities have their parts, tenants take turns.
 *
 * A thing often serves several tenants. It stands under the one who has fewest things here, so that a
 * customer with one message does not wait behind the ten thousand destinations of another's mailing.
 */
import type { Rank } from "./shares.ts";
import { PriorityTurns, type Standing } from "./turns.ts";

/** All things of a tenant are one lane: they take turns by leaving and coming back. */
const LANE = "";

export class Roster<T> {
  readonly #turns = new PriorityTurns<T>();
  readonly #standings = new Map<T, Standing>();

  get size(): number {
    return this.#standings.size;
  }

  /**
   * Puts a thing on the roster for this tenant. One that stands there already moves if that brings it on:
   * to a higher priority, or to a tenant with fewer things than the one it stands under.
   */
  list(thing: T, rank: Rank, tenant: string): void {
    const wanted = { rank, tenant, lane: LANE };
    const now = this.#standings.get(thing);
    if (now !== undefined) {
      if (now.rank < rank || (now.rank === rank && !this.#isBetter(wanted, now))) return;
      this.drop(thing);
    }
    this.#turns.add(wanted, thing);
    this.#standings.set(thing, wanted);
  }

  /** Takes out whoever is next. */
  next(): T | undefined {
    const thing = this.#turns.peek();
    if (thing === undefined) return undefined;
    this.#turns.rotate();
    this.drop(thing);
    return thing;
  }

  drop(thing: T): void {
    const standing = this.#standings.get(thing);
    if (standing === undefined) return;
    this.#turns.delete(standing, thing);
    this.#standings.delete(thing);
  }

  /** `now` counts the thing itself. */
  #isBetter(wanted: Standing, now: Standing): boolean {
    return wanted.tenant !== now.tenant && this.#turns.countOf(wanted) + 1 < this.#turns.countOf(now);
  }
}
