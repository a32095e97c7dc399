/**
 * From what a client sent after DATA to what is stored: the header block is judged and completed, the body
 * streams through, and size, header length and body hash are taken on the way. Pure but for its own state;
 * memory is the header block, which is bounded, whatever the size of the message.
 *
 * Takes the decoded content (DataDecoder: no stuffing, every line ends with CRLF). Refuses what receivers
 * read in two ways: a field that may occur once and occurs twice, a line that is no field. Adds `Received`
 * in front (RFC 5321 §4.4) and `Date` and `Message-ID` where a submission lacks them (RFC 6409 §8); takes
 * out `Bcc`, `Return-Path`, and results of checks that claim to be ours (RFC 8601 §5).
 */
import { isAscii } from "node:buffer";

import type { Instant, MessageId } from "../message.ts";
import { CLASS_FIELD } from "../policy/queueClass.ts";
import { createBodyHash } from "./bodyHash.ts";
import type { LineFault } from "./dataDecoder.ts";
import { parseFrom } from "./fromField.ts";
import { fieldsNamed, type HeaderField, type ParsedHeader, parseHeader } from "./header.ts";
import type { Mailbox } from "./mailbox.ts";
import { formatDate } from "./received.ts";
import { type Refusal, refusal } from "./refusal.ts";

export interface ContentRules {
  readonly id: MessageId;
  readonly at: Instant;
  /** The complete trace field, with its final CRLF. */
  readonly received: string;
  /** Our name, for `Authentication-Results` that pretend to be ours. */
  readonly hostname: string;
  /** Largest content as received, in bytes. */
  readonly messageSizeBytes: number;
  /** Whether the client may write in these names; asked once, when the header block is complete. */
  readonly judgeFrom: (mailboxes: readonly [Mailbox, ...Mailbox[]]) => Refusal | undefined;
  /** What the field that names the queue class says, null without one; asked once, after `judgeFrom`. */
  readonly judgeClass: (value: string | null) => Refusal | undefined;
}

/** What was measured; sizes are of the stored content. */
export interface MeasuredContent {
  readonly sizeBytes: number;
  readonly headerBytes: number;
  readonly bodyHash: string;
  /** Some byte is beyond US-ASCII, so that the next hop needs 8BITMIME. */
  readonly eightBit: boolean;
}

/** Larger than any real header block; Postfix takes 100 KiB. */
export const LARGEST_HEADER_BYTES = 256 * 1024;
/** RFC 5321 §6.3: at least 100 hops for loops we cannot see; 50 is what the field uses. */
const MOST_HOPS = 50;

/** RFC 5322 §3.6 (maximum number 1), and RFC 2045 for the last three. */
const atMostOnce = new Map(
  [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "Date",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    CLASS_FIELD,
  ].map((name) => [name.toLowerCase(), name]),
);
/** The queue class is between the client and us; receivers need not know what was a mailing to its sender. */
const removed = new Set(["bcc", "resent-bcc", "return-path", CLASS_FIELD.toLowerCase()]);
const EMPTY_LINE = Buffer.from("\r\n");
const HEADER_END = Buffer.from("\r\n\r\n");
const NOTHING = Buffer.alloc(0);

export class ContentFilter {
  readonly #rules: ContentRules;
  readonly #bodyHash = createBodyHash();
  /** The header block while it is gathered; doubles as it fills. One that came in one piece is that piece. */
  #gathered: Buffer = NOTHING;
  #gatheredBytes = 0;
  #inBody = false;
  #receivedBytes = 0;
  #storedBytes = 0;
  #headerBytes = 0;
  #eightBit = false;
  #refusal: Refusal | undefined;

  constructor(rules: ContentRules) {
    this.#rules = rules;
  }

