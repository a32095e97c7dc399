/**
 * Which header fields a signature covers, and their canonical bytes (RFC 6376). Pure.
 *
 * Besides the fields that are there, the ones an attacker would like to add are named once more than they
 * occur ("oversigning", §8.15): a second From or Subject put in front later breaks the signature.
 */
import type { HeaderField, ParsedHeader } from "../header.ts";

/** Signed as often as they occur, and once more. */
const oversigned = [
  "From",
  "To",
  "Cc",
  "Subject",
  "Date",
  "Reply-To",
  "Message-ID",
  "MIME-Version",
  "Content-Type",
] as const;

/**
 * Signed as often as they occur: the rest of RFC 6376 §5.4.1, and what mailbox providers act on. Fields
 * that are changed on the way (Received, Return-Path, Authentication-Results) are in neither list.
 */
const signed = [
  "Sender",
  "In-Reply-To",
  "References",
  "Content-Transfer-Encoding",
  "Content-ID",
  "Content-Description",
  "Resent-Date",
  "Resent-From",
  "Resent-Sender",
  "Resent-To",
  "Resent-Cc",
  "Resent-Message-ID",
  "List-Id",
  "List-Help",
  "List-Subscribe",
  "List-Post",
  "List-Owner",
  "List-Archive",
  // RFC 8058 §4: one-click unsubscription counts only when both are signed.
  "List-Unsubscribe",
  "List-Unsubscribe-Post",
  "Auto-Submitted",
  "Feedback-ID",
] as const;

export interface SignedHeader {
  /** Names for h=, in the order their fields are hashed. */
  readonly names: readonly string[];
  /** Canonical fields, each with its CRLF, as latin1 text: one character a byte. */
  readonly canonical: string;
}

/** Throws when there is no From: RFC 6376 §5.4 forbids to sign without it. */
export function signedHeader(header: ParsedHeader): SignedHeader {
  const byName = new Map<string, HeaderField[]>();
  for (const field of header.fields) {
    const fields = byName.get(field.key);
    if (fields === undefined) byName.set(field.key, [field]);
    else fields.push(field);
  }
  if (!byName.has("from")) throw new Error("Cannot sign a message without a From field.");
  const names: string[] = [];
  let canonical = "";
  const take = (name: string, over: number) => {
    // RFC 6376 §5.4.2: of several fields of a name, the last one is taken first.
    const fields = byName.get(name.toLowerCase())?.toReversed() ?? [];
    for (const field of fields) canonical += `${canonicalField(field)}\r\n`;
    for (let count = fields.length + over; count > 0; count--) names.push(name);
  };
  for (const name of oversigned) take(name, 1);
  for (const name of signed) take(name, 0);
  return { names, canonical };
}

/** Relaxed canonical form of a field (RFC 6376 §3.4.2), without its CRLF, as latin1 text. */
export function canonicalField(field: Pick<HeaderField, "key" | "raw" | "valueStart">): string {
  const value = field.raw.toString("latin1", field.valueStart);
  return `${field.key}:${canonicalValue(value)}`;
}

/** Unfolded, white space reduced to single spaces, none at the ends. */
export function canonicalValue(value: string): string {
  // Only space and tab: "\s" would also take bytes such as 0xA0 of a UTF-8 sequence.
  return value
    .replaceAll(/\r?\n/g, "")
    .replaceAll(/[ \t]+/g, " ")
    .replace(/^ /, "")
    .replace(/ $/, "");
}
