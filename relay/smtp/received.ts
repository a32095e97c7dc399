/**
 * The trace field we put in front (RFC 5321 §4.4) and the date form of RFC 5322 §3.3. Pure.
 *
 * It names the client as the field does, by its EHLO argument and its address: receivers judge a message
 * by its trace, and a submitter who wants to stay unseen hides behind his own gateway. It names neither
 * the credential nor a recipient (RFC 5321 §7.2 warns of `for`).
 */
import type { Instant, MessageId } from "../message.ts";
import { parseMailbox, readDomain } from "./mailbox.ts";

export interface TraceFacts {
  /** Argument of EHLO or HELO, whatever the client wrote. */
  readonly helo: string;
  /** Address of the client, IPv4 or IPv6. */
  readonly clientAddress: string;
  /** Our name. */
  readonly hostname: string;
  readonly id: MessageId;
  readonly at: Instant;
  /** EHLO was used rather than HELO. */
  readonly extended: boolean;
  /** Version and cipher, for example "TLSv1.3" and "TLS_AES_256_GCM_SHA384"; null in plain text. */
  readonly tls: { readonly version: string; readonly cipher: string } | null;
  readonly authenticated: boolean;
  readonly smtpUtf8: boolean;
}

/** The field with its folds and final CRLF. */
export function receivedField(facts: TraceFacts): string {
  const literal = facts.clientAddress.includes(":")
    ? `[IPv6:${facts.clientAddress}]`
    : `[${facts.clientAddress}]`;
  const tls = facts.tls === null ? "" : `\r\n\t(using ${facts.tls.version} with cipher ${facts.tls.cipher})`;
  return (
    `Received: from ${traceName(facts.helo)} (${literal})${tls}\r\n` +
    `\tby ${facts.hostname} with ${protocol(facts)} id ${facts.id};\r\n` +
    `\t${formatDate(facts.at)}\r\n`
  );
}

/** RFC 5322 §3.3, in UTC: "Mon, 23 Nov 2026 12:00:00 +0000". */
export function formatDate(at: Instant): string {
  const second = Math.floor(at / 1000);
  if (second !== lastDate.second) {
    lastDate = { second, text: new Date(at).toUTCString().replace("GMT", "+0000") };
  }
  return lastDate.text;
}

/** Messages of one second share their date. */
let lastDate = { second: Number.NaN, text: "" };

/** RFC 3848 §2 and RFC 6531 §4.3: SMTP, ESMTP, ESMTPS, ESMTPSA, UTF8SMTPSA. */
function protocol({ extended, tls, authenticated, smtpUtf8 }: TraceFacts): string {
  if (!extended) return "SMTP";
  return `${smtpUtf8 ? "UTF8SMTP" : "ESMTP"}${tls === null ? "" : "S"}${authenticated ? "A" : ""}`;
}

/** What a client calls itself is free text; only a domain or an address literal may stand in the field. */
function traceName(helo: string): string {
  const domain = readDomain(helo);
  if (domain !== undefined) return domain;
  const literal = helo.startsWith("[") ? parseMailbox(`x@${helo}`) : undefined;
  return literal?.ok === true ? literal.mailbox.domain : "unknown";
}
