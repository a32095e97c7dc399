/**
 * Things that may go now and compete for something shared: sites for transactions, domains for lookups.
 * Priorities have their parts, tenants take turns, and within a tenant his things do.
 *
 * A thing that serves several tenants stands under each of them: a customer with one message to a busy
 * destination waits for one turn of every other customer, not for all the mail that goes there. What has
 * gone on another's turn is still on the roster; whoever takes it off sees that nothing is left to do.
 */
import type { Rank } from "./shares.ts";
import { PriorityTurns, type Turn } from "./turns.ts";

/** All things of a tenant are one lane: they take turns by leaving and coming back. */
const LANE = "";

export class Roster<T> {
  readonly #turns = new PriorityTurns<T>();

  /** Puts a thing at the end of this tenant's, unless it stands there already. */
  list(thing: T, rank: Rank, tenant: string): void {
    this.#turns.add({ rank, tenant, lane: LANE }, thing);
  }

  /** Takes off whatever is next; to be asked again at once when nothing is to be done for it. */
  next(): Turn<T> | undefined {
    const { turn } = this.#turns;
    if (turn === undefined) return undefined;
    this.#turns.took(turn);
    this.#turns.delete({ ...turn, lane: LANE }, turn.item);
    return turn;
  }
}
