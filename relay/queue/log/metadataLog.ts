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
import { decodeMetadata, encodeMetadata, type MetadataRecord, type RawMetadata } from "./metadata.ts";
import {
  decodeFileHeader,
  encodeFileHeader,
  encodeRecord,
  FILE_HEADER_BYTES,
  type FileHeader,
} from "./record.ts";
import { scanRecords } from "./scan.ts";

/** Written at a time while a checkpoint is made: the event loop is given back in between. */
const CHECKPOINT_CHUNK_BYTES = 256 * 1024;
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
}

/** Called for each record in order; those of a checkpoint come first. */
export type ApplyRecord = (record: MetadataRecord, from: "checkpoint" | "log") => void;

export class MetadataLog {
  readonly #files: Files;
  readonly #directory: string;
  /** Where the next batch with content will lie. */
  readonly #nextPlace: () => JournalPlace;
  #file: StoredFile | undefined;
  /** The newest log with a sound header, and its bytes that count. */
  #current = { sequence: 0, bytes: 0 };
  #lastSequence = 0;
  #batch = 0;
  /** The last batch that recovery found whole in a log. */
  #recovered = 0;
  /** Durable in journals, and to be written here. */
  #pending: RawMetadata[] = [];
  #pendingBytes = 0;
  #pendingThrough = 0;
  /** The first segment whose journal has what is pending. */
  #pendingSince: number | null = null;
  /** Log bytes and files since the last checkpoint, and the size of that one. */
  #logBytes = 0;
  #logs = 0;
  #checkpointBytes = 0;

  constructor(
    files: Files,
    directory: string,
    nextPlace: () => JournalPlace = () => ({ segment: 0, offset: 0 }),
  ) {
    this.#files = files;
    this.#directory = directory;
    this.#nextPlace = nextPlace;
  }

  /** Reads everything. `startLog` must follow. */
  async recover(apply: ApplyRecord): Promise<MetadataRecovery> {
    const names = await this.#files.list(this.#directory);
    for (const name of names) if (name.endsWith(".tmp")) await this.#remove(name);
    const covered = Math.max(0, ...sequencesOf(names, "checkpoint"));
    const sequences = sequencesOf(names, "metadata").toSorted((a, b) => a - b);
    this.#lastSequence = Math.max(covered, ...sequences);
    let damagedBytes = covered === 0 ? 0 : await this.#readCheckpoint(covered, apply);
    await this.#removeCovered(covered, names);

    const logs = await this.#openLogs(sequences.filter((sequence) => sequence > covered));
    let tornBytes = logs.tornBytes;
    let journal: JournalPlace | null = null;
    for (const log of logs.sound) {
      const scan = await scanRecords(log.file, {
        seed: log.sequence,
        size: log.bytes,
        onRecord: (type, payload) => {
          const record = this.#decode(type, payload, `log ${log.sequence}`);
          if (record.kind === "batch") this.#batch = record.number;
          if (record.kind === "journal") {
            this.#recovered = record.through;
            journal = record;
          }
          apply(record, "log");
        },
      });
      await log.file.close();
      tornBytes += scan.tornBytes;
      damagedBytes += scan.damagedBytes + (log.cut === undefined ? 0 : Math.max(0, log.cut - log.bytes));
      this.#current = { sequence: log.sequence, bytes: scan.end };
      this.#logBytes += scan.end;
      this.#logs++;
    }
    return { tornBytes, damagedBytes, journal };
  }

