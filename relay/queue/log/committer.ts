/**
 * Makes batches durable: content and its records into the segment, with one write and one sync; records
 * alone into the metadata log. Then the index follows. Whatever changes the spool's state goes through here, so that index and disk
 * never disagree: a batch counts as a whole, or not at all.
 */
import type { Files } from "../files.ts";
import type { MessageId } from "../../message.ts";
import { storedBytes } from "./contentBlocks.ts";
import type { Content, ContentStore } from "./contentStore.ts";
import { createGroupCommit, type GroupCommit } from "./groupCommit.ts";
import { isFull, reasonOf, type StoreHealth } from "./health.ts";
import { type ContentLocation, encodeMetadata, type MetadataRecord, type RawMetadata } from "./metadata.ts";
import type { MetadataLog } from "./metadataLog.ts";
import type { MessageColumns } from "./messageColumns.ts";

export interface CommitterParts {
  readonly files: Files;
  readonly index: MessageColumns;
  readonly metadata: MetadataLog;
  readonly contents: ContentStore;
  readonly health: StoreHealth;
  readonly batchBytes: number;
  /** Calls back when records that wait for company have waited long enough. */
  readonly patience: (action: () => void) => void;
  /** Called with each batch before anything of it is written. */
  readonly beforeBatch: () => Promise<void>;
  /** Called after each durable batch. */
  readonly afterBatch: () => void;
  /** Deletes what nobody needs any more, beside the callers. */
  readonly discard: (id: MessageId, content: ContentLocation, sizeBytes: number) => void;
  /** Leaves a full segment, beside the callers. */
  readonly sealed: () => Promise<void>;
}

interface Item {
  readonly content: Content | null;
  records(location: ContentLocation): readonly MetadataRecord[];
}

/** About what an envelope weighs: the cap of a batch need not be exact. */
const RECORD_BYTES = 256;

export class Committer {
  readonly #parts: CommitterParts;
  readonly #commits: GroupCommit<Item>;

  constructor(parts: CommitterParts) {
    this.#parts = parts;
    this.#commits = createGroupCommit({
      batchBytes: parts.batchBytes,
      patience: parts.patience,
      flush: (items) => this.#flush(items),
    });
  }

  /** Rejects with SpoolError, and then nothing of it will come back. Patient ones ride with what comes next. */
  submitRecords(records: readonly MetadataRecord[], urgency?: "urgent" | "patient"): Promise<void> {
    const item = { content: null, records: () => records };
    return this.#commits.submit(item, RECORD_BYTES * records.length, urgency);
  }

  /** Content and the records that name its place, together. */
  submitContent(
    content: Content,
    records: (location: ContentLocation) => readonly MetadataRecord[],
    recipients = 0,
  ): Promise<void> {
    const bytes = storedBytes(content.sizeBytes) + RECORD_BYTES * (2 + recipients);
    return this.#commits.submit({ content, records }, bytes);
  }

  idle(): Promise<void> {
    return this.#commits.idle();
  }

  async #flush(items: readonly Item[]): Promise<void> {
    const { health, beforeBatch, afterBatch } = this.#parts;
    health.mustWrite();
    let written;
    try {
      await beforeBatch();
      written = await this.#write(items);
    } catch (error) {
      throw await this.#abandon(error);
    }
    // From here on the batch is durable: nothing below may fail it.
    written.accept();
    for (const [position, record] of written.records.entries()) {
      const raw = written.raw[position];
      if (raw !== undefined) this.#apply(record, raw, written.file, written.offsets[position] ?? 0);
    }
    await this.#catchUp();
    afterBatch();
  }

  async #write(items: readonly Item[]) {
    const { metadata, contents } = this.#parts;
    const placed = items.flatMap((item) => item.content ?? []);
    const places = (await contents.place(placed)).values();
    const records = items.flatMap((item) =>
      item.records(item.content === null ? null : (places.next().value ?? null)),
    );
    const raw = records.map(encodeMetadata);
    if (placed.length === 0) {
      const log = await metadata.append(raw);
      return { records, raw, file: log.file, offsets: log.offsets, accept: () => log.accept() };
    }
    const batch = metadata.journal(raw, contents.nextPlace.segment);
    const content = await contents.append(placed, batch.records);
    return {
      records,
      raw,
      file: batch.file,
      offsets: batch.offsets,
      accept: () => {
        content.accept();
        batch.accept();
      },
    };
  }

  /** Lets the log follow the journals, at the latest before their segment is left. */
  async #catchUp(): Promise<void> {
    const { metadata, contents } = this.#parts;
    if (contents.isFull || metadata.wantsFlush) {
      try {
        await metadata.flush();
      } catch (error) {
        // The batch itself is safe in its journal; a new log will take up what this one did not.
        await this.#abandon(error);
        return;
      }
    }
    await contents.logCaughtUp();
    if (contents.isFull) await this.#parts.sealed();
  }

  /**
   * After a failed write or sync neither file is trusted again (files.ts). On a full disk a new log is tried
   * at once: records of delivery are small, and they are what makes room.
   */
  async #abandon(error: unknown): Promise<Error> {
    const { metadata, contents, health } = this.#parts;
    await metadata.abandon();
    await contents.abandon();
    const failure = health.failed("writing a batch", error, { logIntact: false });
    if (isFull(error)) {
      try {
        await metadata.startLog();
        health.setFull(reasonOf(error));
        health.setFault(null);
      } catch {
        // Not even that: the fault stands until a probe succeeds.
      }
    }
    return failure;
  }

  #apply(record: MetadataRecord, raw: RawMetadata, file: number, offset: number): void {
    const { index, contents, discard } = this.#parts;
    const { removed, left } = index.apply(raw, file, offset);
    switch (record.kind) {
      case "message":
        contents.hold(record.content, record.message.sizeBytes);
        break;
      case "moved": {
        const entry = index.get(record.id);
        if (entry === undefined || left === undefined) break;
        contents.hold(record.content, entry.sizeBytes);
        discard(record.id, left, entry.sizeBytes);
        break;
      }
      case "update":
      case "removed":
      case "usage":
      case "batch":
      case "journal":
      case "checkpointEnd":
    }
    if (removed !== undefined) discard(removed.id, removed.content, removed.sizeBytes);
  }
}
