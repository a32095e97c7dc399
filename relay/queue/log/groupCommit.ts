/**
 * Group commit: whatever arrives while a write and its sync are under way shares the next one, and so does
 * whatever the same turn of the event loop brings. A lone caller waits for one sync, a hundred for two.
 *
 * A patient item begins no flush of its own: it rides with the next one, and is flushed alone only when
 * none comes for a while. Knows nothing of files: `flush` makes a batch durable, or rejects for all of it.
 */

export interface GroupCommit<Item> {
  /** Resolves when the batch with this item is durable; rejects with the error of its flush. */
  submit(item: Item, bytes: number, urgency?: "urgent" | "patient"): Promise<void>;
  /** Flushes what waits, and resolves when nothing is left to flush. Never rejects. */
  idle(): Promise<void>;
}

interface Waiting<Item> {
  readonly item: Item;
  readonly bytes: number;
  readonly urgent: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface GroupCommitOptions<Item> {
  /** Makes these durable together, in this order. Called again only after it has settled. */
  flush(items: readonly Item[]): Promise<void>;
  /** A batch is closed before it grows over this; a larger item goes alone. */
  readonly batchBytes: number;
  /** Calls back when patient items have waited long enough. */
  readonly patience: (action: () => void) => void;
}

export function createGroupCommit<Item>(options: GroupCommitOptions<Item>): GroupCommit<Item> {
  let waiting: Waiting<Item>[] = [];
  let urgent = 0;
  let running: Promise<void> | undefined;
  let isTimed = false;
  let isHurried = false;

  async function run(): Promise<void> {
    do {
      // To the end of this turn of the loop: what its other sockets bring shares the batch.
      await endOfTurn();
      const batch = takeBatch();
      try {
        await options.flush(batch.map((entry) => entry.item));
        for (const entry of batch) entry.resolve();
      } catch (error) {
        for (const entry of batch) entry.reject(error);
      }
      isHurried &&= waiting.length > 0;
    } while (urgent > 0 || isHurried);
    running = undefined;
    if (waiting.length > 0) beginPatience();
  }

  function takeBatch(): Waiting<Item>[] {
    let count = 0;
    let bytes = 0;
    for (const entry of waiting) {
      if (count > 0 && bytes + entry.bytes > options.batchBytes) break;
      bytes += entry.bytes;
      if (entry.urgent) urgent--;
      count++;
    }
    const batch = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return batch;
  }

  function hurry(): void {
    if (waiting.length === 0) return;
    isHurried = true;
    running ??= run();
  }

  /** One timer at a time: the next one begins when somebody waits again. */
  function beginPatience(): void {
    if (isTimed) return;
    isTimed = true;
    options.patience(() => {
      isTimed = false;
      hurry();
    });
  }

  return {
    submit: (item, bytes, urgency = "urgent") =>
      new Promise((resolve, reject) => {
        waiting.push({ item, bytes, urgent: urgency === "urgent", resolve, reject });
        if (urgency === "urgent") {
          urgent++;
          running ??= run();
        } else if (running === undefined) beginPatience();
      }),
    idle: async function idle() {
      hurry();
      if (running === undefined) return;
      await running;
      // Who was just answered may have come again.
      await idle();
    },
  };
}

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
