/**
 * Bytes of a peer → SMTP replies (RFC 5321 §4.2), or the finding that it speaks something else.
 *
 * The peer is a stranger: a reply may have at most 100 lines and 64 KiB, so that one which never ends
 * costs no more. Lines may end in a bare LF, as some servers write. What we keep of a reply is bounded
 * to 1 KiB and free of control characters, for it goes into logs, bounces and terminals.
 */
import type { Reply } from "../../message.ts";

const MOST_LINES = 100;
const MOST_BYTES = 65_536;
const LONGEST_TEXT = 1024;
const LF = 0x0a;
const CR = 0x0d;
const enhancedCode = /^([245]\.\d{1,3}\.\d{1,3})(?: +|$)/;
const nothing = Buffer.alloc(0);
const control = /[\p{Cc}\u2028\u2029]/u;
const controls = /[\p{Cc}\u2028\u2029]+/gu;

export class ReplyParser {
  /** Bytes of a line that has not ended. */
  #rest: Buffer | null = null;
  #lines: string[] = [];
  #bytes = 0;

  /** Whether a reply has begun and not ended. */
  get inside(): boolean {
    return this.#rest !== null || this.#lines.length > 0;
  }

  /** The replies that these bytes complete; `nonsense` says what else came, and ends the parsing. */
  feed(chunk: Buffer): { readonly replies: readonly RawReply[]; readonly nonsense: string | null } {
    const replies: RawReply[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LF, start);
      const part = chunk.subarray(start, end < 0 ? chunk.length : end);
      this.#bytes += part.length + 1;
      if (this.#bytes > MOST_BYTES)
        return { replies, nonsense: `sent a reply of more than ${MOST_BYTES} bytes` };
      if (end < 0) {
        // A copy: the next reply arrives where this one did.
        if (part.length > 0) this.#rest = Buffer.concat([this.#rest ?? nothing, part]);
        return { replies, nonsense: null };
      }
      const line = decode(this.#rest === null ? part : Buffer.concat([this.#rest, part]));
      this.#rest = null;
      start = end + 1;
      const form = /^([2-5]\d\d)([ -]|$)/.exec(line);
      if (form === null) return { replies, nonsense: `sent what is no SMTP reply: ${quoted(line)}` };
      this.#lines.push(line);
      if (form[2] !== "-") {
        replies.push({ lines: this.#lines });
        this.#lines = [];
        this.#bytes = 0;
      } else if (this.#lines.length >= MOST_LINES) {
        return { replies, nonsense: `sent a reply of more than ${MOST_LINES} lines` };
      }
    }
  }
}

/** A complete reply as it came, one line an entry, without line ends. */
export interface RawReply {
  readonly lines: readonly string[];
}

/** The code of its last line. */
export function codeOf(raw: RawReply): number {
  return Number(raw.lines[raw.lines.length - 1]?.slice(0, 3));
}

/**
 * The reply in the relay's words. The last line's code counts, as in Postfix, when a peer mixes them
 * (RFC 5321 §4.2.1 forbids it). An enhanced code is taken, and left out of the text, only when its class
 * is the code's (RFC 2034 §4).
 */
export function replyOf(raw: RawReply): Reply {
  const code = codeOf(raw);
  const ofClass = String(code).charAt(0);
  let enhanced: string | null = null;
  let texts: string | null = null;
  for (const line of raw.lines) {
    let text = line.slice(4);
    const found = enhancedCode.exec(text);
    if (found?.[1]?.startsWith(ofClass) === true) {
      enhanced ??= found[1];
      text = text.slice(found[0].length);
    }
    texts = texts === null ? text : `${texts} ${text}`;
  }
  return { code, enhanced, text: clean(texts ?? "") };
}

/** A reply of our own making, for what we refuse in the peer's place. */
export function ownReply(code: number, enhanced: string, text: string): Reply {
  return { code, enhanced, text: clean(text) };
}

/** "421 4.7.0 try later", for reasons. */
export function replyText(reply: Reply): string {
  return [reply.code, reply.enhanced, reply.text].filter((part) => part !== null && part !== "").join(" ");
}

function clean(text: string): string {
  // Looked for first: next to no reply has any.
  const printable = control.test(text) ? text.replaceAll(controls, " ") : text;
  return printable.trim().slice(0, LONGEST_TEXT);
}

/** RFC 5321 leaves the charset open; most write UTF-8, the rest is kept byte by byte. */
function decode(line: Buffer): string {
  const end = line.at(-1) === CR ? line.length - 1 : line.length;
  const utf8 = line.toString("utf8", 0, end);
  return utf8.includes("\ufffd") ? line.toString("latin1", 0, end) : utf8;
}

function quoted(line: string): string {
  const start = clean(line.slice(0, 80));
  return JSON.stringify(line.length > 80 ? `${start}…` : start);
}
