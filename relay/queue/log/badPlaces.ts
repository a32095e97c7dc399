/**
 * Reads a file around the places that the disk cannot read (EIO). What lies there comes as zeros, which pass for no
 * record: so one bad sector under a log is damage of some records (scan.ts steps over it), and not a relay that
 * cannot start while all other mail waits.
 *
 * More than a bad place or some is a fault of the store, and rejects: nobody shall take a disk that is gone for a
 * spool with little in it.
 */
import { codeOf, type StoredFile } from "../files.ts";

export type AroundBadPlaces = Pick<StoredFile, "read" | "size" | "close"> & {
  /** Bytes that were asked for and could not be read, counted once, in whole pages. */
  readonly badBytes: number;
};

/** What the kernel reads at least. */
const PAGE_BYTES = 4096;
/** Pages of flash have 16 KiB, stripes of a RAID often 64 KiB. */
const LONGEST_BAD_BYTES = 64 * 1024;
/** Over one file. A bad place can take seconds to answer, and a probe waits for the start. */
const MOST_BAD_BYTES = 256 * 1024;

export function aroundBadPlaces(file: StoredFile): AroundBadPlaces {
  /** Page numbers. */
  const bad = new Set<number>();

  /** The pages that these bytes touch, one by one. Rejects with `error` when too many are bad. */
  async function readPages(length: number, position: number, error: unknown): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const size = await file.size();
    const end = Math.min(position + length, size);
    let run = 0;
    for (let start = position; start < end;) {
      const page = Math.floor(start / PAGE_BYTES);
      const stop = Math.min((page + 1) * PAGE_BYTES, end);
      if (bad.has(page) || !(await readInto(bytes, start - position, stop - start, start))) {
        bad.add(page);
        run += PAGE_BYTES;
        if (run > LONGEST_BAD_BYTES || bad.size * PAGE_BYTES > MOST_BAD_BYTES) throw error;
      } else run = 0;
      start = stop;
    }
    return bytes.subarray(0, Math.max(0, end - position));
  }

  /** False where the disk cannot. */
  async function readInto(bytes: Buffer, at: number, length: number, position: number): Promise<boolean> {
    try {
      (await file.read(length, position)).copy(bytes, at);
      return true;
    } catch (error) {
      if (codeOf(error) !== "EIO") throw error;
      return false;
    }
  }

  return {
    get badBytes() {
      return bad.size * PAGE_BYTES;
    },
    async read(length, position) {
      try {
        return await file.read(length, position);
      } catch (error) {
        if (codeOf(error) !== "EIO") throw error;
        return readPages(length, position, error);
      }
    },
    size: () => file.size(),
    close: () => file.close(),
  };
}
