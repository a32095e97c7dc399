/**
 * What the spool does beside its callers: checkpoints, compaction, deletion. None of it can lose mail: when
 * it fails it has cost disk space or time, is logged, and is tried again with a later batch.
 */
import type { Log } from "../../kit/log.ts";
import type { Instant } from "../../message.ts";
import type { Files } from "../files.ts";
import { compact } from "./compaction.ts";
import type { Content, ContentStore } from "./contentStore.ts";
import type { MetadataRecord } from "./metadata.ts";
import type { MetadataLog } from "./metadataLog.ts";
import type { SpoolIndex } from "./spoolIndex.ts";

export interface UpkeepParts {
  readonly files: Files;
  readonly log: Log;
  readonly index: SpoolIndex;
  readonly metadata: MetadataLog;
  readonly contents: ContentStore;
  readonly now: () => Instant;
  readonly checkpointBytes: number;
  readonly slackBytes: number;
  /** Whether compaction shall end: closing, or a store that fails. */
  readonly stopped: () => boolean;
  readonly move: (content: Content) => Promise<void>;
}

export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #running = new Set<Promise<void>>();
  #checkpointing = false;
  #compacting = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /**
   * Between two batches: when the logs have outgrown the state, a new one begins at once, and the
   * checkpoint of the old ones is written while it grows. Rejects when no new log can be had.
   */
  async checkpointIfDue(): Promise<void> {
    const { metadata, checkpointBytes } = this.#parts;
    if (this.#checkpointing || !metadata.wantsCheckpoint(checkpointBytes)) return;
    await metadata.startLog();
    this.#checkpointing = true;
    this.start("writing a checkpoint", async () => {
      try {
        await metadata.checkpoint(this.#state());
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

  *#state(): Generator<MetadataRecord> {
    const { index, now } = this.#parts;
    for (const usage of index.usage(now())) yield { kind: "usage", ...usage };
    for (const id of index.ids()) {
      const entry = index.get(id);
      if (entry !== undefined) yield { kind: "message", message: entry.message, content: entry.content };
    }
  }
}
