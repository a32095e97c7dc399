/** Chance as a parameter: `Math.random` and key-grade random bytes occur in this file only. */
import { randomBytes, randomFillSync } from "node:crypto";

export interface Random {
  /** A number in [0, 1), for jitter and draws between equals. */
  readonly draw: () => number;
  /** Unpredictable bytes, for ids, salts and passwords. */
  readonly bytes: (count: number) => Uint8Array;
}

/** Drawn ahead for small wishes: an id needs ten bytes, and a call of its own costs more than they do. */
const ahead = Buffer.alloc(1024);
let used = ahead.length;

export const systemRandom: Random = {
  draw: () => Math.random(),
  bytes(count) {
    if (count > ahead.length / 8) return randomBytes(count);
    if (used + count > ahead.length) {
      randomFillSync(ahead);
      used = 0;
    }
    const bytes = Uint8Array.from(ahead.subarray(used, used + count));
    // Given away once: nobody finds them here later.
    ahead.fill(0, used, used + count);
    used += count;
    return bytes;
  },
};
