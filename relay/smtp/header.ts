/**
 * A raw header block as its fields in order (RFC 5322 §2.2), for the receiver, which judges and repairs
 * them, and for the signer, which needs their very bytes. Pure; knows no meaning of any field.
 *
 * It never refuses: what is malformed becomes a field without a name and a defect, so that the raws of all
 * fields together are always the block. Whoever accepts mail decides which defects he forgives.
 */

/** One header field with its continuation lines. */
export interface HeaderField {
  /** As written, without space before the colon; "" when the line is no field. */
  readonly name: string;
  /** `name` in lower case, for comparison. */
  readonly key: string;
  /** All its bytes, folds and final line end included: a view of the block, not a copy. */
  readonly raw: Buffer;
  /** Offset in `raw` behind the colon; 0 when the line is no field. */
  readonly valueStart: number;
  /** Unfolded (RFC 5322 §2.2.3) and trimmed text, read as UTF-8. */
  readonly value: string;
}

export type HeaderDefect =
  /** A line without a colon, or with something before it that is no field name (RFC 5322 §2.2). */
  | { readonly kind: "NoField"; readonly line: number }
  /** The block begins with a continuation line. */
  | { readonly kind: "LeadingFold"; readonly line: number }
  /** More fields than allowed; the rest was not looked at. */
  | { readonly kind: "TooManyFields"; readonly line: number };

export interface ParsedHeader {
  readonly fields: readonly HeaderField[];
  /** Lines are counted from 1. */
  readonly defects: readonly HeaderDefect[];
  /** Bytes of the fields, without the empty line that ends the block. */
  readonly fieldBytes: number;
}

/** Far above any real message; a block of ten thousand one-letter fields is an attack on whoever loops. */
export const MOST_FIELDS = 2000;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;

/** Parses up to the first empty line or the end. Lines end at LF, with or without CR before it. */
export function parseHeader(block: Buffer, { mostFields = MOST_FIELDS } = {}): ParsedHeader {
  const fields: HeaderField[] = [];
  const defects: HeaderDefect[] = [];
  let line = 1;
  let start = 0;
  while (start < block.length && !isEmptyLine(block, start)) {
    if (fields.length === mostFields) {
      defects.push({ kind: "TooManyFields", line });
      break;
    }
    const firstLine = line;
    let end = lineEnd(block, start);
    line++;
    while (end < block.length && isSpace(block[end])) {
      end = lineEnd(block, end);
      line++;
    }
    const field = fieldOf(block.subarray(start, end));
    if (field.valueStart === 0) {
      defects.push({ kind: isSpace(block[start]) ? "LeadingFold" : "NoField", line: firstLine });
    }
    fields.push(field);
    start = end;
  }
  return { fields, defects, fieldBytes: start };
}

/** The fields of that name, first one first. */
export function fieldsNamed(header: ParsedHeader, name: string): HeaderField[] {
  const key = name.toLowerCase();
  return header.fields.filter((field) => field.key === key);
}

function fieldOf(raw: Buffer): HeaderField {
  const colon = raw.indexOf(COLON);
  let nameEnd = Math.max(colon, 0);
  // RFC 5322 §4.5: obsolete syntax has space before the colon.
  while (nameEnd > 0 && isSpace(raw[nameEnd - 1])) nameEnd--;
  if (nameEnd === 0 || !isFieldName(raw, nameEnd)) {
    return { name: "", key: "", raw, valueStart: 0, value: unfold(raw) };
  }
  const name = raw.toString("latin1", 0, nameEnd);
  const valueStart = colon + 1;
  return { name, key: name.toLowerCase(), raw, valueStart, value: unfold(raw.subarray(valueStart)) };
}

/** RFC 5322 §3.6.8: printable US-ASCII but the colon. */
function isFieldName(raw: Buffer, end: number): boolean {
  for (let index = 0; index < end; index++) {
    const byte = raw[index] ?? 0;
    if (byte < 33 || byte > 126) return false;
  }
  return true;
}

function unfold(bytes: Buffer): string {
  return bytes.toString("utf8").replaceAll(/\r?\n/g, "").trim();
}

/** Offset behind the LF that ends the line at `start`, or the end of the block. */
function lineEnd(block: Buffer, start: number): number {
  const found = block.indexOf(LF, start);
  return found === -1 ? block.length : found + 1;
}

function isEmptyLine(block: Buffer, start: number): boolean {
  return block[start] === LF || (block[start] === CR && block[start + 1] === LF);
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
