/**
 * What the spool does beside its callers: checkpoints, compaction, deletion. None of it can lose mail: when
 * it fails it has cost disk space or time, is logged, and is tried again with a later batch.
 */
import type { Log } from "../../kit/log.ts";
import type { Instant, MessageId } from "../../message.ts";
import type { Files } from "../files.ts";
import { compact } from "./compaction.ts";
import type { Content, ContentStore } from "./contentStore.ts";
import type { Envelopes, LostEnvelope } from "./envelopes.ts";
import type { MessageColumns } from "./messageColumns.ts";
import { encodeMetadata, type RawMetadata } from "./metadata.ts";
import type { MetadataLog } from "./metadataLog.ts";

export interface UpkeepParts {
  readonly files: Files;
  readonly log: Log;
  readonly index: MessageColumns;
  readonly envelopes: Envelopes;
  readonly metadata: MetadataLog;
  readonly contents: ContentStore;
  readonly now: () => Instant;
  readonly checkpointBytes: number;
  readonly slackBytes: number;
  /** Whether compaction shall end: closing, or a store that fails. */
  readonly stopped: () => boolean;
  readonly move: (content: Content) => Promise<void>;
  /** Keeps what is left of a message whose envelope is gone, and takes it out of the queue. */
  readonly setAside: (lost: LostEnvelope) => Promise<void>;
}

/** Envelopes of a checkpoint that are in memory at a time. */
const CHECKPOINT_STEP = 512;
/** After a checkpoint that failed the next is not tried before this: each try begins a log. */
const CHECKPOINT_PAUSE_MS = 60_000;
/** Updates chained to envelopes beyond this, and beyond two a message, are worth a checkpoint. */
const MOST_CHAINED = 100_000;

export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #running = new Set<Promise<void>>();
  #checkpointing = false;
  #notBefore = Number.NEGATIVE_INFINITY;
  #compacting = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /**
   * Between two batches: when the logs have outgrown the state, a new one begins at once, and the
   * checkpoint of the old ones is written while it grows. Rejects when no new log can be had.
   */
  async checkpointIfDue(): Promise<void> {
    const { metadata, index, checkpointBytes, now } = this.#parts;
    const chained = index.chained > MOST_CHAINED + 2 * index.count;
    const wanted = chained || metadata.wantsCheckpoint(checkpointBytes);
    if (this.#checkpointing || !wanted || now() < this.#notBefore) {
      if (metadata.isLong) await metadata.startLog();
      return;
    }
    await metadata.startLog();
    this.#checkpointing = true;
    this.start("writing a checkpoint", async () => {
      try {
        await this.#checkpoint();
      } catch (error) {
        this.#notBefore = now() + CHECKPOINT_PAUSE_MS;
        throw error;
      } finally {
        this.#checkpointing = false;
      }
    });
  }

  compactIfDue(): void {
    const { contents, slackBytes, stopped } = this.#parts;
    if (this.#compacting || stopped() || contents.compactionVictim(slackBytes) === null) return;
    this.#compacting = true;
    this.start("compacting content", async () => {
      try {
        await compact(this.#parts);
      } finally {
        this.#compacting = false;
      }
    });
  }

  /** Runs work nobody waits for. */
  start(action: string, work: () => Promise<void>): void {
    const running = this.tidy(action, work).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Runs work whose failure is only logged. Never rejects. */
  async tidy(action: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#parts.log.warn("housekeeping of the spool failed", { action, error });
    }
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Writes every envelope together with its updates, and has them read from there from then on. */
  async #checkpoint(): Promise<void> {
    const { index, metadata } = this.#parts;
    /** What of the chunk being written lies in which slot. */
    let written: { readonly slot: number; readonly id: MessageId; readonly chain: number }[] = [];
    let durable: number | null = null;
    const chunks = async function* (this: Upkeep): AsyncGenerator<RawMetadata[]> {
      const { envelopes, now, setAside } = this.#parts;
      const usage = index.usage(now()).map((use) => encodeMetadata({ kind: "usage", ...use }));
      if (usage.length > 0) yield usage;
      const slots = [...index.slots()];
      for (let start = 0; start < slots.length; start += CHECKPOINT_STEP) {
        const { records, lost } = await envelopes.records(slots.slice(start, start + CHECKPOINT_STEP));
        // Durable elsewhere before the log goes that had it; were it not, no checkpoint would ever succeed again.
        for (const each of lost) await setAside(each);
        written = records.map(({ slot, id, chain }) => ({ slot, id, chain }));
        if (records.length > 0) yield records.map(({ record }) => record);
        written = [];
      }
    };
    index.beginRelocation();
    try {
      await metadata.checkpoint(chunks.call(this), {
        written: (_, offsets) => {
          for (const [position, { slot, id, chain }] of written.entries()) {
            index.relocate(slot, id, offsets[position] ?? 0, chain);
          }
        },
        named: (file) => {
          durable = file;
          index.endRelocation(file);
        },
      });
    } finally {
      if (durable === null) index.endRelocation(null);
    }
  }
}
