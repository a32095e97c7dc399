/**
 * Reads the records of a log file in bounded pieces, and judges what is no record: a torn tail when
 * no later batch follows, damage when one does. Damage is stepped over up to the next sound record, so that
 * one bad sector costs its neighbours nothing; the caller says it out loud.
 */
import type { StoredFile } from "../files.ts";
import { BATCH_TYPE, isKnownType } from "./metadata.ts";
import { FILE_HEADER_BYTES, readRecord, RECORD_HEADER_BYTES } from "./record.ts";

const WINDOW_BYTES = 1024 * 1024;
/** How the payload of a batch mark begins: what to look for when the way is lost. */
export const BATCH_MARK = Buffer.from('{"number":');

export interface Scan {
  /** Offset behind the last sound record. */
  readonly end: number;
  /** Bytes behind it that were written (zeros at the end were not). */
  readonly tornBytes: number;
  /** Bytes stepped over. */
  readonly damagedBytes: number;
}

export interface ScanOptions {
  readonly seed: number;
  /** Bytes of the file that count. */
  readonly size: number;
  /** The file was whole when it got its name: whatever cannot be read is damage, no torn batch. */
  readonly finished?: boolean;
  /** `offset`: where the record begins in the file. The payload is the callee's for the call only. */
  readonly onRecord: (type: number, payload: Buffer, offset: number) => void;
}

export async function scanRecords(
  file: Pick<StoredFile, "read">,
  { seed, size, onRecord, finished = false }: ScanOptions,
): Promise<Scan> {
  let position = FILE_HEADER_BYTES;
  let damagedBytes = 0;
  let windowBytes = WINDOW_BYTES;
  while (position < size) {
    const window = await file.read(Math.min(windowBytes, size - position), position);
    windowBytes = WINDOW_BYTES;
    let taken = 0;
    let read = readRecord(window, taken, seed);
    for (; read.kind === "record"; read = readRecord(window, taken, seed)) {
      onRecord(read.type, read.payload, position + taken);
      taken = read.end;
    }
    position += taken;
    if (read.kind === "short" && position + read.needed <= size) {
      // Nothing wrong but the window: a record longer than it gets a larger one.
      windowBytes = Math.max(WINDOW_BYTES, read.needed);
      continue;
    }
    if (position >= size) break;
    const rest = await file.read(size - position, position);
    const limit = finished ? rest.length : nextBatch(rest, seed);
    if (limit === null) return { end: position, tornBytes: writtenBytes(rest), damagedBytes };
    const next = nextRecord(rest, limit, seed);
    if (next === rest.length) return { end: position, tornBytes: writtenBytes(rest), damagedBytes };
    damagedBytes += next;
    position += next;
  }
  return { end: Math.min(position, size), tornBytes: 0, damagedBytes };
}

/** Offset of the first sound record behind the start, or `limit`. */
function nextRecord(bytes: Buffer, limit: number, seed: number): number {
  for (let start = 1; start + RECORD_HEADER_BYTES <= limit; start++) {
    // Cheap first: a type there is, and an end within what is searched.
    if (!isKnownType(bytes[start + 4] ?? 0)) continue;
    if (start + RECORD_HEADER_BYTES + bytes.readUInt32BE(start) > limit) continue;
    if (readRecord(bytes, start, seed).kind === "record") return start;
  }
  return limit;
}

/** Offset of the first sound batch mark behind the start, or null. */
function nextBatch(bytes: Buffer, seed: number): number | null {
  let found = bytes.indexOf(BATCH_MARK, RECORD_HEADER_BYTES + 1);
  for (; found !== -1; found = bytes.indexOf(BATCH_MARK, found + 1)) {
    const start = found - RECORD_HEADER_BYTES;
    const read = readRecord(bytes, start, seed);
    if (read.kind === "record" && read.type === BATCH_TYPE) return start;
  }
  return null;
}

function writtenBytes(bytes: Buffer): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}
