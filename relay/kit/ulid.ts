/**
 * ULIDs: ids of messages. 26 characters of Crockford's base 32 that sort by time: 48 bits of Unix
 * milliseconds, then 80 bits of chance (ulid/spec). Unlike a counter they need no state on disk, unlike a
 * UUID they tell a person the order of acceptance.
 *
 * Within one millisecond, and while the clock stands still or runs backwards, the chance part is counted
 * up instead of drawn, so that ids of one process strictly ascend.
 */
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

/** Crockford's alphabet: no I, L, O, U. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_BYTES = 10;
/** The last millisecond 48 bits hold: the year 10889. */
const LAST_MILLISECOND = 2 ** 48 - 1;

/** A generator of ascending ids. One per process: two generators may meet only with chance 2^-80. */
export function createUlids({ clock, random }: { clock: Clock; random: Random }): () => string {
  let time = -1;
  let chance = new Uint8Array(RANDOM_BYTES);
  return () => {
    const now = clock.now();
    // A full count (2^80 ids in a millisecond) borrows the next millisecond rather than repeat an id.
    if (now > time || !increment(chance)) {
      time = Math.max(now, time + 1);
      chance = Uint8Array.from(random.bytes(RANDOM_BYTES));
    }
    return encode(time, chance);
  };
}

/** Whether `text` has the form of a ULID as we write them (upper case). */
export function isUlid(text: string): boolean {
  // The first character carries 3 bits only: 48 + 80 = 128 bits in 26 × 5 = 130.
  return /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(text);
}

/** Milliseconds since the epoch at which `ulid` was made. */
export function ulidTime(ulid: string): number {
  if (!isUlid(ulid)) throw new Error(`Cannot read the time of ${JSON.stringify(ulid)}: it is no ULID.`);
  let time = 0;
  for (const character of ulid.slice(0, 10)) time = time * 32 + ALPHABET.indexOf(character);
  return time;
}

/** Adds one, big-endian. False when it wrapped to zero. */
function increment(bytes: Uint8Array): boolean {
  for (let index = bytes.length - 1; index >= 0; index--) {
    const value = ((bytes[index] ?? 0) + 1) & 0xff;
    bytes[index] = value;
    if (value !== 0) return true;
  }
  return false;
}

function encode(time: number, chance: Uint8Array): string {
  if (!Number.isInteger(time) || time < 0 || time > LAST_MILLISECOND) {
    throw new RangeError(`Cannot make a ULID: ${time} is not a whole number of milliseconds in 48 bits.`);
  }
  let text = "";
  let rest = time;
  for (let index = 0; index < 10; index++) {
    text = ALPHABET.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  // 5 bytes are 40 bits are 8 characters.
  for (let start = 0; start < RANDOM_BYTES; start += 5) {
    let group = 0;
    for (let index = start; index < start + 5; index++) group = group * 256 + (chance[index] ?? 0);
    let part = "";
    for (let index = 0; index < 8; index++) {
      part = ALPHABET.charAt(group % 32) + part;
      group = Math.floor(group / 32);
    }
    text += part;
  }
  return text;
}
