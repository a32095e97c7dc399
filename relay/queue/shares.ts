/**
 * Whose turn it is among priorities: of 21 turns that all three could use, High gets 16, Normal 4 and Low 1,
 * spread evenly. Who has nothing gives his part to the others and saves none of it; so a burst of
 * high priority goes at once, and Low is late but never left out.
 *
 * Stride scheduling (Waldspurger 1995): each has a pass, the smallest goes first and moves on by its stride.
 */
import { priorities } from "../policy/queueClass.ts";

/** Position in `priorities`: 0 is the highest. */
export type Rank = number;

export const ranks: readonly Rank[] = [...priorities.keys()];
/** Inverse to the parts 16, 4 and 1. */
const strides: readonly number[] = [1, 4, 16];
/**
 * Turns of others between two of the lowest at most: what the strides give, and one each of those whose
 * pass is equal, because equal passes go by priority.
 */
export const MOST_TURNS_BEFORE_LOW = 16 + 4 + 2;

export class Shares {
  readonly #passes = strides.map(() => 0);
  /** The pass of the turn that was taken last. */
  #now = 0;

  /** The rank whose turn it is among those that have something; null when none has. */
  next(has: (rank: Rank) => boolean): Rank | null {
    let first: Rank | null = null;
    for (const rank of ranks) {
      if (has(rank) && (first === null || this.#passOf(rank) < this.#passOf(first))) first = rank;
    }
    return first;
  }

  /** A rank that had nothing has something: it begins now, with no claim for the time before. */
  joined(rank: Rank): void {
    this.#passes[rank] = Math.max(this.#passOf(rank), this.#now);
  }

  took(rank: Rank): void {
    this.#now = this.#passOf(rank);
    this.#passes[rank] = this.#now + (strides[rank] ?? 1);
  }

  #passOf(rank: Rank): number {
    return this.#passes[rank] ?? 0;
  }
}
