/**
 * The metadata log on disk: numbered files that are appended to, and a checkpoint that stands for all of
 * them up to a number, so that they can be deleted. Recovery reads the last checkpoint and the logs after
 * it, in order; it never reads content.
 *
 *   checkpoint-0000000007.log   the state after (at least) log 7
 *   metadata-0000000008.log     changes since; the last one is appended to
 *
 * A log is left for good when a write or a sync of it failed, at every start, and before a checkpoint. The
 * next log's header tells how many bytes of it count, so that nothing of a failed batch comes back.
 * The caller serialises `append` and `startLog`; `checkpoint` may run beside them.
 */
import { join } from "node:path";

import { type Files, ignoreFailure, type StoredFile } from "../files.ts";
import { decodeMetadata, encodeMetadata, type MetadataRecord } from "./metadata.ts";
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
/** Restarts make a log each: so many of them are worth a checkpoint whatever their size. */
const MOST_LOGS = 16;

export interface MetadataRecovery {
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
  #file: StoredFile | undefined;
  /** The newest log with a sound header, and its bytes that count. */
  #current = { sequence: 0, bytes: 0 };
  #lastSequence = 0;
  #batch = 0;
  /** Log bytes and files since the last checkpoint, and the size of that one. */
  #logBytes = 0;
  #logs = 0;
  #checkpointBytes = 0;

  constructor(files: Files, directory: string) {
    this.#files = files;
    this.#directory = directory;
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
    for (const log of logs.sound) {
      const scan = await scanRecords(log.file, {
        seed: log.sequence,
        size: log.bytes,
        onRecord: (type, payload) => {
          const record = this.#decode(type, payload, log.sequence);
          if (record.kind === "batch") this.#batch = record.number;
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
    return { tornBytes, damagedBytes };
  }

  /** Leaves the current log, if any, and begins the next. On failure there is none, and it may be tried again. */
  async startLog(): Promise<void> {
    await this.abandon();
    const sequence = ++this.#lastSequence;
    const path = this.#path("metadata", sequence);
    const file = await this.#files.create(path);
    try {
      await file.write([encodeFileHeader({ kind: "log", sequence, previous: this.#current })], 0);
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
  }

  /** Closes the current log for good. What is behind its last accepted batch is cut off if the disk lets us. */
  async abandon(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await ignoreFailure(file.truncate(this.#current.bytes));
    await ignoreFailure(file.close());
  }

  /** Writes and syncs one batch; `accept` is called once everything else of the batch is durable too. */
  async append(records: readonly MetadataRecord[]): Promise<{ accept(): void }> {
    const file = this.#file;
    if (file === undefined) throw new Error("Cannot append to the metadata log: none is open.");
    const { sequence, bytes } = this.#current;
    const buffers = encodeAll([{ kind: "batch", number: ++this.#batch }, ...records], sequence);
    await file.write(buffers, bytes);
    await file.datasync();
    const added = lengthOf(buffers);
    return {
      accept: () => {
        this.#current.bytes += added;
        this.#logBytes += added;
      },
    };
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
        const buffers = encodeAll(chunk, covered);
        await file.write(buffers, position);
        position += lengthOf(buffers);
      }
      const end = encodeAll([{ kind: "checkpointEnd", messages }], covered);
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
          const record = this.#decode(type, payload, sequence);
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

  #decode(type: number, payload: Buffer, sequence: number): MetadataRecord {
    const record = decodeMetadata({ type, payload });
    if (record !== null) return record;
    throw new Error(
      `Cannot read the spool: log ${sequence} holds a record of type ${type}, which this release does not know.`,
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

function encodeAll(records: readonly MetadataRecord[], seed: number): Buffer[] {
  return records.flatMap((record) => {
    const { type, payload } = encodeMetadata(record);
    return encodeRecord(type, payload, seed);
  });
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
