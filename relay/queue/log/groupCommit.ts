/**
 * Group commit: whatever arrives while a write and its sync are under way shares the next one. There is no
 * timer to tune: a lone caller waits for one sync, a hundred callers for two.
 *
 * Knows nothing of files: `flush` makes a batch durable, or rejects for all of it.
 */

export interface GroupCommit<Item> {
  /** Resolves when the batch with this item is durable; rejects with the error of its flush. */
  submit(item: Item, bytes: number): Promise<void>;
  /** Resolves when nothing is left to flush. Never rejects. */
  idle(): Promise<void>;
}

interface Waiting<Item> {
  readonly item: Item;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface GroupCommitOptions<Item> {
  /** Makes these durable together, in this order. Called again only after it has settled. */
  flush(items: readonly Item[]): Promise<void>;
  /** A batch is closed before it grows over this; a larger item goes alone. */
  readonly batchBytes: number;
}

export function createGroupCommit<Item>(options: GroupCommitOptions<Item>): GroupCommit<Item> {
  let waiting: Waiting<Item>[] = [];
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    // One turn of the microtasks: what the same event of the loop submits shares the first batch too.
    await Promise.resolve();
    while (waiting.length > 0) {
      const batch = takeBatch();
      try {
        await options.flush(batch.map((entry) => entry.item));
        for (const entry of batch) entry.resolve();
      } catch (error) {
        for (const entry of batch) entry.reject(error);
      }
    }
    running = undefined;
  }

  function takeBatch(): Waiting<Item>[] {
    let count = 0;
    let bytes = 0;
    for (const entry of waiting) {
      if (count > 0 && bytes + entry.bytes > options.batchBytes) break;
      bytes += entry.bytes;
      count++;
    }
    const batch = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return batch;
  }

  return {
    submit: (item, bytes) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, bytes, resolve, reject });
        running ??= run();
      }),
    idle: async function idle() {
      if (running === undefined) return;
      await running;
      // Who was just answered may have come again.
      await idle();
    },
  };
}
