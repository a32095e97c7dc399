/**
 * Reads records again, by place: the envelopes of messages whose turn has come. Those that lie near each
 * other are read together, since messages that were accepted together are due together.
 *
 * A place that the disk cannot read (EIO) is told apart from a disk that cannot read. One bad sector or flash page
 * spoils some kilobytes: what lies there is unreadable, and everything around it is not. A longer run of such places,
 * or one over several files, with nothing readable between them, is a fault of the store, and rejects.
 */
import { codeOf } from "../files.ts";
import { SpoolError } from "../spool.ts";
import { type LogPlace, PENDING_FILE, sequenceOf } from "./logFiles.ts";
import type { RawMetadata } from "./metadata.ts";
import { readRecord, RECORD_HEADER_BYTES } from "./record.ts";
import type { ReadableFile } from "./sharedFiles.ts";

/** Read at a time: some three hundred envelopes. */
const WINDOW_BYTES = 64 * 1024;
/** Unreadable places in a row lie within this: pages of flash have 16 KiB, stripes of a RAID often 64 KiB. */
const LONGEST_BAD_BYTES = 64 * 1024;

export interface RecordSource {
  /** Rejects when the file is gone: a checkpoint stands for it meanwhile. */
  open(file: number): Promise<ReadableFile>;
  /** A record that is in no file yet. */
  pending(number: number): RawMetadata | undefined;
}

export interface ReadRecords {
  /** In the order of places; null for one that is damaged. */
  readonly records: (RawMetadata | null)[];
  /** Positions of those that are null because the disk could not read them. */
  readonly unreadable: ReadonlySet<number>;
}

/** The records at `places`. Rejects when a file is gone, and when the disk cannot read more than a bad place. */
export async function readRecords(source: RecordSource, places: readonly LogPlace[]): Promise<ReadRecords> {
  const order = [...places.keys()].sort((a, b) => compare(placeAt(places, a), placeAt(places, b)));
  const found: (RawMetadata | null)[] = Array.from(places, () => null);
  const unreadable = new Set<number>();
  /** Where the unreadable places began that nothing readable has followed yet. */
  let bad: LogPlace | null = null;
  /** Up to here the disk is asked for single records: a bad place is slow to answer, and lies before it. */
  let narrowUntil = 0;
  let open: { readonly number: number; readonly file: ReadableFile } | undefined;
  let window: { readonly start: number; readonly bytes: Buffer } = { start: 0, bytes: Buffer.alloc(0) };
  try {
    for (const index of order) {
      const { file, offset } = placeAt(places, index);
      if (file === PENDING_FILE) {
        // These are the first in order, so nothing was waited for since their places were looked up.
        const record = source.pending(offset);
        if (record !== undefined) found[index] = { type: record.type, payload: Buffer.from(record.payload) };
        continue;
      }
      if (open?.number !== file) {
        await open?.file.close();
        open = undefined;
        open = { number: file, file: await source.open(file) };
        window = { start: 0, bytes: Buffer.alloc(0) };
        narrowUntil = 0;
      }
      const seed = sequenceOf(file);
      const within = () => readRecord(window.bytes, offset - window.start, seed);
      const isWithin = offset >= window.start && offset < window.start + window.bytes.length;
      let read = isWithin ? within() : null;
      if (read?.kind !== "record") {
        try {
          if (read === null || read.kind === "short") {
            if (offset >= narrowUntil) {
              const bytes = await readUnlessBad(open.file, offset);
              if (bytes === null) narrowUntil = offset + WINDOW_BYTES;
              else window = { start: offset, bytes };
            }
            if (offset < narrowUntil)
              window = { start: offset, bytes: await open.file.read(RECORD_HEADER_BYTES, offset) };
            read = within();
          }
          if (read.kind === "short") {
            window = { start: offset, bytes: await open.file.read(read.needed, offset) };
            read = within();
          }
        } catch (error) {
          if (codeOf(error) !== "EIO") throw error;
          bad ??= { file, offset };
          if (bad.file !== file || offset - bad.offset > LONGEST_BAD_BYTES) throw error;
          unreadable.add(index);
          continue;
        }
      }
      bad = null;
      // Its own copy: a window would be kept for one envelope of it.
      if (read.kind === "record") found[index] = { type: read.type, payload: Buffer.from(read.payload) };
    }
    return { records: found, unreadable };
  } finally {
    await open?.file.close();
  }
}

/** As much as is read at a time; null where the disk cannot read some of that. */
async function readUnlessBad(file: ReadableFile, offset: number): Promise<Buffer | null> {
  try {
    return await file.read(WINDOW_BYTES, offset);
  } catch (error) {
    if (codeOf(error) !== "EIO") throw error;
    return null;
  }
}

/** The error for a message whose envelope cannot be read. */
export function damagedRecord(id: string, { file, offset }: LogPlace, isUnreadable: boolean): SpoolError {
  const what = isUnreadable ? "cannot be read from the disk (EIO)" : "is damaged";
  return new SpoolError(
    `Cannot read message ${id}: its envelope, at byte ${offset + RECORD_HEADER_BYTES} of log ${sequenceOf(file)}, ${what}.`,
  );
}

function placeAt(places: readonly LogPlace[], index: number): LogPlace {
  const place = places[index];
  if (place === undefined) throw new Error(`There is no place ${index}.`);
  return place;
}

function compare(a: LogPlace, b: LogPlace): number {
  return a.file - b.file || a.offset - b.offset;
}
