/**
 * Numbers for message ids: a slot for each queued message, so that everything kept about it can lie in columns
 * of typed arrays, at 24 bytes a message instead of some hundred for a string in a Map. A slot is given out
 * again when its message is gone. Open addressing with linear probing; an id is its 128 bits.
 */
import type { MessageId } from "../message.ts";

/** Crockford's alphabet, as kit/ulid.ts writes it. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const codes = Buffer.from(ALPHABET, "latin1");
const values = new Uint8Array(128);
for (let value = 0; value < ALPHABET.length; value++) values[ALPHABET.charCodeAt(value)] = value;

const FIRST_CAPACITY = 1024;
/** What is reserved is a multiple of this, with as much room for what comes. */
const STEP = 64 * 1024;
const NONE = -1;

/** A column that grows with the table. */
export type Column =
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** A copy of `column` with room for `capacity`; what is new is zero. */
export function grown<C extends Column>(column: C, capacity: number): C {
  const larger = new (column.constructor as new (length: number) => C)(capacity);
  larger.set(column);
  return larger;
}

export class IdTable {
  /** Four to an id; with a sign, since V8 takes those without one for fractions: lookups are a fifth faster. */
  #words = new Int32Array(4 * FIRST_CAPACITY);
  /** Slot + 1, or 0: an untouched part of a large table takes no memory. */
  #buckets = new Uint32Array(2 * FIRST_CAPACITY);
  /** 1: the slot is in use. */
  #used = new Uint8Array(FIRST_CAPACITY);
  #free: number[] = [];
  #next = 0;
  #size = 0;
  #capacity = FIRST_CAPACITY;
  readonly #id = new Int32Array(4);
  readonly #onGrow: (capacity: number) => void;

  /** `onGrow` is called before a slot at or over the former capacity is given out. */
  constructor(onGrow: (capacity: number) => void) {
    this.#onGrow = onGrow;
    onGrow(FIRST_CAPACITY);
  }

  get size(): number {
    return this.#size;
  }

  /** Slots are below this; those that are free are not `isUsed`. */
  get end(): number {
    return this.#next;
  }

  /** Makes room for about so many, at once instead of by doubling. */
  reserve(count: number): void {
    if (count > this.#capacity) this.#grow(Math.ceil(count / STEP) * STEP);
  }

  isUsed(slot: number): boolean {
    return this.#used[slot] === 1;
  }

  /** The slot of an id, or -1. */
  find(id: MessageId): number {
    const words = this.#id;
    packId(id, words);
    return this.#find(at(words, 0), at(words, 1), at(words, 2), at(words, 3));
  }

  /** The slot of an id of 16 bytes, or -1. */
  findBytes(bytes: Buffer, start: number): number {
    return this.#find(
      wordOf(bytes, start),
      wordOf(bytes, start + 4),
      wordOf(bytes, start + 8),
      wordOf(bytes, start + 12),
    );
  }

  /** A slot for an id; the one it has when it is known. */
  add(id: MessageId): number {
    const words = this.#id;
    packId(id, words);
    return this.#add(at(words, 0), at(words, 1), at(words, 2), at(words, 3));
  }

  /** A slot for an id that is not known yet; -1 when it is. */
  addNew(id: MessageId): number {
    const before = this.#size;
    const slot = this.add(id);
    return this.#size === before ? NONE : slot;
  }

