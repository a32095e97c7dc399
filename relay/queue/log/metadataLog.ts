/**
 * The metadata log on disk: numbered files that are appended to, and a checkpoint that stands for all of
 * them up to a number, so that they can be deleted (logFiles.ts). This file writes: what is appended, when a log
 * is left, which checkpoint covers what. logReader.ts reads it again, checkpointWriter.ts writes the state.
 *
 * Batches with content are durable in the journal of their segment (segmentJournal.ts) before they are here:
 * they wait in memory (pendingRecords.ts), and are written with the next batch that has no content, or when
 * enough have gathered.
 *
 * A log is left for good when a write or a sync of it failed, at every start, and before a checkpoint. The
 * next log's header tells how many bytes of it count, so that nothing of a failed batch comes back.
 * The caller serialises `append` and `startLog`; `checkpoint` may run beside them.
 */
import { type Files, ignoreFailure, type StoredFile } from "../files.ts";
import { writeCheckpoint } from "./checkpointWriter.ts";
import { checkpointNumber, LogFiles, logNumber, PENDING_FILE } from "./logFiles.ts";
import { type ApplyRecord, batchNumber, type MetadataRecovery, mustKnow, readLogs } from "./logReader.ts";
import { BATCH_TYPE, encodeMetadata, type RawMetadata } from "./metadata.ts";
import { PendingRecords } from "./pendingRecords.ts";
import { encodeFileHeader, encodeRecord, FILE_HEADER_BYTES, lengthOf } from "./record.ts";
import type { JournalPlace } from "./segmentJournal.ts";

/** Restarts make a log each: so many of them are worth a checkpoint whatever their size. */
const MOST_LOGS = 16;
/** Offsets are kept in 32 bits: a log is left long before. */
const LONGEST_LOG_BYTES = 1024 * 1024 * 1024;

export type RecordPlaced = (raw: RawMetadata, number: number, file: number, offset: number) => void;

export class MetadataLog {
  readonly #files: LogFiles;
  /** Where the next batch with content will lie. */
  readonly #nextPlace: () => JournalPlace;
  /** Hears where a record lies that was pending. */
  readonly #placed: RecordPlaced;
  #file: StoredFile | undefined;
  /** The newest log with a sound header, and its bytes that count. */
  #current = { sequence: 0, bytes: 0 };
  #lastSequence = 0;
  #batch = 0;
  /** The last batch that recovery found whole in a log. */
  #recovered = 0;
  /** Durable in journals, and to be written here. */
  readonly #pending = new PendingRecords();
  /** Log bytes and files since the last checkpoint, and the size of that one. */
  #logBytes = 0;
  #logs = 0;
  #checkpointBytes = 0;

  constructor(
    files: Files,
    directory: string,
    nextPlace: () => JournalPlace = () => ({ segment: 0, offset: 0 }),
    placed: RecordPlaced = () => {},
  ) {
    this.#placed = placed;
    this.#files = new LogFiles(files, directory);
    this.#nextPlace = nextPlace;
  }

