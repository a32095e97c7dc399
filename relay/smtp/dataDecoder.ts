/**
 * The bytes after DATA, as they come from the wire, cut anywhere: where the content ends, which dots are
 * stuffing, and whether its lines are lines. Pure; memory is one byte's worth of state.
 *
 * The end is CRLF.CRLF and nothing else (RFC 5321 §4.1.1.4). Servers that also took LF.LF or the like let
 * a stranger hide a second message in the first (SMTP smuggling, CVE-2023-51764 and its kin), so here a
 * bare CR or LF neither ends a line nor passes: the first fault is kept, the rest is read over to the true
 * end, and the message is refused.
 */
import { firstBelow, scannable } from "./byteScan.ts";

/** RFC 5321 §4.5.3.1.6 and RFC 5322 §2.1.1: 1000 octets with CRLF. */
export const LONGEST_LINE_BYTES = 998;

export interface LineFault {
  readonly kind: "BareCr" | "BareLf" | "Nul" | "LongLine";
  /** Line of the content, counted from 1. */
  readonly line: number;
}

const NUL = 0x00;
const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;
/** Below it are NUL, LF and CR, and a few that mean nothing here. */
const LOWEST_PLAIN = CR + 1;

/** Where in a line the next byte stands. `Dot` and `DotCr` hold back what may be the end. */
type Place = "LineStart" | "Dot" | "DotCr" | "InLine" | "Cr" | "Ended";

export class DataDecoder {
  #place: Place = "LineStart";
  #line = 1;
  #lineBytes = 0;
  #fault: LineFault | undefined;

  /** The first fault; nothing is emitted any more once there is one. */
  get fault(): LineFault | undefined {
    return this.#fault;
  }

  /**
   * Takes the next bytes and hands their content, without stuffing, to `emit` as views of `chunk`.
   * Returns how many bytes up to and including the end belong to this message, or -1 when it goes on.
   */
  feed(chunk: Buffer, emit: (piece: Buffer) => void): number {
    const bytes = scannable(chunk);
    let at = 0;
    /** Start of what is content and not emitted yet. */
    let from = 0;
    const flush = (to: number) => {
      if (to > from && this.#fault === undefined) emit(chunk.subarray(from, to));
    };
    while (at < chunk.length) {
      const byte = chunk[at];
      switch (this.#place) {
        case "LineStart":
          this.#lineBytes = 0;
          if (byte === DOT) {
            flush(at);
            from = ++at;
            this.#place = "Dot";
          } else {
            this.#place = "InLine";
          }
          break;
        case "Dot":
          // RFC 5321 §4.5.2: a dot with anything behind it is stuffing, and goes.
          if (byte === CR) at++;
          this.#place = byte === CR ? "DotCr" : "InLine";
          from = at;
          break;
        case "DotCr":
          if (byte === LF) {
            this.#place = "Ended";
            return at + 1;
          }
          this.#blame("BareCr");
          this.#place = "InLine";
          break;
        case "Cr":
          if (byte === LF) {
            at++;
            this.#line++;
            this.#place = "LineStart";
          } else {
            this.#blame("BareCr");
            this.#place = "InLine";
          }
          break;
        case "InLine":
          at = this.#readOn(bytes, at);
          break;
        case "Ended":
          throw new Error("Cannot decode DATA behind its end: the caller must take the rest for commands.");
      }
    }
    if (this.#place !== "Dot" && this.#place !== "DotCr") flush(chunk.length);
    return -1;
  }

  /** Reads to the next CR or LF, or to the end of the chunk; the offset behind what it took. */
  #readOn(bytes: DataView, at: number): number {
    let stop = firstBelow(bytes, at, LOWEST_PLAIN);
    let ends = NUL;
    while (stop < bytes.byteLength) {
      ends = bytes.getUint8(stop);
      if (ends === CR || ends === LF) break;
      if (ends === NUL) this.#blame("Nul");
      stop = firstBelow(bytes, stop + 1, LOWEST_PLAIN);
    }
    this.#lineBytes += stop - at;
    if (this.#lineBytes > LONGEST_LINE_BYTES) this.#blame("LongLine");
    if (stop === bytes.byteLength) return stop;
    if (ends === CR) this.#place = "Cr";
    else this.#blame("BareLf");
    return stop + 1;
  }

  #blame(kind: LineFault["kind"]): void {
    this.#fault ??= { kind, line: this.#line };
  }
}
