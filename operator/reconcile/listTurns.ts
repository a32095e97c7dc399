/**
 * Whose page of a list is read next. When everything is listed anew, ten kinds want to read a hundred megabytes
 * at once: an edit made while nobody watched is only in a page, and waits for all pages read before its own. So
 * few pages are under way at a time, what was made from what people edit waits until that has been listed, and so do
 * timed looks, which nobody waits for.
 */
import type { Clock } from "../../relay/kit/clock.ts";

export type ListRank = "edited" | "made";

export interface ListTurns {
  /** A list of this rank begins; the result says that it has ended, well or not. */
  begin(rank: ListRank): () => void;
  /** Reads a page when it is its turn. */
  page<T>(rank: ListRank, action: () => Promise<T>): Promise<T>;
  /** Whether what can wait should: a list is under way, and has not been for too long. */
  readonly rush: boolean;
  /** Called whenever a rush ends. */
  afterRush(listener: () => void): void;
}

/** Some that the server makes while another is read here; more would only be held in memory. */
const PAGES_AT_A_TIME = 3;

/** A list anew takes seconds; looks that are timed come each fifteen, and must not end with a server that hangs. */
const LONGEST_RUSH_MS = 10_000;

export function createListTurns(clock: Clock, atATime = PAGES_AT_A_TIME): ListTurns {
  const waiting: Readonly<Record<ListRank, (() => void)[]>> = { edited: [], made: [] };
  const listing: Record<ListRank, number> = { edited: 0, made: 0 };
  const listeners: (() => void)[] = [];
  let running = 0;
  /** Ends the patience with the rush that is on; null: there is none. */
  let rush: (() => void) | null = null;
  const fill = () => {
    while (running < atATime) {
      const next = waiting.edited.shift() ?? (listing.edited > 0 ? undefined : waiting.made.shift());
      if (next === undefined) return;
      running += 1;
      next();
    }
  };
  const endRush = () => {
    if (rush === null) return;
    rush();
    rush = null;
    for (const listener of listeners) listener();
  };
  return {
    begin(rank) {
      if (listing.edited + listing.made === 0) rush = clock.after(LONGEST_RUSH_MS, endRush);
      listing[rank] += 1;
      return () => {
        listing[rank] -= 1;
        if (listing.edited + listing.made === 0) endRush();
        fill();
      };
    },
    async page(rank, action) {
      await new Promise<void>((resolve) => {
        waiting[rank].push(resolve);
        fill();
      });
      try {
        return await action();
      } finally {
        running -= 1;
        fill();
      }
    },
    get rush() {
      return rush !== null;
    },
    afterRush: (listener) => void listeners.push(listener),
  };
}
