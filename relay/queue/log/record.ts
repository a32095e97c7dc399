/**
 * Framing of the spool's logs: how bytes on disk become records again, and how damage is noticed. Pure.
 *
 *   file   = header record*
 *   header = magic(8) version(2) kind(2) sequence(4) previousSequence(4) previousBytes(6) 0(2) crc(4)
 *   record = length(4) type(1) 0(3) crc(4) payload(length)
 *
 * All numbers big-endian, CRC-32 as zlib computes it. The CRC of a record covers its length, type and
 * payload and is seeded with the file's sequence, so that bytes of another file never pass for a record
 * of this one. A length of zero with type zero is what an unwritten disk holds: the end, not a record.
 *
 * Whoever changes the format raises FORMAT_VERSION and keeps reading the versions before: a fixture of each
 * is in test/contract/spool/formats. 1: all in the log, as JSON. 2: batches may be in the journal of a segment
 * only (segmentJournal.ts). 3: messages, updates and removals in bytes (messageFormat.ts). 4: a batch in a segment
 * may be padded to its page.
 */
import { crc32 } from "node:zlib";

export const FORMAT_VERSION = 4;
export const FILE_HEADER_BYTES = 32;
export const RECORD_HEADER_BYTES = 12;
/** No record is longer: 10,000 recipients with their last replies stay far below. */
export const LONGEST_RECORD_BYTES = 64 * 1024 * 1024;

const MAGIC = Buffer.from("smtprlay", "latin1");

/** Kinds of files. */
export const fileKinds = { log: 1, checkpoint: 2, segment: 3, message: 4, aside: 5 } as const;
export type FileKind = keyof typeof fileKinds;

export interface FileHeader {
  readonly kind: FileKind;
  /** Number of the file among its kind, ascending for ever; 0 for a message's own file. */
  readonly sequence: number;
  /**
   * The log before this one, and how many of its bytes count. What follows them was in a batch that
   * failed (its senders heard 4xx), or torn: it must not come back. Sequence 0: there is none.
   */
  readonly previous: { readonly sequence: number; readonly bytes: number };
}

export function encodeFileHeader(header: FileHeader): Buffer {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt16BE(FORMAT_VERSION, 8);
  bytes.writeUInt16BE(fileKinds[header.kind], 10);
  bytes.writeUInt32BE(header.sequence, 12);
  bytes.writeUInt32BE(header.previous.sequence, 16);
  bytes.writeUIntBE(header.previous.bytes, 20, 6);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 28)), 28);
  return bytes;
}

/** Null when the bytes are no sound header. Throws when a newer release wrote it: guessing would lose mail. */
export function decodeFileHeader(bytes: Buffer): FileHeader | null {
  if (bytes.length < FILE_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return null;
  if (crc32(bytes.subarray(0, 28)) !== bytes.readUInt32BE(28)) return null;
  const version = bytes.readUInt16BE(8);
  if (version > FORMAT_VERSION) {
    throw new Error(
      `Cannot read the spool: its format is version ${version}, this release knows up to ${FORMAT_VERSION}.`,
    );
  }
  const number = bytes.readUInt16BE(10);
  const kind = (Object.keys(fileKinds) as FileKind[]).find((name) => fileKinds[name] === number);
  if (kind === undefined) return null;
  return {
    kind,
    sequence: bytes.readUInt32BE(12),
    previous: { sequence: bytes.readUInt32BE(16), bytes: bytes.readUIntBE(20, 6) },
  };
}

/** `type` is 1 to 255; `seed` is the sequence of the file. */
export function encodeRecord(type: number, payload: Buffer, seed: number): [header: Buffer, payload: Buffer] {
  if (payload.length > LONGEST_RECORD_BYTES) {
    throw new Error(
      `Cannot log a record of ${payload.length} bytes: at most ${LONGEST_RECORD_BYTES} are allowed.`,
    );
  }
  const header = Buffer.alloc(RECORD_HEADER_BYTES);
  header.writeUInt32BE(payload.length, 0);
  header.writeUInt8(type, 4);
  header.writeUInt32BE(checksum(header, 0, payload, seed), 8);
  return [header, payload];
}

export function lengthOf(buffers: readonly Buffer[]): number {
  let bytes = 0;
  for (const buffer of buffers) bytes += buffer.length;
  return bytes;
}

export type RecordRead =
  | { readonly kind: "record"; readonly type: number; readonly payload: Buffer; readonly end: number }
  /** The bytes end before the record does; with this many it could be judged. */
  | { readonly kind: "short"; readonly needed: number }
  /** No record: damage, a torn write, or bytes never written. */
  | { readonly kind: "none" };

/** The record at `start`. Never throws, whatever the bytes. */
export function readRecord(bytes: Buffer, start: number, seed: number): RecordRead {
  const payloadStart = start + RECORD_HEADER_BYTES;
  if (bytes.length < payloadStart) return { kind: "short", needed: RECORD_HEADER_BYTES };
  const length = bytes.readUInt32BE(start);
  const type = bytes.readUInt8(start + 4);
  if (type === 0 || length > LONGEST_RECORD_BYTES) return { kind: "none" };
  const end = payloadStart + length;
  if (bytes.length < end) return { kind: "short", needed: end - start };
  const payload = bytes.subarray(payloadStart, end);
  if (checksum(bytes, start, payload, seed) !== bytes.readUInt32BE(start + 8)) return { kind: "none" };
  return { kind: "record", type, payload, end };
}

/** zlib's CRC-32 of length, type and payload; the first eight bytes here, a call into zlib costs more than they do. */
function checksum(header: Buffer, start: number, payload: Buffer, seed: number): number {
  let crc = ~seed;
  for (let at = start; at < start + 8; at++) {
    crc = (crcTable[(crc ^ (header[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return crc32(payload, ~crc >>> 0);
}

const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  return crc;
});
