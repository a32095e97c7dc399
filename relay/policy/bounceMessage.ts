/**
 * The message that tells a sender of a recipient's fate: a delivery status notification (RFC 3464) in the
 * container of RFC 6522, or of RFC 6533 where addresses are not ASCII. Who is told at all: dsn.ts.
 *
 * Pure: composes head and tail around the original, which the caller streams in between. Everything that
 * came from outside (replies, addresses, ENVID) is cleaned on its way into a line.
 */
import type { Instant, LastAttempt, QueuedMessage } from "../message.ts";
import { bounceText } from "./bounceText.ts";
import { type DsnAction, type DsnRecipient, mailDate, replyText, statusOf } from "./dsn.ts";
import { asciiLine, foldedField, isAscii, oneLine } from "./fieldText.ts";

export interface BounceOrder {
  /** Our name: Reporting-MTA and the domain of From and Message-ID. */
  readonly hostname: string;
  /** Unique; becomes Message-ID "<id@hostname>" and the boundary, so it is letters and digits. */
  readonly id: string;
  readonly at: Instant;
  /** The message it speaks of; its envelope sender is told. */
  readonly message: QueuedMessage;
  /** At least one; all that is to be said about this message now, since nobody wants a hundred notices. */
  readonly recipients: readonly DsnRecipient[];
  /** What the caller puts between head and tail: the content as stored, or its header block only. */
  readonly original: { readonly kind: "message" | "header"; readonly eightBit: boolean };
  /** Message-ID of the original with its brackets, when it has one: threads the notice (RFC 3834 §3.1.6). */
  readonly inReplyTo?: string;
}

export interface BounceMessage {
  /** Header, human part, status part, and the header of the last part; UTF-8 text with CRLF line ends. */
  readonly head: string;
  /** Closes the report. */
  readonly tail: string;
  /** Whom it goes to; it is sent with the null reverse-path (RFC 5321 §4.5.5). */
  readonly to: string;
  readonly smtpUtf8: boolean;
  readonly eightBitMime: boolean;
}

/** Throws for a message with the null reverse-path, and without recipients: both are bugs. */
export function composeBounce(order: BounceOrder): BounceMessage {
  const { message, recipients, hostname, id, at, original } = order;
  const { from, smtpUtf8 } = message.envelope;
  const refuse = (fact: string) => new Error(`Cannot compose a notice about message ${message.id}: ${fact}.`);
  if (from === "") throw refuse("it has the null reverse-path");
  if (recipients.length === 0) throw refuse("there is no recipient to report");
  if (!/^[A-Za-z0-9]{1,64}$/.test(id)) throw refuse("the id of the notice is not letters and digits");

  // RFC 6533 §4: global media types only where they are needed; older readers know the others.
  const utf8 =
    ![from, ...recipients.map(({ recipient }) => recipient.address)].every(isAscii) ||
    (smtpUtf8 && original.eightBit);
  const clean = utf8 ? oneLine : asciiLine;
  const text = bounceText({ hostname, message, recipients, original: original.kind }).map((line) =>
    // Wrapped lines are clean already; only their alphabet may have to be narrowed.
    utf8 ? line : line.replaceAll(/[^\u0020-\u007e]/gu, "?"),
  );
  const eightBit = utf8 || original.eightBit;
  const boundary = `=_${id}`;
  const part = (type: string, encoding: "7bit" | "8bit", description: string) =>
    `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\nContent-Description: ${description}\r\n\r\n`;

  const header = [
    foldedField("From", `Mail Delivery System <MAILER-DAEMON@${clean(hostname)}>`),
    foldedField("To", `<${clean(from)}>`),
    foldedField("Subject", subjectOf(recipients)),
    foldedField("Date", mailDate(at)),
    foldedField("Message-ID", `<${id}@${clean(hostname)}>`),
    ...(order.inReplyTo === undefined || !/^<[^<>\s]+>$/.test(order.inReplyTo) || !isAscii(order.inReplyTo)
      ? []
      : [foldedField("In-Reply-To", order.inReplyTo), foldedField("References", order.inReplyTo)]),
    // RFC 3834 §5: no vacation program answers this.
    foldedField("Auto-Submitted", "auto-replied"),
    foldedField("MIME-Version", "1.0"),
    `Content-Type: multipart/report; report-type=${utf8 ? "global-delivery-status" : "delivery-status"};\r\n boundary="${boundary}"\r\n`,
    ...(eightBit ? [foldedField("Content-Transfer-Encoding", "8bit")] : []),
  ].join("");

  const status = [
    messageFields(order, clean),
    ...recipients.map((entry) => recipientFields(entry, utf8, clean)),
  ].join("\r\n");

  const encoding = utf8 ? "8bit" : "7bit";
  const originalType = {
    message: utf8 ? "message/global" : "message/rfc822",
    header: utf8 ? "message/global-headers" : "text/rfc822-headers",
  }[original.kind];
  return {
    head: [
      `${header}\r\nThis is a report in MIME format.\r\n`,
      part(`text/plain; charset=${utf8 ? "utf-8" : "us-ascii"}`, encoding, "Notification"),
      `${text.join("\r\n")}\r\n`,
      part(`message/${utf8 ? "global-delivery-status" : "delivery-status"}`, encoding, "Delivery report"),
      status,
      part(
        originalType,
        original.eightBit ? "8bit" : "7bit",
        original.kind === "message" ? "Your message" : "Header of your message",
      ),
    ].join(""),
    tail: `\r\n--${boundary}--\r\n`,
    to: from,
    smtpUtf8: utf8,
    eightBitMime: eightBit,
  };
}