  addBytes(bytes: Buffer, start: number): number {
    return this.#add(
      wordOf(bytes, start),
      wordOf(bytes, start + 4),
      wordOf(bytes, start + 8),
      wordOf(bytes, start + 12),
    );
  }

  remove(slot: number): void {
    const mask = this.#buckets.length - 1;
    let hole = this.#hash(slot) & mask;
    while (this.#buckets[hole] !== slot + 1) hole = (hole + 1) & mask;
    // Those behind it that would not be found over a hole move up into it.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const other = this.#buckets[at] ?? 0;
      if (other === 0) break;
      const home = this.#hash(other - 1) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#buckets[hole] = other;
      hole = at;
    }
    this.#buckets[hole] = 0;
    this.#used[slot] = 0;
    this.#free.push(slot);
    this.#size--;
  }

  idOf(slot: number): MessageId {
    for (let word = 0; word < 4; word++) this.#id[word] = this.#words[4 * slot + word] ?? 0;
    return unpackId(this.#id);
  }

  writeId(slot: number, bytes: Buffer, start: number): void {
    for (let word = 0; word < 4; word++)
      bytes.writeInt32BE(this.#words[4 * slot + word] ?? 0, start + 4 * word);
  }

  /** Milliseconds since the epoch at which the id was made: its first 48 bits. */
  timeOf(slot: number): number {
    return (at(this.#words, 4 * slot) >>> 0) * 65_536 + (at(this.#words, 4 * slot + 1) >>> 16);
  }

  /** Whether the id of slot `a` is before that of `b`: that of the earlier message. */
  isBefore(a: number, b: number): boolean {
    for (let word = 0; word < 4; word++) {
      const left = at(this.#words, 4 * a + word) >>> 0;
      const right = at(this.#words, 4 * b + word) >>> 0;
      if (left !== right) return left < right;
    }
    return false;
  }

  #find(a: number, b: number, c: number, d: number): number {
    return (this.#buckets[this.#bucketOf(a, b, c, d)] ?? 0) - 1;
  }

  #add(a: number, b: number, c: number, d: number): number {
    let bucket = this.#bucketOf(a, b, c, d);
    const known = (this.#buckets[bucket] ?? 0) - 1;
    if (known !== NONE) return known;
    const slot = this.#free.pop() ?? this.#next++;
    if (slot >= this.#capacity) {
      this.#grow(2 * this.#capacity);
      bucket = this.#bucketOf(a, b, c, d);
    }
    const words = this.#words;
    words[4 * slot] = a;
    words[4 * slot + 1] = b;
    words[4 * slot + 2] = c;
    words[4 * slot + 3] = d;
    this.#used[slot] = 1;
    this.#size++;
    this.#buckets[bucket] = slot + 1;
    return slot;
  }

  #grow(capacity: number): void {
    this.#capacity = capacity;
    this.#words = grown(this.#words, 4 * capacity);
    this.#used = grown(this.#used, capacity);
    // Two thirds full at most, and a power of two.
    this.#buckets = new Uint32Array(2 ** Math.ceil(Math.log2(1.5 * capacity)));
    const mask = this.#buckets.length - 1;
    for (let slot = 0; slot < this.#next; slot++) {
      if (this.#used[slot] !== 1) continue;
      let bucket = this.#hash(slot) & mask;
      while (this.#buckets[bucket] !== 0) bucket = (bucket + 1) & mask;
      this.#buckets[bucket] = slot + 1;
    }
    this.#onGrow(capacity);
  }

  /** The bucket that holds an id of four words, or the empty one where it belongs. */
  #bucketOf(a: number, b: number, c: number, d: number): number {
    const words = this.#words;
    const buckets = this.#buckets;
    const mask = buckets.length - 1;
    for (let at = mix(a, b, c, d) & mask; ; at = (at + 1) & mask) {
      const slot = buckets[at] ?? 0;
      if (slot === 0) return at;
      const word = 4 * (slot - 1);
      if (words[word + 3] === d && words[word + 2] === c && words[word + 1] === b && words[word] === a) {
        return at;
      }
    }
  }

  #hash(slot: number): number {
    const words = this.#words;
    const word = 4 * slot;
    return mix(words[word] ?? 0, words[word + 1] ?? 0, words[word + 2] ?? 0, words[word + 3] ?? 0);
  }
}

function at(words: Int32Array, index: number): number {
  return words[index] ?? 0;
}

function wordOf(bytes: Buffer, start: number): number {
  return (
    ((bytes[start] ?? 0) << 24) |
    ((bytes[start + 1] ?? 0) << 16) |
    ((bytes[start + 2] ?? 0) << 8) |
    (bytes[start + 3] ?? 0)
  );
}

/** The 128 bits of a ULID, big-endian, into four words. */
export function packId(id: MessageId, words: Uint32Array | Int32Array): void {
  // 26 characters of 5 bits, the first of which carries 3: 3 + 25 × 5 = 128.
  let word = 0;
  let held = 0;
  let bits = 0;
  for (let index = 0; index < 26; index++) {
    const value = values[id.charCodeAt(index)] ?? 0;
    const width = index === 0 ? 3 : 5;
    const room = 32 - bits;
    if (width < room) {
      held = (held << width) | value;
      bits += width;
    } else {
      const left = width - room;
      words[word++] = (held << room) | (value >>> left);
      held = value & ((1 << left) - 1);
      bits = left;
    }
  }
}

/** The characters of the id that is being unpacked: a string that grows letter by letter takes twice as long. */
const letters = Buffer.alloc(26);

export function unpackId(words: Uint32Array | Int32Array): MessageId {
  let word = 0;
  let current = words[0] ?? 0;
  let left = 32;
  for (let index = 0; index < 26; index++) {
    const width = index === 0 ? 3 : 5;
    let value: number;
    if (left >= width) {
      left -= width;
      value = (current >>> left) & ((1 << width) - 1);
    } else {
      const high = current & ((1 << left) - 1);
      const missing = width - left;
      current = words[++word] ?? 0;
      left = 32 - missing;
      value = (high << missing) | (current >>> left);
    }
    letters[index] = codes[value] ?? 0;
  }
  return letters.toString("latin1");
}

/** Ids of one relay ascend: chance is in the last words, and in the time's last bits. */
function mix(a: number, b: number, c: number, d: number): number {
  let hash = Math.imul(d ^ Math.imul(c, 0x9e37_79b1) ^ Math.imul(b, 0x85eb_ca6b) ^ a, 0xc2b2_ae35);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x27d4_eb2f);
  return (hash ^ (hash >>> 13)) >>> 0;
}
