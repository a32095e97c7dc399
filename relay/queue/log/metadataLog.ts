/**
 * The metadata log on disk: numbered files that are appended to, and a checkpoint that stands for all of
 * them up to a number, so that they can be deleted. Recovery reads the last checkpoint and the logs after
 * it, in order; it never reads content.
 *
 *   checkpoint-0000000007.log   the state after (at least) log 7
 *   metadata-0000000008.log     changes since; the last one is appended to
 *
 * Batches with content are durable in the journal of their segment (segmentJournal.ts) before they are here:
 * they wait in memory, and are written with the next batch that has no content, or when enough have gathered.
 *
 * A log is left for good when a write or a sync of it failed, at every start, and before a checkpoint. The
 * next log's header tells how many bytes of it count, so that nothing of a failed batch comes back.
 * The caller serialises `append` and `startLog`; `checkpoint` may run beside them.
 */
import { join } from "node:path";

import { type Files, ignoreFailure, type StoredFile } from "../files.ts";
import { BATCH_TYPE, encodeMetadata, isKnownType, type RawMetadata, recordTypes } from "./metadata.ts";
import {
  decodeFileHeader,
  encodeFileHeader,
  encodeRecord,
  FILE_HEADER_BYTES,
  type FileHeader,
} from "./record.ts";
import { scanRecords } from "./scan.ts";

/** Records that may wait in memory: some 400 messages, whose journals a recovery has to find. */
const MOST_PENDING_BYTES = 256 * 1024;
/** Restarts make a log each: so many of them are worth a checkpoint whatever their size. */
const MOST_LOGS = 16;

/** A place among the segments, from which on journals are not in the log. */
export interface JournalPlace {
  readonly segment: number;
  readonly offset: number;
}

export interface MetadataRecovery {
  /** Where to look for batches that are in no log; null when a former format had no journals. */
  readonly journal: JournalPlace | null;
  /** Cut from the ends of logs. */
  readonly tornBytes: number;
  /** Unreadable with sound records behind: a broken disk, not a crash. */
  readonly damagedBytes: number;
  /** The files they are in. */
  readonly damagedFiles: readonly string[];
}

/**
 * Called for each record in order; those of a checkpoint come first. `file` and `offset` are where it can be
 * read again (`pathOf`); the payload is the callee's for the call only.
 */
export type ApplyRecord = (raw: RawMetadata, file: number, offset: number) => void;

export type RecordPlaced = (raw: RawMetadata, number: number, file: number, offset: number) => void;

/** A record of a log or a checkpoint, for whoever reads it again. */
export interface LogPlace {
  readonly file: number;
  readonly offset: number;
}

/** Files are numbered for places: logs even, checkpoints odd. */
const logNumber = (sequence: number) => 2 * sequence;
/** What is pending is in no file: its offset is its number. */
export const PENDING_FILE = 1;
const checkpointNumber = (sequence: number) => 2 * sequence + 1;
export const isCheckpoint = (file: number) => file % 2 === 1 && file !== PENDING_FILE;
/** The seed of a file's records. */
export const sequenceOf = (file: number) => Math.floor(file / 2);
/** What a damaged file is called when a checkpoint stands for it; releases that do not know it leave it alone. */
export const DAMAGED_SUFFIX = ".damaged";
/** About what a message leaves in a log in the course of its life. */
const BYTES_A_MESSAGE = 400;
/** Offsets are kept in 32 bits: a log is left long before. */
const LONGEST_LOG_BYTES = 1024 * 1024 * 1024;
const LONGEST_CHECKPOINT_BYTES = 2 ** 32 - 1;

export class MetadataLog {
  readonly #files: Files;
  readonly #directory: string;
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
  #pending: RawMetadata[] = [];
  /** Number of the first of them. */
  #firstPending = 0;
  #pendingBytes = 0;
  #pendingThrough = 0;
  /** The first segment whose journal has what is pending. */
  #pendingSince: number | null = null;
  /** Log bytes and files since the last checkpoint, and the size of that one. */
  #logBytes = 0;
  #logs = 0;
  #checkpointBytes = 0;
  /** Names of files that could not be read whole: a checkpoint does not stand for what is gone. */
  readonly #damaged = new Set<string>();