  /** Takes a batch from a journal that recovery found, unless it is in a log. `startLog` will write it. */
  recoverJournal(records: readonly RawMetadata[], segment: number, apply: ApplyRecord): void {
    const decoded = records.map(({ type, payload }) => this.#decode(type, payload, `segment ${segment}`));
    const [mark] = decoded;
    if (mark?.kind !== "batch" || mark.number <= this.#recovered) return;
    this.#batch = Math.max(this.#batch, mark.number);
    this.#await(records.slice(1), segment, mark.number);
    for (const record of decoded) apply(record, "log");
  }

  /** Leaves the current log, if any, and begins the next. On failure there is none, and it may be tried again. */
  async startLog(): Promise<void> {
    await this.abandon();
    const sequence = ++this.#lastSequence;
    const path = this.#path("metadata", sequence);
    const file = await this.#files.create(path);
    const header = encodeFileHeader({ kind: "log", sequence, previous: this.#current });
    const carried = this.#takeUp([], sequence);
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
  async append(records: readonly MetadataRecord[]): Promise<{ accept(): void }> {
    this.#batch++;
    return await this.#write(records.map(encodeMetadata));
  }

  /**
   * Numbers a batch with content: its records are for the journal, whose sync makes it durable; `accept` is
   * called then, and they are pending here.
   */
  journal(
    records: readonly MetadataRecord[],
    segment: number,
  ): { readonly records: readonly RawMetadata[]; accept(): void } {
    const number = ++this.#batch;
    const batch = records.map(encodeMetadata);
    return {
      records: [encodeMetadata({ kind: "batch", number }), ...batch],
      accept: () => this.#await(batch, segment, number),
    };
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
  #takeUp(batch: readonly RawMetadata[], sequence: number) {
    const upTo = (through: number) => encodeMetadata({ kind: "journal", through, ...this.#nextPlace() });
    const count = this.#pending.length;
    const records = [encodeMetadata({ kind: "batch", number: this.#batch })];
    if (count > 0) records.push(...this.#pending, upTo(this.#pendingThrough));
    records.push(...batch, upTo(this.#batch));
    const buffers = encodeAll(records, sequence);
    const added = lengthOf(buffers);
    return {
      buffers,
      accept: () => {
        this.#current.bytes += added;
        this.#logBytes += added;
        this.#pending.splice(0, count);
        this.#pendingBytes = 0;
        this.#pendingSince = null;
      },
    };
  }

  async #write(batch: readonly RawMetadata[]): Promise<{ accept(): void }> {
    const file = this.#file;
    if (file === undefined) throw new Error("Cannot append to the metadata log: none is open.");
    const { sequence, bytes } = this.#current;
    const { buffers, accept } = this.#takeUp(batch, sequence);
    await file.write(buffers, bytes);
    await file.datasync();
    return { accept };
  }

  /** Whether the logs have outgrown what a checkpoint would hold. */
  wantsCheckpoint(leastBytes: number): boolean {
    return this.#logs > MOST_LOGS || this.#logBytes > Math.max(leastBytes, 2 * this.#checkpointBytes);
  }

  /**
   * Writes the state to a checkpoint that covers every log but the current one, then deletes those. The
   * caller has just called `startLog`. `state` is pulled in steps while new batches are appended: a state
   * that is newer than the covered logs is fine, since records set and never add (metadata.ts).
   */
  async checkpoint(state: Iterable<MetadataRecord>): Promise<void> {
    const covered = this.#current.sequence - 1;
    const before = { bytes: this.#logBytes, logs: this.#logs - 1 };
    const path = this.#path("checkpoint", covered);
    const file = await this.#files.create(`${path}.tmp`);
    let position = 0;
    try {
      const header = encodeFileHeader({
        kind: "checkpoint",
        sequence: covered,
        previous: { sequence: 0, bytes: 0 },
      });
      await file.write([header], 0);
      position += header.length;
      let messages = 0;
      for (const chunk of chunksOf(state)) {
        for (const record of chunk) if (record.kind === "message") messages++;
        const buffers = encodeAll(chunk.map(encodeMetadata), covered);
        await file.write(buffers, position);
        position += lengthOf(buffers);
      }
      const end = encodeAll([encodeMetadata({ kind: "checkpointEnd", messages })], covered);
      await file.write(end, position);
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
    await this.#removeCovered(covered, await this.#files.list(this.#directory));
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** Gives the damaged bytes; a checkpoint was complete when it got its name, so a cut is damage as well. */
  async #readCheckpoint(sequence: number, apply: ApplyRecord): Promise<number> {
    const file = await this.#files.open(this.#path("checkpoint", sequence));
    try {
      const size = await file.size();
      const header = decodeFileHeader(await file.read(FILE_HEADER_BYTES, 0));
      let complete = false;
      const scan = await scanRecords(file, {
        seed: sequence,
        size,
        onRecord: (type, payload) => {
          const record = this.#decode(type, payload, `checkpoint ${sequence}`);
          complete = record.kind === "checkpointEnd";
          apply(record, "checkpoint");
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

  #decode(type: number, payload: Buffer, place: string): MetadataRecord {
    const record = decodeMetadata({ type, payload });
    if (record !== null) return record;
    throw new Error(
      `Cannot read the spool: ${place} holds a record of type ${type}, which this release does not know.`,
    );
  }

  async #removeCovered(covered: number, names: readonly string[]): Promise<void> {
    for (const sequence of sequencesOf(names, "metadata")) {
      if (sequence <= covered) await this.#files.remove(this.#path("metadata", sequence));
    }
    for (const sequence of sequencesOf(names, "checkpoint")) {
      if (sequence < covered) await this.#files.remove(this.#path("checkpoint", sequence));
    }
  }

  #remove(name: string): Promise<void> {
    return this.#files.remove(join(this.#directory, name));
  }

  #path(stem: "metadata" | "checkpoint", sequence: number): string {
    return join(this.#directory, `${stem}-${String(sequence).padStart(10, "0")}.log`);
  }
}

function sequencesOf(names: readonly string[], stem: "metadata" | "checkpoint"): number[] {
  return names.flatMap((name) => {
    const match = /^([a-z]+)-(\d{10})\.log$/.exec(name);
    return match?.[1] === stem ? [Number(match[2])] : [];
  });
}

function encodeAll(records: readonly RawMetadata[], seed: number): Buffer[] {
  return records.flatMap(({ type, payload }) => encodeRecord(type, payload, seed));
}

/** Lazily: each chunk is taken from the state only when the one before is written. */
function* chunksOf(state: Iterable<MetadataRecord>): Generator<MetadataRecord[]> {
  let chunk: MetadataRecord[] = [];
  let bytes = 0;
  let number = 0;
  for (const record of state) {
    // Batch marks are where a reader finds its way again behind damage.
    if (chunk.length === 0) chunk.push({ kind: "batch", number: number++ });
    chunk.push(record);
    bytes += record.kind === "message" ? 500 + 200 * record.message.recipients.length : 100;
    if (bytes < CHECKPOINT_CHUNK_BYTES) continue;
    yield chunk;
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) yield chunk;
}

function lengthOf(buffers: readonly Buffer[]): number {
  let bytes = 0;
  for (const buffer of buffers) bytes += buffer.length;
  return bytes;
}
