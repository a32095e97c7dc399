/**
 * One kind's loop: keys come from watches and from time, a reconcile gathers, plans and acts, one status
 * write says how it is, the result says when to come back. An error is logged and tried again with
 * backoff; nothing a reconcile throws ends the loop.
 */
import { KubeError, type ObjectKey } from "../adapters/kubeClient.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import { keyText, parseKey } from "./cache.ts";
import type { KeyedLock } from "./keyedLock.ts";
import type { ListTurns } from "./listTurns.ts";
import type { ReconcileObserver } from "./observer.ts";
import type { OwnWrites, Written } from "./ownWrites.ts";
import type { ReconcileResult } from "./result.ts";
import { type Priority, WorkQueue } from "./workQueue.ts";
import { sameJson, type StatusWrite, type Writer } from "./writer.ts";

/** How a pass over one object ended. */
export interface Pass {
  readonly result: ReconcileResult;
  readonly status: StatusWrite;
  /** What kept the pass from carrying out its plan; told after the status is written. */
  readonly failure?: Error;
}

export interface ControllerOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly concurrency: number;
  readonly ownWrites: OwnWrites;
  readonly writer: Writer;
  readonly lock: KeyedLock;
  /** What a pass over this object must have for itself, from its gathering to its status. */
  readonly lockNames: (key: ObjectKey) => readonly string[];
  /** Whether a pass over this object reads what was written there, and so waits until it has come back. */
  readonly concerns: (key: ObjectKey, written: Written) => boolean;
  /** "gone": there is no such object, or nothing to be done with it. */
  readonly reconcile: (key: ObjectKey) => Promise<Pass | "gone">;
  readonly observer?: ReconcileObserver;
  readonly breathe?: () => Promise<void>;
  /** When timed looks wait. */
  readonly turns?: Pick<ListTurns, "rush" | "afterRush">;
}

/** Everything is looked at again after this long even if nothing happened, against what watches missed. */
const RESYNC_SECONDS = 36_000;

export class Controller {
  readonly #options: ControllerOptions;
  readonly #queue: WorkQueue;
  readonly #log: Log;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#log = options.log.with({ controller: options.name });
    this.#queue = new WorkQueue({
      clock: options.clock,
      random: options.random,
      concurrency: options.concurrency,
      work: (key) => this.#work(key),
      ...(options.breathe === undefined ? {} : { breathe: options.breathe }),
      lowWaits: () => options.turns?.rush === true,
    });
    options.turns?.afterRush(() => this.#queue.wake());
  }

  get name(): string {
    return this.#options.name;
  }

  /** Keys that wait for a worker. */
  get depth(): number {
    return this.#queue.depth;
  }

  enqueue(key: ObjectKey, priority: Priority = "high"): void {
    this.#options.observer?.added(this.name, keyText(key));
    this.#queue.add(keyText(key), priority);
  }

  /** Begins to work; keys enqueued before have gathered. */
  start(): void {
    this.#queue.start();
  }

  async stop(): Promise<void> {
    await this.#queue.stop();
  }

  async #work(text: string): Promise<void> {
    const key = parseKey(text);
    const { observer } = this.#options;
    observer?.started(this.name, text);
    try {
      const result = await this.#pass(key);
      const settled = result === "gone" || result.kind === "settled" || result.kind === "stalled";
      observer?.finished(this.name, text, settled ? "success" : "requeue_after");
      this.#queue.forget(text);
      if (result === "gone") this.#queue.drop(text);
      else this.#comeBack(text, result);
    } catch (error) {
      observer?.finished(this.name, text, "error");
      const delayMs = this.#queue.retry(text);
      const retryInSeconds = Math.round(delayMs / 1000);
      const level = error instanceof KubeError && error.reason !== "Invalid" ? "warn" : "error";
      this.#log[level]("reconcile failed", { ...key, retryInSeconds, error });
    }
  }

  async #pass(key: ObjectKey): Promise<ReconcileResult | "gone"> {
    const { concerns, lock, lockNames, ownWrites, reconcile, writer } = this.#options;
    for (;;) {
      const names = lockNames(key);
      const result = await lock.run(names, async () => {
        await ownWrites.caughtUp((written) => concerns(key, written));
        // While we waited, the object may have come to name something else.
        if (!sameJson(lockNames(key), names)) return null;
        const pass = await reconcile(key);
        if (pass === "gone") return pass;
        await writer.status(pass.status);
        if (pass.failure !== undefined) throw pass.failure;
        return pass.result;
      });
      if (result !== null) return result;
    }
  }

  #comeBack(text: string, result: ReconcileResult): void {
    const seconds =
      result.kind === "again" || result.kind === "waiting" ? result.afterSeconds : RESYNC_SECONDS;
    // Up to a tenth longer, so that what was made together is not looked at together for ever.
    const jitter = 1 + this.#options.random.draw() * 0.1;
    this.#queue.addAfter(text, Math.max(0, seconds) * 1000 * jitter);
  }
}
