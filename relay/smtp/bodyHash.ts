/**
 * The DKIM body hash (bh=) of a message that streams by: SHA-256 over the relaxed canonical body of
 * RFC 6376 §3.4.4, taken once while receiving and used by every signature. Memory is bounded whatever the
 * body: empty lines that may turn out to be trailing are counted, not kept.
 *
 * Only CRLF ends a line. Stored content has no bare CR or LF; were there one, it would count as text.
 */
import { createHash, hash, type Hash } from "node:crypto";

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
    let index = 0;
    while (index < chunk.length) {
      const byte = chunk[index] as number;
      // Most bytes are in words: a loop of their own spares them the states.
      if (byte > SPACE && !this.#carriageReturn) {
        if (this.#lineEnds > 0 || this.#space) this.#putHeldBack();
        index = this.#putWord(chunk, index);
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

  /** Takes the printing bytes from `start` on; the offset behind them, or behind what the output takes. */
  #putWord(chunk: Uint8Array, start: number): number {
    this.#hasText = true;
    if (this.#filled === OUTPUT_BYTES) this.#drain();
    const output = this.#output;
    let filled = this.#filled;
    let index = start;
    for (; index < chunk.length && filled < OUTPUT_BYTES; index++) {
      const byte = chunk[index] as number;
      if (byte <= SPACE) break;
      output[filled++] = byte;
    }
    this.#filled = filled;
    return index;
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
