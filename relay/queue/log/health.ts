/**
 * Whether the store can do its duty, and what it says when it cannot. Two troubles are told apart: a fault
 * (a write or a sync failed; nothing is written until a probe succeeds) and a disk that is nearly full (new
 * messages are refused, records of delivery still work and make room).
 */
import type { Log } from "../../kit/log.ts";
import type { Instant } from "../../message.ts";
import { codeOf } from "../files.ts";
import { SpoolError, type SpoolHealth } from "../spool.ts";

const words: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left on the device",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EIO: "input/output error",
  EACCES: "permission denied",
  EMFILE: "too many files are open",
  ENOENT: "the folder or a file of it is missing",
};

export class StoreHealth {
  readonly #now: () => Instant;
  readonly #log: Log;
  readonly #listeners: ((health: SpoolHealth) => void)[] = [];
  #fault: string | null = null;
  #full: string | null = null;
  #health: SpoolHealth = { state: "Ok" };

  constructor({ now, log }: { now: () => Instant; log: Log }) {
    this.#now = now;
    this.#log = log;
  }

  get current(): SpoolHealth {
    return this.#health;
  }

  get faulty(): boolean {
    return this.#fault !== null;
  }

  onChange(listener: (health: SpoolHealth) => void): void {
    this.#listeners.push(listener);
  }

  setFault(reason: string | null): void {
    this.#fault = reason;
    this.#publish();
  }

  setFull(reason: string | null): void {
    this.#full = reason;
    this.#publish();
  }

  /**
   * What a failed operation means for the store, and what its caller hears. `logIntact` tells that neither
   * log nor segment was touched, so that a full disk need not stop records of delivery.
   */
  failed(action: string, error: unknown, { logIntact }: { readonly logIntact: boolean }): SpoolError {
    // Said already, by whoever failed first.
    if (error instanceof SpoolError) return error;
    const reason = reasonOf(error);
    // Too many open files: this caller's trouble, and soon over.
    const passing = ["EMFILE", "ENFILE"].includes(codeOf(error));
    if (!(logIntact && passing)) {
      if (this.#health.state === "Ok") this.#log.error("the spool failed", { action, error });
      if (logIntact && isFull(error)) this.setFull(reason);
      else this.setFault(reason);
    }
    return new SpoolError(`Cannot write the spool: ${action} failed: ${reason}.`, { cause: error });
  }

  /** Throws when nothing can be written. */
  mustWrite(): void {
    if (this.#fault !== null) throw new SpoolError(`Cannot write the spool: ${this.#fault}.`);
  }

  /** Throws when no new message can be taken. */
  mustAccept(): void {
    this.mustWrite();
    if (this.#full !== null) throw new SpoolError(`Cannot take a message: ${this.#full}.`);
  }

  #publish(): void {
    const before = this.#health;
    const since = before.state === "Failed" ? before.since : this.#now();
    if (this.#fault !== null) this.#health = { state: "Failed", reason: this.#fault, since };
    else if (this.#full !== null) this.#health = { state: "Failed", reason: this.#full, since, full: true };
    else this.#health = { state: "Ok" };
    const same =
      before.state === "Failed" && this.#health.state === "Failed"
        ? before.reason === this.#health.reason && before.full === this.#health.full
        : before.state === this.#health.state;
    if (!same) for (const listener of this.#listeners) listener(this.#health);
  }
}

/** Why a file operation failed, in words, with the system's code: "input/output error (EIO)". */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  const text = words[code] ?? (error instanceof Error ? error.message : String(error));
  return code === "" ? text : `${text} (${code})`;
}

/** Whether the disk, or our share of it, is full: making room helps. */
export function isFull(error: unknown): boolean {
  return codeOf(error) === "ENOSPC" || codeOf(error) === "EDQUOT";
}
