/** Chance as a parameter: `Math.random` and key-grade random bytes occur in this file only. */
import { randomBytes } from "node:crypto";

export interface Random {
  /** A number in [0, 1), for jitter and draws between equals. */
  readonly draw: () => number;
  /** Unpredictable bytes, for ids, salts and passwords. */
  readonly bytes: (count: number) => Uint8Array;
}

export const systemRandom: Random = {
  draw: () => Math.random(),
  bytes: (count) => randomBytes(count),
};
