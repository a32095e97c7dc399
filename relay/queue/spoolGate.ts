/**
 * The door between the engine and a spool that may fail. While what was delivered cannot be written down,
 * nothing more is delivered: a crash would send it again. Writes wait here until the spool works; it is
 * asked on a timer that gets slower, and listened to.
 */
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Instant } from "../message.ts";
import type { Spool, SpoolHealth } from "./spool.ts";

const FIRST_PROBE_MS = 1000;
const LONGEST_PROBE_MS = 60_000;
/** A full disk is only asked for its free space: cheap, and whoever made room wants to see it soon. */
const FULL_PROBE_MS = 5000;

export class SpoolGate {
  readonly #spool: Spool;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onOpen: () => void;
  #failure: { readonly reason: string; readonly since: Instant } | null = null;
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  #probeDelayMs = FIRST_PROBE_MS;
  #cancelProbe: (() => void) | null = null;
  #closed = false;

  constructor(options: { spool: Spool; clock: Clock; log: Log; onOpen: () => void }) {
    this.#spool = options.spool;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onOpen = options.onOpen;
    this.#spool.onHealth((health) => this.#heard(health));
    // A spool that could not even begin its log had its trouble before anyone listened.
    this.#heard(this.#spool.health);
  }

  /** Why nothing is delivered, or null. */
  get failure(): { readonly reason: string; readonly since: Instant } | null {
    return this.#failure;
  }

  /** Runs `action` until it succeeds. Rejects only when the gate was closed meanwhile. */
  async write(action: () => Promise<void>): Promise<void> {
    for (;;) {
      if (this.#closed) throw new Error("Cannot record: the engine has stopped and the spool does not work.");
      if (this.#failure === null) {
        try {
          return await action();
        } catch (error) {
          this.#fail(error instanceof Error ? error.message : String(error));
        }
      }
      if (!this.#closed) {
        await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
      }
    }
  }

  /** Something else could not be written: pauses delivery and starts to probe. */
  fail(reason: string): void {
    this.#fail(reason);
  }

  /** What still waits is given up; nothing is probed any more. */
  close(): void {
    this.#closed = true;
    this.#cancelProbe?.();
    this.#cancelProbe = null;
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new Error("Cannot record: the engine has stopped and the spool does not work."));
    }
  }

  #heard(health: SpoolHealth): void {
    if (health.state === "Ok") return this.#open();
    if (health.full !== true) return this.#fail(health.reason);
    // A full disk takes no new message, but still takes notes of what was delivered. Nobody else asks
    // whether there is room again: clients are refused before anything is opened for them.
    this.#armProbe(FULL_PROBE_MS);
  }

  #fail(reason: string): void {
    if (this.#failure === null) {
      this.#failure = { reason, since: this.#clock.now() };
      this.#probeDelayMs = FIRST_PROBE_MS;
      this.#log.error("delivery paused: the spool cannot record", { reason });
    }
    this.#armProbe();
  }

  #armProbe(delayMs = this.#probeDelayMs): void {
    if (this.#closed || this.#cancelProbe !== null) return;
    this.#cancelProbe = this.#clock.after(delayMs, () => {
      this.#probeDelayMs = Math.min(this.#probeDelayMs * 2, LONGEST_PROBE_MS);
      void this.#probe();
    });
  }

  async #probe(): Promise<void> {
    const health = await this.#spool.probe().catch(() => this.#spool.health);
    this.#cancelProbe = null;
    if (this.#closed) return;
    if (health.state === "Ok" || health.full === true) this.#open();
    if (health.state === "Failed") this.#armProbe(health.full === true ? FULL_PROBE_MS : undefined);
  }

  #open(): void {
    if (this.#failure === null || this.#closed) return;
    this.#log.info("delivery goes on: the spool records again", { failedSince: this.#failure.since });
    this.#failure = null;
    this.#cancelProbe?.();
    this.#cancelProbe = null;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    this.#onOpen();
  }
}
