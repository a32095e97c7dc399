/**
 * The journal within a segment: behind the content of a batch stand the metadata records of that batch, so
 * that one write and one sync make both durable. The metadata log gets the same records later, many batches
 * at a time; after a crash what it lacks is found here. Pure, but for the reading.
 *
 *   segment = header (frame block* | journal | padding)*       journal = record of type 2, payload = record*
 *
 * The log says from which place on journals must be read (a `journal` record), so that recovery reads the
 * end of one segment and not its millions of bytes of content.
 *
 * Padding is a record of type 3 of zeros, up to the end of the page that a batch ends in. Without it the next batch
 * would write that page once more: a lone message of 10 KiB is three pages with it, and four without.
 */
import type { StoredFile } from "../files.ts";
import { storedBytes } from "./contentBlocks.ts";
import type { RawMetadata } from "./metadata.ts";
import { encodeRecord, FILE_HEADER_BYTES, readRecord, RECORD_HEADER_BYTES } from "./record.ts";

/** A place among the segments, from which on journals are not in the log. */
export interface JournalPlace {
  readonly segment: number;
  readonly offset: number;
}

/** Types of records in a segment. */
export const FRAME_TYPE = 1;
export const JOURNAL_TYPE = 2;
export const PADDING_TYPE = 3;
/** What the kernel writes at least. */
const PAGE_BYTES = 4096;
/** Not for a batch that would grow by more than this part of it: small messages would fill the disk with zeros. */
const MOST_PADDING = 1 / 4;
const zeros = Buffer.alloc(PAGE_BYTES);
/** Read at a time: journals are short, and content between them is passed over. */
const WINDOW_BYTES = 64 * 1024;
/** Offset in the payload of a frame, and bytes, of the size of the content behind it. */
const FRAME_SIZE_OFFSET = 26;
const FRAME_SIZE_BYTES = 6;

export function encodeJournal(records: readonly RawMetadata[], segment: number): Buffer[] {
  const payload = Buffer.concat(
    records.flatMap((record) => encodeRecord(record.type, record.payload, segment)),
  );
  return encodeRecord(JOURNAL_TYPE, payload, segment);
}

/** What fills the last page of a batch of so many bytes that ends at `end`; nothing where that is too much. */
export function encodePadding(end: number, batchBytes: number, segment: number): Buffer[] {
  const gap = (PAGE_BYTES - (end % PAGE_BYTES)) % PAGE_BYTES;
  if (gap < RECORD_HEADER_BYTES || gap > batchBytes * MOST_PADDING) return [];
  return encodeRecord(PADDING_TYPE, zeros.subarray(0, gap - RECORD_HEADER_BYTES), segment);
}

/** The records of each journal of a segment from `start` on. What is torn, or no record, is the end, which is told. */
export async function readJournals(
  file: StoredFile,
  segment: number,
  start: number,
  onJournal: (records: readonly RawMetadata[]) => void,
): Promise<{ readonly end: number }> {
  const size = await file.size();
  let position = Math.max(start, FILE_HEADER_BYTES);
  let windowBytes = WINDOW_BYTES;
  while (position + RECORD_HEADER_BYTES <= size) {
    const window = await file.read(Math.min(windowBytes, size - position), position);
    const read = readRecord(window, 0, segment);
    if (read.kind === "short" && position + read.needed <= size) {
      windowBytes = Math.max(WINDOW_BYTES, read.needed);
      continue;
    }
    if (read.kind !== "record") break;
    windowBytes = WINDOW_BYTES;
    position += read.end;
    if (read.type === FRAME_TYPE) {
      position += storedBytes(read.payload.readUIntBE(FRAME_SIZE_OFFSET, FRAME_SIZE_BYTES));
    } else if (read.type === JOURNAL_TYPE) {
      onJournal(recordsIn(read.payload, segment));
    } else if (read.type !== PADDING_TYPE) {
      throw new Error(
        `Cannot read the spool: segment ${segment} holds a record of type ${read.type}, which this release does not know.`,
      );
    }
  }
  return { end: position };
}

/** The records of a sound journal. */
export function recordsIn(payload: Buffer, segment: number): RawMetadata[] {
  const records: RawMetadata[] = [];
  for (let start = 0; start < payload.length;) {
    const read = readRecord(payload, start, segment);
    if (read.kind !== "record")
      throw new Error(`Cannot read a journal of segment ${segment}: it is cut off.`);
    records.push({ type: read.type, payload: read.payload });
    start = read.end;
  }
  return records;
}
