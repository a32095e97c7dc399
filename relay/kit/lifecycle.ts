/**
 * Ordered start and stop: what was started last is stopped first. Each stop has a deadline, after which
 * the next one goes on and the overrun is logged, so that a hanging part cannot keep a pod from ending.
 */
import { type Clock, sleep } from "./clock.ts";
import type { Log } from "./log.ts";

export interface Part {
  readonly name: string;
  stop(): Promise<void> | void;
  readonly deadlineSeconds: number;
}

export class Lifecycle {
  readonly #parts: Part[] = [];
  readonly #clock: Clock;
  readonly #log: Log;
  #stopping: Promise<void> | undefined;

  constructor(options: { clock: Clock; log: Log }) {
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Registers something that runs now. */
  started(part: Part): void {
    this.#parts.push(part);
  }

  /** Stops all parts in reverse order; a second call waits for the first. Never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    for (const part of this.#parts.splice(0).toReversed()) {
      const overrun = new AbortController();
      const timeout = sleep(this.#clock, part.deadlineSeconds * 1000, overrun.signal).then(() => "late");
      try {
        const ended = await Promise.race([Promise.resolve(part.stop()).then(() => "stopped"), timeout]);
        if (ended === "late")
          this.#log.warn("part did not stop in time", { part: part.name, seconds: part.deadlineSeconds });
      } catch (error) {
        this.#log.error("part failed while stopping", { part: part.name, error });
      } finally {
        overrun.abort();
      }
    }
  }
}
