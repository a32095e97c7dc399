/**
 * The spool's contract in memory, for tests of everything that stands on it. The "disk" is a value that
 * outlives the spool: open another spool on it to play a restart, after `close()` or after none (kill -9).
 * Its faults are set by hand.
 */
import { Readable } from "node:stream";

import type { Clock } from "../kit/clock.ts";
import type { MessageId, QueuedMessage } from "../message.ts";
import { checkCommit } from "./log/checkCommit.ts";
import type { MetadataRecord } from "./log/metadata.ts";
import { SpoolIndex } from "./log/spoolIndex.ts";
import {
  type ContentWriter,
  type RecipientUpdate,
  type RecoveredSpool,
  type Spool,
  SpoolError,
  type SpoolHealth,
  type UsageRecord,
  waitingOf,
} from "./spool.ts";

/** What survives: set `failure` to make writing fail, `full` to have new messages refused. */
export interface MemoryDisk {
  readonly records: MetadataRecord[];
  readonly contents: Map<MessageId, Buffer>;
  createdAt: number | undefined;
  failure: string | null;
  full: boolean;
}

export function createMemoryDisk(): MemoryDisk {
  return { records: [], contents: new Map(), createdAt: undefined, failure: null, full: false };
}

export function createMemorySpool(options: { clock: Clock; disk?: MemoryDisk }): Spool {
  return new MemorySpool(options.clock, options.disk ?? createMemoryDisk());
}

class MemorySpool implements Spool {
  readonly #clock: Clock;
  readonly #disk: MemoryDisk;
  readonly #index = new SpoolIndex();
  /** Committed in this life and not deferred since: what a store with files still has in memory. */
  readonly #fresh = new Set<MessageId>();
  readonly #listeners: ((health: SpoolHealth) => void)[] = [];
  #health: SpoolHealth = { state: "Ok" };
  #closed = false;

  constructor(clock: Clock, disk: MemoryDisk) {
    this.#clock = clock;
    this.#disk = disk;
  }

  /** Memory does not rot. */
  readonly setAside = [];

  get health(): SpoolHealth {
    return this.#health;
  }

  onHealth(listener: (health: SpoolHealth) => void): void {
    this.#listeners.push(listener);
  }

  async recover(): Promise<RecoveredSpool> {
    this.#mustBeOpen();
    this.#disk.createdAt ??= this.#clock.now();
    for (const record of this.#disk.records) this.#index.apply(record);
    const messages = this.#index.messages();
    return {
      count: messages.length,
      waiting: messages.map(waitingOf),
      usage: this.#index.usage(this.#clock.now()).map(({ counter, taken }) => ({ counter, taken })),
      createdAt: this.#disk.createdAt,
      tornBytes: 0,
      damagedBytes: 0,
    };
  }

  async begin(id: MessageId): Promise<ContentWriter> {
    this.#mustBeOpen();
    this.#mustWork();
    if (this.#disk.full) {
      this.#setHealth({ state: "Failed", reason: "the disk is full", since: this.#clock.now(), full: true });
      throw new SpoolError("Cannot take a message: the disk is full.");
    }
    const chunks: Buffer[] = [];
    let ended = false;
    return {
      id,
      write: async (...more) => {
        this.#mustWork();
        for (const chunk of more) chunks.push(Buffer.from(chunk));
      },
      commit: async (message: QueuedMessage) => {
        const content = Buffer.concat(chunks);
        checkCommit(message, { id, bytes: content.length, ended, known: this.#index.get(id) !== undefined });
        ended = true;
        this.#disk.contents.set(id, content);
        try {
          await this.#write([{ kind: "message", message, content: null }]);
          this.#fresh.add(id);
        } catch (error) {
          this.#disk.contents.delete(id);
          throw error;
        }
      },
      abort: async () => {
        ended = true;
      },
    };
  }

  async record(updates: readonly RecipientUpdate[]): Promise<void> {
    this.#mustBeOpen();
    for (const { id } of updates) this.#fresh.delete(id);
    await this.#write(updates.flatMap((update) => this.#index.recordOf(update) ?? []));
  }

  async recordUsage(records: readonly UsageRecord[]): Promise<void> {
    this.#mustBeOpen();
    const at = this.#clock.now();
    await this.#write(records.map(({ counter, taken }) => ({ kind: "usage", counter, taken, at })));
  }

  atHand(id: MessageId): readonly Buffer[] | null {
    this.#mustBeOpen();
    const content = this.#index.get(id) === undefined ? undefined : this.#disk.contents.get(id);
    return content === undefined || !this.#fresh.has(id) ? null : [content];
  }

  async load(ids: readonly MessageId[]): Promise<readonly (QueuedMessage | null)[]> {
    this.#mustBeOpen();
    await turn();
    return ids.map((id) => {
      const message = this.#index.get(id)?.message;
      // A list of its own: that of the index changes with the next record.
      return message === undefined ? null : { ...message, recipients: [...message.recipients] };
    });
  }

  read(id: MessageId, range: { start: number; end?: number } = { start: 0 }): Readable {
    this.#mustBeOpen();
    const content = this.#disk.contents.get(id);
    if (content === undefined || this.#index.get(id) === undefined) {
      const missing = new SpoolError(`Cannot read message ${id}: it is not in the spool.`);
      return new Readable({ construct: (callback) => callback(missing), read() {} });
    }
    return Readable.from([content.subarray(range.start, range.end)], { objectMode: false });
  }

  async probe(): Promise<SpoolHealth> {
    this.#mustBeOpen();
    if (this.#disk.failure === null && !this.#disk.full) this.#setHealth({ state: "Ok" });
    return this.#health;
  }

  async close(): Promise<void> {
    this.#closed = true;
    // What was asked for before is written first.
    await turn();
  }

  async #write(records: readonly MetadataRecord[]): Promise<void> {
    await turn();
    this.#mustWork();
    for (const record of records) {
      // Through JSON, as on a disk: no object is shared with the caller.
      this.#disk.records.push(JSON.parse(JSON.stringify(record)) as MetadataRecord);
      const { removed } = this.#index.apply(record);
      if (removed !== undefined) this.#disk.contents.delete(removed.message.id);
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new SpoolError("Cannot use the spool: it is closed.");
  }

  #mustWork(): void {
    const { failure } = this.#disk;
    if (failure !== null) {
      this.#setHealth({ state: "Failed", reason: failure, since: this.#clock.now() });
    }
    if (this.#health.state === "Failed" && this.#health.full !== true) {
      throw new SpoolError(`Cannot write the spool: ${this.#health.reason}.`);
    }
  }

  #setHealth(health: SpoolHealth): void {
    if (health.state === this.#health.state) return;
    this.#health = health;
    for (const listener of this.#listeners) listener(health);
  }
}

/** A turn of the event loop, as real storage takes: callers must not count on less. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
