/** Whether the disk has room for new messages: what is free, against what is kept in reserve for deliveries. */
import type { Instant } from "../../message.ts";
import type { Files } from "../files.ts";
import type { StoreHealth } from "./health.ts";

/** Free space is asked for at most this often. */
const FREE_SPACE_AGE_MS = 1000;

export interface FreeSpaceParts {
  readonly files: Files;
  readonly directory: string;
  readonly now: () => Instant;
  readonly reserveBytes: number;
  readonly health: StoreHealth;
}

export class FreeSpace {
  readonly #parts: FreeSpaceParts;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: FreeSpaceParts) {
    this.#parts = parts;
  }

  /** Whether the last answer is too old to take a message on. */
  get isOld(): boolean {
    return this.#parts.now() - this.#askedAt >= FREE_SPACE_AGE_MS;
  }

  /** Asks, and tells the store's health. */
  async ask(): Promise<void> {
    const { files, directory, now, reserveBytes, health } = this.#parts;
    this.#askedAt = now();
    const free = await files.freeBytes(directory);
    const inMib = (bytes: number) => `${Math.floor(bytes / 1_048_576)} MiB`;
    health.setFull(
      free < reserveBytes
        ? `the disk is nearly full: ${inMib(free)} are free, ${inMib(reserveBytes)} are kept in reserve`
        : null,
    );
  }
}
