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
 *
 * Damage is stepped over to the next sound journal, since a batch is begun when the one before is safe: whatever a
 * later journal follows was whole once. What none follows is the torn end that a kill or a failed write leaves, and
 * so is a last batch with a sound journal and a torn beginning: nobody was promised it, or was told that it failed.
 * Between journals lie bytes of clients, who may write what looks like one. So beside its checksum a journal that is
 * found by searching must stand where it says: right behind the content of its batch.
 */
import type { StoredFile } from "../files.ts";
import { storedBytes } from "./contentBlocks.ts";
import { BATCH_TYPE, decodeMetadata, type RawMetadata } from "./metadata.ts";
import { BATCH_MARK } from "./scan.ts";
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
const FRAME_BYTES = RECORD_HEADER_BYTES + FRAME_SIZE_OFFSET + FRAME_SIZE_BYTES;

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

/** The records of each journal of a segment from `start` on; where the last ends, and the bytes stepped over. */
export async function readJournals(
  file: Pick<StoredFile, "read" | "size">,
  segment: number,
  start: number,
  onJournal: (records: readonly RawMetadata[]) => void,
): Promise<{ readonly end: number; readonly damagedBytes: number }> {
  const size = await file.size();
  let position = Math.max(start, FILE_HEADER_BYTES);
  let windowBytes = WINDOW_BYTES;
  let damagedBytes = 0;
  while (position + RECORD_HEADER_BYTES <= size) {
    const window = await file.read(Math.min(windowBytes, size - position), position);
    const read = readRecord(window, 0, segment);
    if (read.kind === "short" && position + read.needed <= size) {
      windowBytes = Math.max(WINDOW_BYTES, read.needed);
      continue;
    }
    if (read.kind !== "record") {
      // A segment is left at some 32 MiB: the rest of it fits into memory.
      const next = journalBehind(await file.read(size - position, position), position, segment);
      if (next === null) break;
      damagedBytes += next.start - position;
      position = next.end;
      onJournal(next.records);
      continue;
    }
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
  return { end: position, damagedBytes };
}

interface FoundJournal {
  /** Where its batch begins, and where it begins and ends itself, in the segment. */
  readonly batchStart: number;
  readonly start: number;
  readonly end: number;
  readonly records: readonly RawMetadata[];
}

/** The next sound journal behind damage at `position`, from where on `bytes` are; null when that is a torn end. */
function journalBehind(bytes: Buffer, position: number, segment: number): FoundJournal | null {
  const next = nextJournal(bytes, position, segment, 0);
  if (next === null || next.batchStart > position) return next;
  // Its own batch is damaged: only a later one tells that it was ever whole.
  return nextJournal(bytes, position, segment, next.end - position) === null ? null : next;
}

function nextJournal(bytes: Buffer, position: number, segment: number, from: number): FoundJournal | null {
  const ahead = 2 * RECORD_HEADER_BYTES;
  let mark = bytes.indexOf(BATCH_MARK, from + ahead);
  for (; mark !== -1; mark = bytes.indexOf(BATCH_MARK, mark + 1)) {
    const found = journalAt(bytes, mark - ahead, position, segment);
    if (found !== null) return found;
  }
  return null;
}

function journalAt(bytes: Buffer, at: number, position: number, segment: number): FoundJournal | null {
  if (bytes[at + 4] !== JOURNAL_TYPE) return null;
  // Cheap first: the batch mark in front.
  const mark = readRecord(bytes, at + RECORD_HEADER_BYTES, segment);
  if (mark.kind !== "record" || mark.type !== BATCH_TYPE) return null;
  const read = readRecord(bytes, at, segment);
  if (read.kind !== "record") return null;
  const start = position + at;
  try {
    const records = recordsIn(read.payload, segment);
    const content = contentOf(records, bytes, position, segment);
    if (content?.end !== start) return null;
    return { batchStart: content.start, start, end: position + read.end, records };
  } catch {
    // Sound by its checksum, and not of our making.
    return null;
  }
}

/** Where the content begins and ends that a batch says it placed in its segment. */
function contentOf(
  batch: readonly RawMetadata[],
  bytes: Buffer,
  position: number,
  segment: number,
): { readonly start: number; readonly end: number } | null {
  let first = Number.POSITIVE_INFINITY;
  let last = { offset: -1, sizeBytes: 0 };
  for (const raw of batch) {
    const record = decodeMetadata(raw);
    if ((record?.kind !== "message" && record?.kind !== "moved") || record.content?.segment !== segment)
      continue;
    const { offset } = record.content;
    first = Math.min(first, offset);
    if (offset <= last.offset) continue;
    // The size of what was moved is in its frame only.
    const frame =
      record.kind === "moved" ? readRecord(bytes, offset - FRAME_BYTES - position, segment) : null;
    const sizeBytes =
      record.kind === "message"
        ? record.message.sizeBytes
        : frame?.kind === "record"
          ? frame.payload.readUIntBE(FRAME_SIZE_OFFSET, FRAME_SIZE_BYTES)
          : Number.NaN;
    last = { offset, sizeBytes };
  }
  return last.offset < 0
    ? null
    : { start: first - FRAME_BYTES, end: last.offset + storedBytes(last.sizeBytes) };
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
