/**
 * How long a client may take: RFC 5321 §4.5.3.2.7 gives a server five minutes for the next command, and the
 * same goes here for each 64 KiB of content. Counting bytes, not packets: a client that sends one byte a
 * minute makes no progress.
 */
import type { Clock } from "../kit/clock.ts";

const PATIENCE_MS = 5 * 60 * 1000;
const CONTENT_STEP_BYTES = 64 * 1024;

export class SessionWatch {
  readonly #clock: Clock;
  readonly #onTimeout: () => void;
  #progressAt: number;
  #receivedBytes = 0;
  #isStopped = false;
  #cancel: () => void;

  constructor(clock: Clock, onTimeout: () => void) {
    this.#clock = clock;
    this.#onTimeout = onTimeout;
    this.#progressAt = clock.now();
    this.#cancel = clock.after(PATIENCE_MS, () => this.#look());
  }

  /** A command came, or we answered one. */
  progress(): void {
    this.#progressAt = this.#clock.now();
    this.#receivedBytes = 0;
  }

  /** Bytes of content came. */
  received(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes >= CONTENT_STEP_BYTES) this.progress();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  /** One timer a session, not one a command: when it fires, it looks how much patience is left. */
  #look(): void {
    const left = this.#progressAt + PATIENCE_MS - this.#clock.now();
    if (left <= 0) this.#onTimeout();
    // The session may live on: the time-out counts only while the client owes us something.
    if (!this.#isStopped) this.#cancel = this.#clock.after(left > 0 ? left : PATIENCE_MS, () => this.#look());
  }
}
