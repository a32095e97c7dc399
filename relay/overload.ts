/**
 * Looks at the load once a second and lets the receiver act on the judgement (policy/overload.ts): slower,
 * then 421, then not ready; and back by itself. Delivery goes on through all of it, for it makes room.
 */
import type { Clock } from "./kit/clock.ts";
import type { LoadProbe } from "./kit/loadProbe.ts";
import type { Log } from "./kit/log.ts";
import {
  calm,
  judgeOverload,
  mailDelayMs,
  notReadyReason,
  type OverloadState,
  shutReason,
} from "./policy/overload.ts";
import type { Receiver } from "./smtp/receive.ts";

const LOOK_EVERY_MS = 1000;

export interface OverloadOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly probe: LoadProbe;
  /** Kept free by the spool (queue/log/limits.ts). */
  readonly diskReserveBytes: number;
  readonly receiver: Pick<Receiver, "pauseAccepting" | "slowMail">;
}

export class OverloadWatch {
  readonly #options: OverloadOptions;
  #state: OverloadState;
  #stopped = false;
  #cancel: () => void = () => {};

  constructor(options: OverloadOptions) {
    this.#options = options;
    this.#state = calm(options.clock.now());
    this.#arm();
  }

  get state(): OverloadState {
    return this.#state;
  }

  /** Why the pod shall get no more sessions, or null. */
  notReadyReason(): string | null {
    return notReadyReason(this.#state, this.#options.clock.now());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
    this.#options.probe.stop();
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(LOOK_EVERY_MS, () => {
      void this.#look().finally(() => this.#arm());
    });
  }

  async #look(): Promise<void> {
    const { clock, log, probe, diskReserveBytes, receiver } = this.#options;
    const { loopDelayMs, memory, diskFreeBytes } = await probe.look();
    if (this.#stopped) return;
    const disk = diskFreeBytes === null ? null : { freeBytes: diskFreeBytes, reserveBytes: diskReserveBytes };
    const before = this.#state;
    this.#state = judgeOverload(before, { loopDelayMs, memory, disk }, clock.now());
    if (this.#state.level === before.level) return;
    receiver.slowMail(mailDelayMs(this.#state));
    receiver.pauseAccepting(shutReason(this.#state));
    const { level, reason } = this.#state;
    if (level === "Calm") log.info("overload is over", { was: before.level });
    else log.warn("overloaded", { step: level, reason, was: before.level });
  }
}