/** RFC 3464 §2.2. */
function messageFields({ hostname, message }: BounceOrder, clean: (text: string) => string): string {
  const { envid } = message.envelope;
  return [
    foldedField("Reporting-MTA", `dns; ${clean(hostname)}`),
    // Only what the client gave (§2.2.1): it must not be invented.
    ...(envid === undefined ? [] : [foldedField("Original-Envelope-Id", clean(envid))]),
    foldedField("Arrival-Date", mailDate(message.receivedAt)),
  ].join("");
}

/** RFC 3464 §2.3; RFC 6533 §3 for addresses beyond ASCII. */
function recipientFields(entry: DsnRecipient, utf8: boolean, clean: (text: string) => string): string {
  const { recipient, action } = entry;
  const { last, orcpt } = recipient;
  const type = utf8 && !isAscii(recipient.address) ? "utf-8" : "rfc822";
  return [
    ...(orcpt === undefined ? [] : [foldedField("Original-Recipient", clean(originalRecipient(orcpt)))]),
    foldedField("Final-Recipient", `${type}; ${clean(recipient.address)}`),
    foldedField("Action", action),
    foldedField("Status", statusOf(entry)),
    ...(last === null ? [] : attemptFields(last, action, clean)),
  ].join("");
}

function attemptFields(last: LastAttempt, action: DsnAction, clean: (text: string) => string): string[] {
  // A code tells that somebody answered: without one, no remote MTA was really contacted (§2.3.5).
  const answered = last.code > 0;
  const diagnostic = answered ? `smtp; ${replyText(last)}` : `x-smtp-relay; ${last.text}`;
  return [
    ...(answered && last.host !== null ? [foldedField("Remote-MTA", `dns; ${clean(last.host)}`)] : []),
    ...(action === "delivered" ? [] : [foldedField("Diagnostic-Code", clean(diagnostic))]),
    foldedField("Last-Attempt-Date", mailDate(last.at)),
  ];
}

/** "rfc822;a+2Bb@c" → "rfc822; a+b@c": the field carries no xtext (RFC 3461 §4.2, RFC 3464 §2.3.1). */
function originalRecipient(orcpt: string): string {
  const semicolon = orcpt.indexOf(";");
  const type = orcpt.slice(0, semicolon);
  const encoded = orcpt.slice(semicolon + 1);
  const decoded = encoded.replaceAll(/\+([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
  // What decodes to no printable text stays as it was given.
  const address = /^[\u0020-\u007e]*$/.test(decoded) ? decoded : encoded;
  return semicolon === -1 ? `rfc822; ${address}` : `${type}; ${address}`;
}

function subjectOf(recipients: readonly DsnRecipient[]): string {
  if (recipients.some(({ action }) => action === "failed")) return "Your message could not be delivered";
  if (recipients.some(({ action }) => action === "delayed")) return "Your message is delayed";
  return "Your message was delivered";
}
