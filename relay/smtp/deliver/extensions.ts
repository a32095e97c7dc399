/** What a peer offers in its reply to EHLO (RFC 5321 §4.1.1.1), as far as we use it. */
import type { RawReply } from "./replies.ts";

export interface Extensions {
  readonly startTls: boolean;
  readonly pipelining: boolean;
  readonly eightBitMime: boolean;
  readonly smtpUtf8: boolean;
  readonly dsn: boolean;
  readonly requireTls: boolean;
  /** Whether SIZE may be declared. */
  readonly size: boolean;
  /** The largest message it takes, in bytes; null: it does not say (RFC 1870 §4: none or 0). */
  readonly sizeLimitBytes: number | null;
  /** SASL mechanisms, upper case. */
  readonly auth: ReadonlySet<string>;
  /** RFC 9422: transactions it takes in one session; null: it does not say. */
  readonly mailMax: number | null;
}

/** After HELO: nothing. */
export const noExtensions: Extensions = parseExtensions({ lines: [] });

export function parseExtensions(reply: RawReply): Extensions {
  const keywords = new Map<string, string>();
  for (const line of reply.lines.slice(1)) {
    const [, keyword = "", parameters = ""] =
      /^([A-Za-z0-9][A-Za-z0-9-]*)[ =]?(.*)$/.exec(line.slice(4)) ?? [];
    if (keyword !== "") keywords.set(keyword.toUpperCase(), parameters.trim());
  }
  const size = Number(/^\d{1,15}$/.exec(keywords.get("SIZE") ?? "")?.[0] ?? 0);
  const mailMax = Number(/\bMAILMAX=(\d{1,9})\b/i.exec(keywords.get("LIMITS") ?? "")?.[1] ?? 0);
  return {
    startTls: keywords.has("STARTTLS"),
    pipelining: keywords.has("PIPELINING"),
    eightBitMime: keywords.has("8BITMIME"),
    smtpUtf8: keywords.has("SMTPUTF8"),
    dsn: keywords.has("DSN"),
    requireTls: keywords.has("REQUIRETLS"),
    size: keywords.has("SIZE"),
    sizeLimitBytes: size > 0 ? size : null,
    auth: new Set(
      (keywords.get("AUTH") ?? "")
        .toUpperCase()
        .split(/\s+/)
        .filter((name) => name !== ""),
    ),
    mailMax: mailMax > 0 ? mailMax : null,
  };
}