  /** Reads everything. `startLog` must follow. `expect` hears first about how many messages there are. */
  async recover(
    apply: ApplyRecord,
    expect: (messages: number) => void = () => {},
  ): Promise<MetadataRecovery> {
    const found = await readLogs(this.#files, apply, expect);
    this.#current = { ...found.current };
    this.#lastSequence = found.lastSequence;
    this.#batch = found.batch;
    this.#recovered = found.wholeThrough;
    this.#logBytes = found.logBytes;
    this.#logs = found.logs;
    this.#checkpointBytes = found.checkpointBytes;
    return found;
  }

  /** Takes a batch from a journal that recovery found, unless it is in a log. `startLog` will write it. */
  recoverJournal(records: readonly RawMetadata[], segment: number, apply: ApplyRecord): void {
    for (const { type } of records) mustKnow(type, `segment ${segment}`);
    const [mark, ...batch] = records;
    if (mark?.type !== BATCH_TYPE) return;
    const number = batchNumber(mark.payload);
    if (number <= this.#recovered) return;
    this.#batch = Math.max(this.#batch, number);
    const offsets = batch.map((_, position) => this.#pending.numberAt(position));
    // Copies: these are parts of what was read of the segment.
    const kept = batch.map(({ type, payload }) => ({ type, payload: Buffer.from(payload) }));
    this.#pending.add(kept, segment, number);
    apply(mark, PENDING_FILE, 0);
    for (const [position, record] of kept.entries()) apply(record, PENDING_FILE, offsets[position] ?? 0);
  }

  /** Leaves the current log, if any, and begins the next. On failure there is none, and it may be tried again. */
  async startLog(): Promise<void> {
    await this.abandon();
    const sequence = ++this.#lastSequence;
    const file = await this.#files.createLog(sequence);
    const header = encodeFileHeader({ kind: "log", sequence, previous: this.#current });
    const carried = this.#takeUp([], sequence, FILE_HEADER_BYTES);
    try {
      await file.write([header, ...carried.buffers], 0);
      await file.datasync();
      await this.#files.sync();
    } catch (error) {
      await ignoreFailure(file.close());
      await ignoreFailure(this.#files.removeLog(sequence));
      throw error;
    }
    this.#file = file;
    this.#current = { sequence, bytes: FILE_HEADER_BYTES };
    this.#logs++;
    carried.accept();
  }

  /** Closes the current log for good. What is behind its last accepted batch is cut off if the disk lets us. */
  async abandon(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await ignoreFailure(file.truncate(this.#current.bytes));
    await ignoreFailure(file.close());
  }

  /** Writes and syncs a batch without content, and all that is pending before it. */
  async append(
    records: readonly RawMetadata[],
  ): Promise<{ readonly file: number; readonly offsets: readonly number[]; accept(): void }> {
    this.#batch++;
    return await this.#write(records);
  }

  /**
   * Numbers a batch with content: its records are for the journal, whose sync makes it durable; `accept` is
   * called then, and they are pending here, where `pendingRecord` has them by `file` and `offsets`.
   */
  journal(
    batch: readonly RawMetadata[],
    segment: number,
  ): {
    readonly records: readonly RawMetadata[];
    readonly file: number;
    readonly offsets: readonly number[];
    accept(): void;
  } {
    const number = ++this.#batch;
    return {
      records: [encodeMetadata({ kind: "batch", number }), ...batch],
      file: PENDING_FILE,
      offsets: batch.map((_, position) => this.#pending.numberAt(position)),
      accept: () => this.#pending.add(batch, segment, number),
    };
  }

  /** A record that is pending, by its number; undefined when it has been written. */
  pendingRecord(number: number): RawMetadata | undefined {
    return this.#pending.get(number);
  }

  /** Whether so much is pending that it should be written. */
  get wantsFlush(): boolean {
    return this.#pending.wantsFlush;
  }

  /** Whether the journal of this segment has something that is in no log. */
  needsJournalOf(segment: number): boolean {
    return this.#pending.needsJournalOf(segment);
  }

  /** Writes and syncs what is pending. */
  async flush(): Promise<void> {
    if (this.#pending.count === 0) return;
    const written = await this.#write([]);
    written.accept();
  }

  /**
   * What is pending and `batch` as one write. Its only batch mark stands in front, so that a hole in it is
   * read as its end; what is whole is told behind it, and found in journals where it is not.
   */
  #takeUp(batch: readonly RawMetadata[], sequence: number, start: number) {
    const upTo = (through: number) => encodeMetadata({ kind: "journal", through, ...this.#nextPlace() });
    const carried = this.#pending.taken();
    const count = carried.length;
    const { first } = this.#pending;
    const records = [encodeMetadata({ kind: "batch", number: this.#batch })];
    if (count > 0) records.push(...carried, upTo(this.#pending.through));
    records.push(...batch, upTo(this.#batch));
    const buffers: Buffer[] = [];
    const offsets: number[] = [];
    let added = 0;
    for (const { type, payload } of records) {
      offsets.push(start + added);
      const framed = encodeRecord(type, payload, sequence);
      buffers.push(...framed);
      added += lengthOf(framed);
    }
    const file = logNumber(sequence);
    return {
      buffers,
      file,
      offsets: offsets.slice(offsets.length - 1 - batch.length, -1),
      accept: () => {
        this.#current.bytes += added;
        this.#logBytes += added;
        this.#pending.written(count);
        for (const [position, record] of carried.entries())
          this.#placed(record, (first + position) >>> 0, file, offsets[position + 1] ?? 0);
      },
    };
  }

  async #write(batch: readonly RawMetadata[]) {
    const file = this.#file;
    if (file === undefined) throw new Error("Cannot append to the metadata log: none is open.");
    const { sequence, bytes } = this.#current;
    const write = this.#takeUp(batch, sequence, bytes);
    await file.write(write.buffers, bytes);
    await file.datasync();
    return write;
  }

  /** Whether the logs have outgrown what a checkpoint would hold. */
  wantsCheckpoint(leastBytes: number): boolean {
    return this.#logs > MOST_LOGS || this.#logBytes > Math.max(leastBytes, 2 * this.#checkpointBytes);
  }

  /** Whether the log is to be left for its length alone. */
  get isLong(): boolean {
    return this.#current.bytes > LONGEST_LOG_BYTES;
  }

  /** The file of a place. Missing once a checkpoint stands for it. */
  pathOf(file: number): string {
    return this.#files.pathOf(file);
  }

  /** The disk cannot read all of this file: it is kept under another name when a checkpoint stands for it. */
  keep(file: number): void {
    this.#files.noteUnreadable(file);
  }

  /**
   * Writes the state to a checkpoint that covers every log but the current one, then deletes those. The
   * caller has just called `startLog`. `state` is pulled in chunks while new batches are appended: a state
   * that is newer than the covered logs is fine, since records set and never add (metadata.ts). `written`
   * hears where each record of a chunk will be; `named` is called when the checkpoint is durable, with its
   * number, and before anything is deleted.
   */
  async checkpoint(
    state: AsyncIterable<readonly RawMetadata[]>,
    steps: {
      readonly written: (chunk: readonly RawMetadata[], offsets: readonly number[]) => void;
      readonly named: (file: number) => void;
    },
  ): Promise<void> {
    const covered = this.#current.sequence - 1;
    const before = { bytes: this.#logBytes, logs: this.#logs - 1 };
    this.#checkpointBytes = await writeCheckpoint(this.#files, covered, state, steps.written);
    this.#logBytes -= before.bytes;
    this.#logs -= before.logs;
    steps.named(checkpointNumber(covered));
    await this.#files.removeCovered(covered, await this.#files.names());
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
