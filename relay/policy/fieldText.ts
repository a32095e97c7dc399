/**
 * Text of foreign origin (replies, addresses, names) made fit for a header field or a line of plain text:
 * no control characters, so that nobody writes a header through us; bounded; folded. Pure.
 */

/** RFC 5322 §2.1.1: lines SHOULD be no longer, excluding CRLF. */
export const LINE_LENGTH = 78;
/** And MUST be no longer than 998; a word beyond this is broken. */
const LONGEST_WORD = 900;

/** One line: control characters and line separators become spaces, runs of white space one; cut at `most`. */
export function oneLine(text: string, most = 1024): string {
  const line = text
    // C0, DEL, C1, and the Unicode separators some viewers break lines at.
    // oxlint-disable-next-line no-control-regex
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
  return line.length <= most ? line : `${cutWhole(line, most - 1)}…`;
}

/** The same in US-ASCII: what is not becomes "?". */
export function asciiLine(text: string, most = 1024): string {
  return oneLine(text, most)
    .replaceAll("…", "...")
    .replaceAll(/[^\u0020-\u007e]/gu, "?");
}

export function isAscii(text: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return /^[\u0000-\u007f]*$/.test(text);
}

/** "Name: value" and CRLF, folded before spaces so that unfolding gives the value back. `value` is one line. */
export function foldedField(name: string, value: string): string {
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of wordsOf(value)) {
    if (line.length + 1 + word.length > LINE_LENGTH && line !== `${name}:`) {
      lines.push(line);
      line = ` ${word}`;
    } else line += ` ${word}`;
  }
  return `${[...lines, line].join("\r\n")}\r\n`;
}

/** Lines of a paragraph, each indented, none longer than a line of mail unless one word is. */
export function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of wordsOf(text)) {
    if (line !== "" && indent.length + line.length + 1 + word.length > LINE_LENGTH - 2) {
      lines.push(indent + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(indent + line);
  return lines;
}

function wordsOf(text: string): string[] {
  return text
    .split(" ")
    .filter((word) => word !== "")
    .flatMap((word) => piecesOf(word));
}

/** Pieces of a word, none longer than a line may be, counted in UTF-8 bytes at worst four a character. */
function piecesOf(word: string): string[] {
  const most = isAscii(word) ? LONGEST_WORD : LONGEST_WORD / 4;
  if (word.length <= most) return [word];
  const pieces: string[] = [];
  for (let rest = word; rest !== "";) {
    const piece = cutWhole(rest, most);
    pieces.push(piece);
    rest = rest.slice(piece.length);
  }
  return pieces;
}

/** At most `most` UTF-16 units, no surrogate pair broken. */
function cutWhole(text: string, most: number): string {
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? most - 1 : most);
}
