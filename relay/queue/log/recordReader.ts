/**
 * Reads records again, by place: the envelopes of messages whose turn has come. Those that lie near each
 * other are read together, since messages that were accepted together are due together.
 */
import { SpoolError } from "../spool.ts";
import { type LogPlace, PENDING_FILE, sequenceOf } from "./logFiles.ts";
import type { RawMetadata } from "./metadata.ts";
import { readRecord, RECORD_HEADER_BYTES } from "./record.ts";
import type { ReadableFile } from "./sharedFiles.ts";

/** Read at a time: some three hundred envelopes. */
const WINDOW_BYTES = 64 * 1024;

export interface RecordSource {
  /** Rejects when the file is gone: a checkpoint stands for it meanwhile. */
  open(file: number): Promise<ReadableFile>;
  /** A record that is in no file yet. */
  pending(number: number): RawMetadata | undefined;
}

/** The records at `places`, in their order; null for one that is damaged. Rejects when a file is gone. */
export async function readRecords(
  source: RecordSource,
  places: readonly LogPlace[],
): Promise<(RawMetadata | null)[]> {
  const order = [...places.keys()].sort((a, b) => compare(placeAt(places, a), placeAt(places, b)));
  const found: (RawMetadata | null)[] = Array.from(places, () => null);
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
      }
      const seed = sequenceOf(file);
      const within = () => readRecord(window.bytes, offset - window.start, seed);
      const isWithin = offset >= window.start && offset < window.start + window.bytes.length;
      let read = isWithin ? within() : null;
      if (read === null || read.kind === "short") {
        window = { start: offset, bytes: await open.file.read(WINDOW_BYTES, offset) };
        read = within();
      }
      if (read.kind === "short" && read.needed > WINDOW_BYTES) {
        window = { start: offset, bytes: await open.file.read(read.needed, offset) };
        read = within();
      }
      // Its own copy: a window would be kept for one envelope of it.
      if (read.kind === "record") found[index] = { type: read.type, payload: Buffer.from(read.payload) };
    }
    return found;
  } finally {
    await open?.file.close();
  }
}

/** The error for a message whose envelope cannot be read. */
export function damagedRecord(id: string, { file, offset }: LogPlace): SpoolError {
  return new SpoolError(
    `Cannot read message ${id}: its envelope, at byte ${offset + RECORD_HEADER_BYTES} of log ${sequenceOf(file)}, is damaged.`,
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
