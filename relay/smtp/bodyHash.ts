/**
 * The DKIM body hash (bh=) of a message that streams by: SHA-256 over the relaxed canonical body of
 * RFC 6376 §3.4.4, taken once while receiving and used by every signature. Memory is bounded whatever the
 * body: empty lines that may turn out to be trailing are counted, not kept.
 *
 * Only CRLF ends a line. Stored content has no bare CR or LF; were there one, it would count as text.
 */
import { createHash, hash, type Hash } from "node:crypto";

import { firstBelow, scannable } from "./byteScan.ts";

export interface BodyHash {
  /** Takes the next bytes of the body, cut anywhere. */
  update(chunk: Uint8Array): void;
  /** Base64 of the hash; ends the object. */
  digest(): string;
}

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
/** Canonical bytes gathered before they are hashed: few calls, little memory. */
const OUTPUT_BYTES = 16_384;
/** Outputs of ended hashes, for the next ones: one made anew for each message is garbage outside the heap. */
const spare: Buffer[] = [];
/** Half a mebibyte. */
const MOST_SPARE = 32;

export function createBodyHash(): BodyHash {
  return new RelaxedBodyHash();
}

class RelaxedBodyHash implements BodyHash {
  /** Begun when the output is full for the first time: most bodies are hashed in one call. */
  #hash: Hash | undefined;
  readonly #output = spare.pop() ?? Buffer.allocUnsafe(OUTPUT_BYTES);
  #filled = 0;
  /** Line ends seen and not written: written only when text follows, since trailing ones are ignored. */
  #lineEnds = 0;
  /** White space seen and not written: one space if text follows on the line, nothing at its end. */
  #space = false;
  #carriageReturn = false;
  #hasText = false;
  #isEnded = false;

  update(chunk: Uint8Array): void {
    this.#mustRun();
    const bytes = scannable(chunk);
    let index = 0;
    while (index < chunk.length) {
      const byte = chunk[index] as number;
      // Most of a body is canonical as it stands: it is copied as it stands, without the states.
      if (byte > SPACE && !this.#carriageReturn) {
        if (this.#lineEnds > 0 || this.#space) this.#putHeldBack();
        const end = canonicalEnd(bytes, index);
        this.#putText(chunk, index, end);
        index = end;
      } else {
        this.#step(byte);
        index++;
      }
    }
  }

  digest(): string {
    this.#mustRun();
    this.#isEnded = true;
    if (this.#carriageReturn) this.#text(CR);
    // §3.4.4: trailing empty lines go; what is not empty ends with one CRLF; an empty body hashes as "".
    if (this.#hasText) {
      this.#put(CR);
      this.#put(LF);
    }
    const rest = this.#output.subarray(0, this.#filled);
    const digest = this.#hash?.update(rest).digest("base64") ?? hash("sha256", rest, "base64");
    // Ended: nobody looks at its bytes any more.
    if (spare.length < MOST_SPARE) spare.push(this.#output);
    return digest;
  }

  /** The output of an ended one may be another's already. */
  #mustRun(): void {
    if (this.#isEnded) throw new Error("Cannot go on with a body hash: it has ended.");
  }

  #step(byte: number): void {
    if (this.#carriageReturn) {
      this.#carriageReturn = false;
      if (byte === LF) {
        this.#lineEnds++;
        this.#space = false;
        return;
      }
      this.#text(CR);
    }
    if (byte === CR) this.#carriageReturn = true;
    else if (byte === SPACE || byte === TAB) this.#space = true;
    else this.#text(byte);
  }

  /** Takes the bytes from `start` to `end` as they are. */
  #putText(chunk: Uint8Array, start: number, end: number): void {
    this.#hasText = true;
    let from = start;
    while (from < end) {
      if (this.#filled === OUTPUT_BYTES) this.#drain();
      const to = Math.min(end, from + OUTPUT_BYTES - this.#filled);
      this.#output.set(chunk.subarray(from, to), this.#filled);
      this.#filled += to - from;
      from = to;
    }
  }

  #text(byte: number): void {
    if (this.#lineEnds > 0 || this.#space) this.#putHeldBack();
    this.#hasText = true;
    this.#put(byte);
  }

  #putHeldBack(): void {
    for (; this.#lineEnds > 0; this.#lineEnds--) {
      this.#put(CR);
      this.#put(LF);
    }
    if (this.#space) this.#put(SPACE);
    this.#space = false;
  }

  #put(byte: number): void {
    if (this.#filled === OUTPUT_BYTES) this.#drain();
    this.#output[this.#filled++] = byte;
  }

  #drain(): void {
    this.#hash ??= createHash("sha256");
    this.#hash.update(this.#output);
    this.#filled = 0;
  }
}

/**
 * How far the text that begins at `start` stands as its canonical form has it: words, single spaces between
 * words, single line ends between words. The offset behind its last word, or behind the chunk.
 */
function canonicalEnd(bytes: DataView, start: number): number {
  const length = bytes.byteLength;
  let at = start;
  for (;;) {
    at = firstBelow(bytes, at, SPACE + 1);
    if (at === length) return at;
    let next = at + 1;
    if (bytes.getUint8(at) === CR && next < length && bytes.getUint8(next) === LF) next++;
    else if (bytes.getUint8(at) !== SPACE) return at;
    if (next === length || bytes.getUint8(next) <= SPACE) return at;
    at = next + 1;
  }
}