  /** Why the message is not taken; once set, nothing more is put out. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  /** Takes a piece of content; the bytes to store now, which may be views of `piece`. */
  push(piece: Buffer): readonly Buffer[] {
    if (this.#refusal !== undefined) return [];
    this.#receivedBytes += piece.length;
    if (this.#receivedBytes > this.#rules.messageSizeBytes) {
      return this.#refuse(tooLarge(this.#rules.messageSizeBytes));
    }
    this.#eightBit ||= !isAscii(piece);
    if (this.#inBody) return this.#body(piece);
    const end = this.#gather(piece);
    if ((end ?? this.#gatheredBytes) > LARGEST_HEADER_BYTES) {
      return this.#refuse(refusal(552, "5.3.4", `The header is larger than ${LARGEST_HEADER_BYTES} bytes`));
    }
    return end === undefined ? [] : this.#headerEnds(end);
  }

  /** The content is complete; the last bytes to store. */
  end(): readonly Buffer[] {
    if (this.#refusal !== undefined || this.#inBody) return [];
    // A message without an empty line is all header; what is stored has the line.
    this.#gather(EMPTY_LINE);
    return this.#headerEnds(this.#gatheredBytes);
  }

  /** Ends the body hash; to be called once, after `end()`. */
  measure(): MeasuredContent {
    return {
      sizeBytes: this.#storedBytes,
      headerBytes: this.#headerBytes,
      bodyHash: this.#bodyHash.digest(),
      eightBit: this.#eightBit,
    };
  }

  #body(piece: Buffer): readonly Buffer[] {
    if (piece.length === 0) return [];
    this.#bodyHash.update(piece);
    this.#storedBytes += piece.length;
    return [piece];
  }

  /** Keeps a piece of the header block; the offset behind the empty line that ends it, once it is there. */
  #gather(piece: Buffer): number | undefined {
    const before = this.#gatheredBytes;
    this.#gatheredBytes += piece.length;
    if (before === 0) {
      const end = headerEnd(piece, 0);
      if (end !== undefined) {
        this.#gathered = piece;
        return end;
      }
    }
    if (this.#gatheredBytes > this.#gathered.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * this.#gatheredBytes, 4096));
      this.#gathered.copy(larger, 0, 0, before);
      this.#gathered = larger;
    }
    piece.copy(this.#gathered, before);
    // The empty line may come in parts: three bytes of what was there can belong to it.
    return headerEnd(this.#gathered.subarray(0, this.#gatheredBytes), Math.max(0, before - 3));
  }

  #headerEnds(end: number): readonly Buffer[] {
    const gathered = this.#gathered.subarray(0, this.#gatheredBytes);
    this.#gathered = NOTHING;
    this.#inBody = true;
    const header = parseHeader(gathered.subarray(0, end));
    const why = this.#judge(header);
    if (why !== undefined) return this.#refuse(why);
    const block = Buffer.concat([
      Buffer.from(this.#rules.received + this.#missing(header)),
      ...header.fields.filter((field) => !this.#isRemoved(field)).map((field) => field.raw),
      EMPTY_LINE,
    ]);
    this.#headerBytes = block.length;
    this.#storedBytes = block.length;
    return [block, ...this.#body(gathered.subarray(end))];
  }

  #judge(header: ParsedHeader): Refusal | undefined {
    const defect = header.defects[0];
    if (defect?.kind === "TooManyFields") return malformed("The header has too many fields");
    if (defect !== undefined) return malformed(`Line ${defect.line} of the header is no header field`);
    const seen = new Set<string>();
    let repeated: string | undefined;
    for (const field of header.fields) {
      // RFC 5322 §4.5 let space stand before the colon; not everyone still sees such a field.
      if (field.valueStart !== field.name.length + 1) {
        return malformed(`The header field ${field.name.slice(0, 64)} has a space before its colon`);
      }
      if (seen.has(field.key)) repeated ??= atMostOnce.get(field.key);
      else seen.add(field.key);
    }
    if (repeated !== undefined) {
      const count = fieldsNamed(header, repeated).length;
      return malformed(`The header has ${count} ${repeated} fields, only one may be there`);
    }
    // RFC 5321 §6.3; RFC 3463 X.4.6: routing loop detected.
    if (fieldsNamed(header, "Received").length > MOST_HOPS) {
      return refusal(554, "5.4.6", `More than ${MOST_HOPS} Received fields: the message is looping`);
    }
    const [from] = fieldsNamed(header, "From");
    if (from === undefined) return malformed("The header has no From field");
    const parsed = parseFrom(from.value);
    if (!parsed.ok) return malformed(`The From field ${parsed.reason}`);
    return (
      this.#rules.judgeFrom(parsed.mailboxes) ??
      this.#rules.judgeClass(fieldsNamed(header, CLASS_FIELD)[0]?.value ?? null)
    );
  }

  /** RFC 6409 §8.2 and §8.3: a submission server may add what the author's program left out. */
  #missing(header: ParsedHeader): string {
    const { id, at, hostname } = this.#rules;
    const lacks = (name: string) => fieldsNamed(header, name).every((field) => field.value === "");
    return (
      (lacks("Date") ? `Date: ${formatDate(at)}\r\n` : "") +
      (lacks("Message-ID") ? `Message-ID: <${id}@${hostname}>\r\n` : "")
    );
  }

  #isRemoved(field: HeaderField): boolean {
    if (removed.has(field.key)) return true;
    // An empty one was replaced.
    if (field.key === "date" || field.key === "message-id") return field.value === "";
    if (field.key !== "authentication-results") return false;
    const claimed = /^[^\s;]*/.exec(field.value)?.[0] ?? "";
    return claimed.toLowerCase() === this.#rules.hostname.toLowerCase();
  }

  #refuse(why: Refusal): readonly Buffer[] {
    this.#refusal = why;
    this.#gathered = EMPTY_LINE;
    return [];
  }
}

/** RFC 1870 §6: 552 with X.3.4. */
export function tooLarge(messageSizeBytes: number): Refusal {
  return refusal(552, "5.3.4", `The message is larger than ${messageSizeBytes} bytes`);
}

/** Bare line ends and the like, with the line, so that a programmer finds the place. */
export function faultRefusal({ kind, line }: LineFault): Refusal {
  switch (kind) {
    case "BareCr":
      return malformed(`Line ${line} of the message has a bare CR; lines end with CRLF`);
    case "BareLf":
      return malformed(`Line ${line} of the message has a bare LF; lines end with CRLF`);
    case "Nul":
      return malformed(`Line ${line} of the message has a NUL byte`);
    case "LongLine":
      return malformed(`Line ${line} of the message is longer than 998 bytes`);
  }
}

/** RFC 3463 X.6.0: other or undefined media error. */
function malformed(text: string): Refusal {
  return refusal(554, "5.6.0", text);
}

/** The offset behind the empty line that ends a header block, sought from an offset on. */
function headerEnd(gathered: Buffer, from: number): number | undefined {
  // A message that begins with an empty line has no header at all.
  if (gathered.subarray(0, EMPTY_LINE.length).equals(EMPTY_LINE)) return EMPTY_LINE.length;
  const found = gathered.indexOf(HEADER_END, from);
  return found === -1 ? undefined : found + HEADER_END.length;
}
