/**
 * Whose page of a list is read next. When everything is listed anew, ten kinds want to read a hundred megabytes
 * at once: an edit made while nobody watched is only in a page, and waits for all pages read before its own. So
 * few pages are under way at a time, and what was made from what people edit waits until that has been listed.
 */

export type ListRank = "edited" | "made";

export interface ListTurns {
  /** A list of this rank begins; the result says that it has ended, well or not. */
  begin(rank: ListRank): () => void;
  /** Reads a page when it is its turn. */
  page<T>(rank: ListRank, action: () => Promise<T>): Promise<T>;
}

/** Some that the server makes while another is read here; more would only be held in memory. */
const PAGES_AT_A_TIME = 3;

export function createListTurns(atATime = PAGES_AT_A_TIME): ListTurns {
  const waiting: Readonly<Record<ListRank, (() => void)[]>> = { edited: [], made: [] };
  let running = 0;
  let listing = 0;
  const fill = () => {
    while (running < atATime) {
      const next = waiting.edited.shift() ?? (listing > 0 ? undefined : waiting.made.shift());
      if (next === undefined) return;
      running += 1;
      next();
    }
  };
  return {
    begin(rank) {
      if (rank === "made") return () => {};
      listing += 1;
      return () => {
        listing -= 1;
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
  };
}
