/**
 * Content for the wire (RFC 5321 §4.5.2): a line that begins with a dot gets one more. Chunks come as
 * they like; what needs no dot passes without a copy.
 *
 * Content has CRLF line ends by contract. A dot behind a bare LF is stuffed too: a receiver that takes
 * LF for a line end must never find an end of data that we did not mean.
 */
const LF = 0x0a;
const DOT = 0x2e;
const LF_DOT = Buffer.from("\n.");
const ONE_DOT = Buffer.from(".");
const END_ON_NEW_LINE = Buffer.from(".\r\n");
const END_AFTER_TEXT = Buffer.from("\r\n.\r\n");

export class DotStuffing {
  /** The last two bytes seen; at the start of content stands the start of a line. */
  #before = 0x0d;
  #last = LF;

  /** The chunk in one or more pieces, with the dots it needs. */
  stuff(chunk: Buffer): readonly Buffer[] {
    const pieces: Buffer[] = [];
    let from = 0;
    if (this.#last === LF && chunk[0] === DOT) pieces.push(ONE_DOT);
    for (let at = chunk.indexOf(LF_DOT); at >= 0; at = chunk.indexOf(LF_DOT, at + 1)) {
      pieces.push(chunk.subarray(from, at + 1), ONE_DOT);
      from = at + 1;
    }
    pieces.push(from === 0 ? chunk : chunk.subarray(from));
    this.#before = chunk.length > 1 ? (chunk.at(-2) ?? 0) : chunk.length === 1 ? this.#last : this.#before;
    this.#last = chunk.at(-1) ?? this.#last;
    return pieces;
  }

  /** The end of data; a last line without its end gets one. */
  end(): Buffer {
    return this.#before === 0x0d && this.#last === LF ? END_ON_NEW_LINE : END_AFTER_TEXT;
  }
}
