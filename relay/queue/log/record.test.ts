import * as fc from "fast-check";
import { expect, test } from "vitest";

import {
  decodeFileHeader,
  encodeFileHeader,
  encodeRecord,
  type FileHeader,
  LONGEST_RECORD_BYTES,
  readRecord,
} from "./record.ts";

const payloads = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const types = fc.integer({ min: 1, max: 255 });
const seeds = fc.integer({ min: 1, max: 0xffff_ffff });
const headers: fc.Arbitrary<FileHeader> = fc.record({
  kind: fc.constantFrom("log", "checkpoint", "segment", "message"),
  sequence: seeds,
  previous: fc.record({ sequence: seeds, bytes: fc.integer({ min: 0, max: 2 ** 48 - 1 }) }),
});

test("what was framed is read back, wherever it stands", () => {
  fc.assert(
    fc.property(types, payloads, seeds, payloads, (type, payload, seed, before) => {
      const bytes = Buffer.concat([before, ...encodeRecord(type, payload, seed), before]);

      expect(readRecord(bytes, before.length, seed)).toEqual({
        kind: "record",
        type,
        payload,
        end: before.length + 12 + payload.length,
      });
    }),
  );
});

test("every single flipped bit of a record is noticed", () => {
  fc.assert(
    fc.property(types, payloads, seeds, (type, payload, seed) => {
      const bytes = Buffer.concat(encodeRecord(type, payload, seed));
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        // Three bytes of the header are zero for later use and still covered.
        const flipped = Buffer.from(bytes);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(readRecord(flipped, 0, seed).kind).not.toBe("record");
      }
    }),
    { numRuns: 30 },
  );
});

test("a record cut anywhere is short, never wrong", () => {
  fc.assert(
    fc.property(types, payloads, seeds, (type, payload, seed) => {
      const bytes = Buffer.concat(encodeRecord(type, payload, seed));
      for (let cut = 0; cut < bytes.length; cut++) {
        expect(readRecord(bytes.subarray(0, cut), 0, seed).kind).toBe("short");
      }
    }),
    { numRuns: 30 },
  );
});

test("a record of another file's sequence is none of this one", () => {
  const bytes = Buffer.concat(encodeRecord(2, Buffer.from("{}"), 7));

  expect(readRecord(bytes, 0, 8)).toEqual({ kind: "none" });
});

test("an unwritten disk and random bytes hold no record, and nothing throws", () => {
  expect(readRecord(Buffer.alloc(64), 0, 1)).toEqual({ kind: "none" });
  fc.assert(
    fc.property(payloads, fc.nat(320), seeds, (bytes, start, seed) => {
      expect(readRecord(bytes, start, seed).kind).not.toBe("record");
    }),
  );
});

test("a record that nobody could read back is refused when written", () => {
  expect(() => encodeRecord(2, Buffer.alloc(LONGEST_RECORD_BYTES + 1), 1)).toThrow(/at most/);
});

test("a file header is read back, and no damage to it goes unnoticed", () => {
  fc.assert(
    fc.property(headers, fc.nat(32 * 8 - 1), (header, bit) => {
      const bytes = encodeFileHeader(header);
      expect(decodeFileHeader(bytes)).toEqual(header);

      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeFileHeader(bytes)).toBeNull();
      expect(decodeFileHeader(bytes.subarray(0, 31))).toBeNull();
    }),
  );
});

test("a file of a newer format is refused by name of both versions", () => {
  // Version 5, sound CRC.
  const bytes = Buffer.from("736d7470726c61790005000100000001000000000000000000000000", "hex");
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crcOf(bytes));

  expect(() => decodeFileHeader(Buffer.concat([bytes, crc]))).toThrow(/format is version 5.*up to 4/);
});

/** CRC-32 bit by bit (polynomial 0xEDB88320), so that the test does not ask the code under test. */
function crcOf(bytes: Buffer): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}