  constructor(
    files: Files,
    directory: string,
    nextPlace: () => JournalPlace = () => ({ segment: 0, offset: 0 }),
    placed: RecordPlaced = () => {},
  ) {
    this.#placed = placed;
    this.#files = files;
    this.#directory = directory;
    this.#nextPlace = nextPlace;
  }

  /** Reads everything. `startLog` must follow. `expect` hears before each file about how many messages it holds. */
  async recover(
    apply: ApplyRecord,
    expect: (messages: number) => void = () => {},
  ): Promise<MetadataRecovery> {
    const names = await this.#files.list(this.#directory);
    for (const name of names) if (name.endsWith(".tmp")) await this.#remove(name);
    const covered = Math.max(0, ...sequencesOf(names, "checkpoint"));
    const sequences = sequencesOf(names, "metadata").toSorted((a, b) => a - b);
    this.#lastSequence = Math.max(covered, ...sequences);
    let damagedBytes = covered === 0 ? 0 : await this.#readCheckpoint(covered, apply, expect);
    if (damagedBytes > 0) this.#damaged.add(nameOf("checkpoint", covered));
    await this.#removeCovered(covered, names);

    const logs = await this.#openLogs(sequences.filter((sequence) => sequence > covered));
    let tornBytes = logs.tornBytes;
    let journal: JournalPlace | null = null;
    for (const log of logs.sound) {
      expect(Math.floor(log.bytes / BYTES_A_MESSAGE));
      const scan = await scanRecords(log.file, {
        seed: log.sequence,
        size: log.bytes,
        onRecord: (type, payload, offset) => {
          this.#mustKnow(type, `log ${log.sequence}`);
          if (type === BATCH_TYPE) this.#batch = batchNumber(payload);
          if (type === recordTypes.journal) {
            const mark = JSON.parse(payload.toString()) as JournalPlace & { readonly through: number };
            this.#recovered = mark.through;
            journal = { segment: mark.segment, offset: mark.offset };
          }
          apply({ type, payload }, logNumber(log.sequence), offset);
        },
      });
      await log.file.close();
      tornBytes += scan.tornBytes;
      const damaged = scan.damagedBytes + (log.cut === undefined ? 0 : Math.max(0, log.cut - log.bytes));
      if (damaged > 0) this.#damaged.add(nameOf("metadata", log.sequence));
      damagedBytes += damaged;
      this.#current = { sequence: log.sequence, bytes: scan.end };
      this.#logBytes += scan.end;
      this.#logs++;
    }
    return { tornBytes, damagedBytes, damagedFiles: [...this.#damaged], journal };
  }

  /** Takes a batch from a journal that recovery found, unless it is in a log. `startLog` will write it. */
  recoverJournal(records: readonly RawMetadata[], segment: number, apply: ApplyRecord): void {
    for (const { type } of records) this.#mustKnow(type, `segment ${segment}`);
    const [mark, ...batch] = records;
    if (mark?.type !== BATCH_TYPE) return;
    const number = batchNumber(mark.payload);
    if (number <= this.#recovered) return;
    this.#batch = Math.max(this.#batch, number);
    const offsets = batch.map((_, position) => this.#pendingNumber(position));
    // Copies: these are parts of what was read of the segment.
    const kept = batch.map(({ type, payload }) => ({ type, payload: Buffer.from(payload) }));
    this.#await(kept, segment, number);
    apply(mark, PENDING_FILE, 0);
    for (const [position, record] of kept.entries()) apply(record, PENDING_FILE, offsets[position] ?? 0);
  }

  /** Leaves the current log, if any, and begins the next. On failure there is none, and it may be tried again. */
  async startLog(): Promise<void> {
    await this.abandon();
    const sequence = ++this.#lastSequence;
    const path = this.#path("metadata", sequence);
    const file = await this.#files.create(path);
    const header = encodeFileHeader({ kind: "log", sequence, previous: this.#current });
    const carried = this.#takeUp([], sequence, FILE_HEADER_BYTES);
    try {
      await file.write([header, ...carried.buffers], 0);
      await file.datasync();
      await this.#files.syncFolder(this.#directory);
    } catch (error) {
      await ignoreFailure(file.close());
      await ignoreFailure(this.#files.remove(path));
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
      offsets: batch.map((_, position) => this.#pendingNumber(position)),
      accept: () => this.#await(batch, segment, number),
    };
  }

  /** A record that is pending, by its number; undefined when it has been written. */
  pendingRecord(number: number): RawMetadata | undefined {
    return this.#pending[(number - this.#firstPending) >>> 0];
  }

  /** Whether so much is pending that it should be written. */
  get wantsFlush(): boolean {
    return this.#pendingBytes >= MOST_PENDING_BYTES;
  }

  /** Whether the journal of this segment has something that is in no log. */
  needsJournalOf(segment: number): boolean {
    return this.#pendingSince !== null && segment >= this.#pendingSince;
  }

  /** Writes and syncs what is pending. */
  async flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    const written = await this.#write([]);
    written.accept();
  }

  /** The number the pending record behind `position` others will have; numbers are 32 bits and start over. */
  #pendingNumber(position: number): number {
    return (this.#firstPending + this.#pending.length + position) >>> 0;
  }

  #await(records: readonly RawMetadata[], segment: number, number: number): void {
    for (const record of records) {
      this.#pending.push(record);
      this.#pendingBytes += record.payload.length;
    }
    this.#pendingThrough = number;
    this.#pendingSince ??= segment;
  }

  /**
   * What is pending and `batch` as one write. Its only batch mark stands in front, so that a hole in it is
   * read as its end; what is whole is told behind it, and found in journals where it is not.
   */
  #takeUp(batch: readonly RawMetadata[], sequence: number, start: number) {
    const upTo = (through: number) => encodeMetadata({ kind: "journal", through, ...this.#nextPlace() });
    const carried = this.#pending.slice();
    const count = carried.length;
    const first = this.#firstPending;
    const records = [encodeMetadata({ kind: "batch", number: this.#batch })];
    if (count > 0) records.push(...carried, upTo(this.#pendingThrough));
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
        this.#pending.splice(0, count);
        this.#firstPending = (first + count) >>> 0;
        this.#pendingBytes = 0;
        this.#pendingSince = null;
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
    return this.#path(isCheckpoint(file) ? "checkpoint" : "metadata", sequenceOf(file));
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
    const path = this.#path("checkpoint", covered);
    const file = await this.#files.create(`${path}.tmp`);
    let position = 0;
    try {
      const append = async (records: readonly RawMetadata[]): Promise<number[]> => {
        const offsets: number[] = [];
        const buffers: Buffer[] = [];
        let next = position;
        for (const { type, payload } of records) {
          offsets.push(next);
          const framed = encodeRecord(type, payload, covered);
          buffers.push(...framed);
          next += lengthOf(framed);
        }
        if (next > LONGEST_CHECKPOINT_BYTES) {
          throw new Error("Cannot write a checkpoint: it would be longer than 4 GiB.");
        }
        await file.write(buffers, position);
        position = next;
        return offsets;
      };
      const header = encodeFileHeader({
        kind: "checkpoint",
        sequence: covered,
        previous: { sequence: 0, bytes: 0 },
      });
      await file.write([header], 0);
      position += header.length;
      let messages = 0;
      let number = 0;
      for await (const chunk of state) {
        for (const { type } of chunk) if (type === recordTypes.message) messages++;
        // Batch marks are where a reader finds its way again behind damage.
        const offsets = await append([encodeMetadata({ kind: "batch", number: number++ }), ...chunk]);
        steps.written(chunk, offsets.slice(1));
      }
      await append([encodeMetadata({ kind: "checkpointEnd", messages })]);
      await file.datasync();
      await file.close();
    } catch (error) {
      await ignoreFailure(file.close());
      await ignoreFailure(this.#files.remove(`${path}.tmp`));
      throw error;
    }
    await this.#files.rename(`${path}.tmp`, path);
    await this.#files.syncFolder(this.#directory);
    this.#checkpointBytes = position;
    this.#logBytes -= before.bytes;
    this.#logs -= before.logs;
    steps.named(checkpointNumber(covered));
    await this.#removeCovered(covered, await this.#files.list(this.#directory));
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** Gives the damaged bytes; a checkpoint was complete when it got its name, so a cut is damage as well. */
  async #readCheckpoint(
    sequence: number,
    apply: ApplyRecord,
    expect: (messages: number) => void,
  ): Promise<number> {
    const file = await this.#files.open(this.#path("checkpoint", sequence));
    try {
      const size = await file.size();
      const tail = await file.read(64, Math.max(0, size - 64));
      expect(Number(/"messages":(\d+)\}$/.exec(tail.toString("latin1"))?.[1] ?? 0));
      const header = decodeFileHeader(await file.read(FILE_HEADER_BYTES, 0));
      let complete = false;
      const scan = await scanRecords(file, {
        seed: sequence,
        size,
        finished: true,
        onRecord: (type, payload, offset) => {
          this.#mustKnow(type, `checkpoint ${sequence}`);
          complete = type === recordTypes.checkpointEnd;
          apply({ type, payload }, checkpointNumber(sequence), offset);
        },
      });
      this.#checkpointBytes = size;
      const damaged = scan.damagedBytes + scan.tornBytes;
      return complete && header !== null ? damaged : Math.max(1, damaged);
    } finally {
      await file.close();
    }
  }

  /** The logs to read, each with the bytes that count. A file without a sound header never held a batch. */
  async #openLogs(sequences: readonly number[]) {
    const opened: { sequence: number; file: StoredFile; header: FileHeader | null; size: number }[] = [];
    for (const sequence of sequences) {
      const file = await this.#files.open(this.#path("metadata", sequence));
      const header = decodeFileHeader(await file.read(FILE_HEADER_BYTES, 0));
      opened.push({ sequence, file, header, size: await file.size() });
    }
    const cuts = new Map(
      opened.flatMap(({ header }) =>
        header === null ? [] : [[header.previous.sequence, header.previous.bytes] as const],
      ),
    );
    let tornBytes = 0;
    const sound: { sequence: number; file: StoredFile; bytes: number; cut: number | undefined }[] = [];
    for (const { sequence, file, header, size } of opened) {
      const cut = cuts.get(sequence);
      // Later logs speak of it, so its header was sound once: read it all the same.
      if (header === null && cut === undefined) {
        tornBytes += size;
        await file.close();
        await this.#files.remove(this.#path("metadata", sequence));
      } else sound.push({ sequence, file, cut, bytes: Math.min(size, cut ?? size) });
    }
    return { sound, tornBytes };
  }

  /** A record of a newer release is not skipped: what it says would be lost. */
  #mustKnow(type: number, place: string): void {
    if (isKnownType(type)) return;
    throw new Error(
      `Cannot read the spool: ${place} holds a record of type ${type}, which this release does not know.`,
    );
  }

  async #removeCovered(covered: number, names: readonly string[]): Promise<void> {
    for (const sequence of sequencesOf(names, "metadata")) {
      if (sequence <= covered) await this.#putAway(nameOf("metadata", sequence));
    }
    for (const sequence of sequencesOf(names, "checkpoint")) {
      if (sequence < covered) await this.#putAway(nameOf("checkpoint", sequence));
    }
  }

  /** A file that a checkpoint stands for goes; one that could not be read whole is kept under another name. */
  #putAway(name: string): Promise<void> {
    const path = join(this.#directory, name);
    return this.#damaged.has(name)
      ? this.#files.rename(path, `${path}${DAMAGED_SUFFIX}`)
      : this.#files.remove(path);
  }

  #remove(name: string): Promise<void> {
    return this.#files.remove(join(this.#directory, name));
  }

  #path(stem: "metadata" | "checkpoint", sequence: number): string {
    return join(this.#directory, nameOf(stem, sequence));
  }
}

function nameOf(stem: "metadata" | "checkpoint", sequence: number): string {
  return `${stem}-${String(sequence).padStart(10, "0")}.log`;
}

function sequencesOf(names: readonly string[], stem: "metadata" | "checkpoint"): number[] {
  return names.flatMap((name) => {
    const match = /^([a-z]+)-(\d{10})\.log$/.exec(name);
    return match?.[1] === stem ? [Number(match[2])] : [];
  });
}

function batchNumber(payload: Buffer): number {
  return (JSON.parse(payload.toString()) as { readonly number: number }).number;
}

function lengthOf(buffers: readonly Buffer[]): number {
  let bytes = 0;
  for (const buffer of buffers) bytes += buffer.length;
  return bytes;
}
