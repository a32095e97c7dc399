/**
 * Keys waiting to be reconciled. A key is in the queue once however often it is added, and never with two
 * workers at a time: added while it is worked on, it comes again afterwards.
 *
 * What someone edited goes before what is concerned by a change elsewhere (high: an edited relay concerns its
 * domains), and that before first lists and timed looks (low); now and then a low one is let through, so that a
 * busy cluster cannot starve its own polling. Failures wait longer each
 * time, each key for itself.
 */
import type { Clock } from "../../relay/kit/clock.ts";
import type { Random } from "../../relay/kit/random.ts";

export type Priority = "edited" | "high" | "low";

export interface BackoffOptions {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Errors of the cluster: sooner than a person loses patience, later than an overloaded server suffers. */
const clusterBackoff: BackoffOptions = { firstMs: 1000, longestMs: 300_000 };
/** One pick in this many takes a low key although others wait. */
const LOW_EVERY = 8;
const order: readonly Priority[] = ["edited", "high", "low"];
const lowFirst: readonly Priority[] = ["low", "edited", "high"];
/**
 * A key worked on this often within the window is made to wait a second each time: objects whose status
 * writes wake each other must not keep a core busy, whatever defect made them do so.
 */
const BURST = 20;
const BURST_WINDOW_MS = 10_000;
const CALMED_MS = 1000;

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Workers at a time. */
  readonly concurrency: number;
  /** Works on one key. It must not reject: what to do about an error is its own affair. */
  readonly work: (key: string) => Promise<void>;
  readonly backoff?: BackoffOptions;
  /**
   * Awaited before each piece of work: lets the process do other things. Work that finds all it needs in memory
   * would go through ten thousand keys in one breath, and no timer, watch or probe be heard meanwhile.
   */
  readonly breathe?: () => Promise<void>;
  /** Whether low keys wait for now; `wake` when that has changed. */
  readonly lowWaits?: () => boolean;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #ready: Readonly<Record<Priority, Set<string>>> = {
    edited: new Set(),
    high: new Set(),
    low: new Set(),
  };
  readonly #running = new Map<string, Promise<void>>();
  /** Asked for again while being worked on. */
  readonly #again = new Map<string, Priority>();
  readonly #delayed = new Map<string, { readonly at: number; readonly cancel: () => void }>();
  readonly #failures = new Map<string, number>();
  readonly #bursts = new Map<string, { readonly since: number; count: number }>();
  #picks = 0;
  #started = false;
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait for a worker, delayed ones not counted. */
  get depth(): number {
    return this.#ready.edited.size + this.#ready.high.size + this.#ready.low.size;
  }

  add(key: string, priority: Priority = "high"): void {
    if (this.#stopped) return;
    if (this.#running.has(key)) {
      const known = this.#again.get(key);
      if (known === undefined || isBefore(priority, known)) this.#again.set(key, priority);
      return;
    }
    if (this.#isHot(key)) return this.addAfter(key, CALMED_MS);
    this.#put(key, priority);
  }

  #put(key: string, priority: Priority): void {
    for (const other of order) {
      if (!this.#ready[other].has(key)) continue;
      if (!isBefore(priority, other)) return;
      this.#ready[other].delete(key);
    }
    this.#ready[priority].add(key);
    this.#fill();
  }

  /** Adds the key later; of several such wishes the earliest counts. Work on the key fulfils them all. */
  addAfter(key: string, delayMs: number): void {
    if (this.#stopped) return;
    const at = this.#options.clock.now() + delayMs;
    const waiting = this.#delayed.get(key);
    if (waiting !== undefined) {
      if (waiting.at <= at) return;
      waiting.cancel();
    }
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#delayed.delete(key);
      if (this.#running.has(key)) this.add(key, "low");
      else this.#put(key, "low");
    });
    this.#delayed.set(key, { at, cancel });
  }

  /** Adds the key after a delay that doubles with every failure in a row. Returns the delay. */
  retry(key: string): number {
    const { firstMs, longestMs } = this.#options.backoff ?? clusterBackoff;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const full = Math.min(longestMs, firstMs * 2 ** Math.min(failures, 30));
    // Stretched or shrunk by a fifth, so that keys that failed together do not come back together.
    const delayMs = Math.round(full * (0.8 + 0.4 * this.#options.random.draw()));
    this.addAfter(key, delayMs);
    return delayMs;
  }

  /** Ends the row of failures. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Nothing more is known of the key: its object is gone. */
  drop(key: string): void {
    this.#failures.delete(key);
    this.#bursts.delete(key);
    this.#delayed.get(key)?.cancel();
    this.#delayed.delete(key);
  }

  /** Begins to hand out keys; before, they gather. */
  start(): void {
    this.#started = true;
    this.#fill();
  }

  /** Looks again at what waits. */
  wake(): void {
    this.#fill();
  }

  /** Takes nothing more, drops what waits, and resolves when the last worker is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    for (const priority of order) this.#ready[priority].clear();
    await Promise.all(this.#running.values());
  }

  #isHot(key: string): boolean {
    const burst = this.#bursts.get(key);
    if (burst === undefined || burst.count < BURST) return false;
    if (this.#options.clock.now() - burst.since < BURST_WINDOW_MS) return true;
    this.#bursts.delete(key);
    return false;
  }

  #countBurst(key: string): void {
    const now = this.#options.clock.now();
    const burst = this.#bursts.get(key);
    if (burst !== undefined && now - burst.since < BURST_WINDOW_MS) burst.count += 1;
    else this.#bursts.set(key, { since: now, count: 1 });
  }

  #fill(): void {
    while (this.#started && !this.#stopped && this.#running.size < this.#options.concurrency) {
      const key = this.#next();
      if (key === undefined) return;
      this.#running.set(key, this.#run(key));
    }
  }

  #next(): string | undefined {
    this.#picks += 1;
    const lowWaits = this.#options.lowWaits?.() === true;
    for (const priority of this.#picks % LOW_EVERY === 0 ? lowFirst : order) {
      if (priority === "low" && lowWaits) continue;
      for (const key of this.#ready[priority]) {
        this.#ready[priority].delete(key);
        return key;
      }
    }
    return undefined;
  }

  async #run(key: string): Promise<void> {
    this.#delayed.get(key)?.cancel();
    this.#delayed.delete(key);
    this.#countBurst(key);
    // Also keeps `work` out of the caller's stack: add() returns before anything happens.
    await (this.#options.breathe?.() ?? Promise.resolve());
    try {
      await this.#options.work(key);
    } finally {
      this.#running.delete(key);
      const again = this.#again.get(key);
      this.#again.delete(key);
      if (again !== undefined) this.add(key, again);
      this.#fill();
    }
  }
}

function isBefore(one: Priority, other: Priority): boolean {
  return order.indexOf(one) < order.indexOf(other);
}
