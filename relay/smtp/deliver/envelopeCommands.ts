/**
 * MAIL and RCPT as they are written (RFC 5321 §4.1.1, RFC 1870, 3461, 6152, 6531, 8689), and what must
 * not be sent at all: a parameter the peer does not know, an address that would break out of its brackets.
 */
import type { Outcome } from "../../message.ts";
import type { DeliveryJob } from "../delivery.ts";
import type { Extensions } from "./extensions.ts";
import { ownReply } from "./replies.ts";

export function mailCommand(job: DeliveryJob, offered: Extensions): string {
  const { envelope } = job;
  const parts = [`MAIL FROM:<${envelope.from}>`];
  if (offered.size) parts.push(`SIZE=${job.sizeBytes}`);
  // Without the offer the 8-bit content is sent all the same: rewriting it would break its signatures.
  if (envelope.eightBitMime && offered.eightBitMime) parts.push("BODY=8BITMIME");
  if (offered.smtpUtf8 && wantsUtf8(job)) parts.push("SMTPUTF8");
  if (envelope.requireTls && offered.requireTls) parts.push("REQUIRETLS");
  if (offered.dsn && envelope.ret !== undefined) parts.push(`RET=${envelope.ret}`);
  if (offered.dsn && envelope.envid !== undefined) parts.push(`ENVID=${xtext(envelope.envid)}`);
  return `${parts.join(" ")}\r\n`;
}

export function rcptCommand(recipient: DeliveryJob["recipients"][number], offered: Extensions): string {
  const parts = [`RCPT TO:<${recipient.address}>`];
  if (offered.dsn && recipient.notify !== undefined && recipient.notify.length > 0) {
    parts.push(`NOTIFY=${recipient.notify.join(",")}`);
  }
  const original = /^([A-Za-z0-9-]+);(.+)$/.exec(recipient.orcpt ?? "");
  if (offered.dsn && original !== null) parts.push(`ORCPT=${original[1]};${xtext(original[2] ?? "")}`);
  return `${parts.join(" ")}\r\n`;
}

const quotedLocalPart = /^"(?:[^"\\\p{Cc}]|\\[^\p{Cc}])*"@[^\s<>\p{Cc}]+$/u;
const plain = /^[^\s<>"\p{Cc}]+$/u;

/**
 * The outcome for an address that cannot be written in a command, or null when it can. The receiving side
 * lets none in; should one be there, it must not become a command of its own.
 */
export function unsendable(address: string, role: "sender" | "recipient"): Outcome | null {
  if (role === "sender" && address === "") return null;
  if (address.length <= 512 && (plain.test(address) || quotedLocalPart.test(address))) return null;
  const reply = ownReply(
    553,
    role === "sender" ? "5.1.7" : "5.1.3",
    `the ${role}'s address cannot be written in SMTP`,
  );
  return { kind: "replied", stage: role === "sender" ? "mail" : "rcpt", reply };
}

/** Whether the message is an internationalised one (RFC 6531 §3.2), by its flag or its addresses. */
export function wantsUtf8(job: DeliveryJob): boolean {
  return (
    job.envelope.smtpUtf8 ||
    !isAscii(job.envelope.from) ||
    job.recipients.some((recipient) => !isAscii(recipient.address))
  );
}

export function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text);
}

/** RFC 3461 §4: printable ASCII but "+" and "=" stands for itself, every other byte is +HH. */
export function xtext(text: string): string {
  return Array.from(Buffer.from(text, "utf8"), (byte) =>
    byte >= 0x21 && byte <= 0x7e && byte !== 0x2b && byte !== 0x3d
      ? String.fromCharCode(byte)
      : `+${byte.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
}
