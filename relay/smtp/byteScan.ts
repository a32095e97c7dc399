/**
 * Where plain text ends: the next byte below a bound, sought four at a time. Content is looked at twice on its
 * way in, for its line ends and for its body hash, and both are mostly long stretches of nothing to do.
 */

const ONES = 0x01010101;
const HIGH_BITS = 0x80808080;

/** A view to scan with; one a chunk. */
export function scannable(chunk: Uint8Array): DataView {
  return new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

/** Offset of the first byte below `bound` (1 to 128) at or behind `start`; the length when there is none. */
export function firstBelow(bytes: DataView, start: number, bound: number): number {
  const length = bytes.byteLength;
  const bounds = bound * ONES;
  let at = start;
  for (; at + 4 <= length; at += 4) {
    const four = bytes.getInt32(at, true);
    // A byte below the bound borrows its high bit, and one above 127 is not taken for such (~four).
    if (((four - bounds) & ~four & HIGH_BITS) !== 0) break;
  }
  while (at < length && bytes.getUint8(at) >= bound) at++;
  return at;
}
