/**
 * The words of the relay: a queued message, its recipients, and what an attempt to deliver can end in.
 * Types only; behaviour lives in policy/ (decides), queue/ (keeps) and smtp/ (speaks).
 *
 * Times are `Instant`s: whole milliseconds since 1970-01-01T00:00:00Z. Addresses are mailboxes as
 * RFC 5321 §2.3.11 writes them, local part untouched, domain in lower case and in A-label form.
 */

/** Milliseconds since the Unix epoch, UTC. */
export type Instant = number;

/** A ULID: 26 characters, sorts by the time of acceptance. The `id` of queue, logs and `Received`. */
export type MessageId = string;

/** Envelope parameters that travel with the message (RFC 3461 DSN, RFC 6531, RFC 8689). */
export interface Envelope {
  /** MAIL FROM; "" is the null reverse-path of a bounce (RFC 5321 §4.5.5). */
  readonly from: string;
  /** RET=FULL or HDRS; absent when the client did not say. */
  readonly ret?: "FULL" | "HDRS";
  /** ENVID, already xtext-decoded. */
  readonly envid?: string;
  readonly smtpUtf8: boolean;
  readonly eightBitMime: boolean;
  readonly requireTls: boolean;
}

export type Notify = "NEVER" | "SUCCESS" | "FAILURE" | "DELAY";

/** What the world or we said last about a recipient, kept for `show`, `explain` and the DSN. */
export interface LastAttempt {
  readonly at: Instant;
  /** Name of the egress source used, or null when no connection was tried (for example DNS failure). */
  readonly source: string | null;
  /** MX host spoken to, or null. */
  readonly host: string | null;
  /** Basic reply code, 0 when there was no reply (connection failures). */
  readonly code: number;
  /** Enhanced status code such as "4.7.28", or null when the peer gave none and none could be derived. */
  readonly enhanced: string | null;
  /** Joined, bounded (1 KiB) text of the reply or of the failure. */
  readonly text: string;
  /** Name of the rule that classified it, for example "google/rate-4.7.28" or "generic/4xx". */
  readonly rule: string;
}

/** The states of one recipient. All but `waiting` are final. */
export type RecipientState =
  | { readonly kind: "waiting"; readonly dueAt: Instant }
  | { readonly kind: "delivered"; readonly at: Instant }
  | { readonly kind: "bounced"; readonly at: Instant; readonly reason: "Refused" | "Expired" | "Operator" };

export interface Recipient {
  readonly address: string;
  /** Domain part of `address`, lower case A-label; an address literal keeps its brackets. */
  readonly domain: string;
  readonly notify?: readonly Notify[];
  /** ORCPT as given ("rfc822;…"), kept for the DSN. */
  readonly orcpt?: string;
  readonly state: RecipientState;
  /** Attempts that reached a peer or failed to; waiting for a local limit is none. */
  readonly attempts: number;
  readonly last: LastAttempt | null;
}

/** Everything about an accepted message but its bytes. */
export interface QueuedMessage {
  readonly id: MessageId;
  readonly receivedAt: Instant;
  /** After this instant what still waits is bounced as expired. */
  readonly expiresAt: Instant;
  readonly envelope: Envelope;
  /** Name of the credential that submitted it; null for trusted networks and for our own bounces. */
  readonly credential: string | null;
  /** The SendingDomain it is sent for, which signs it; null for our own bounces outside any of them. */
  readonly sendingDomain: string | null;
  /** Its queue class (policy/queueClass.ts); absent: `default`, which most mail is, so that it costs nothing. */
  readonly queueClass?: string;
  /** Size of the stored content in bytes: header block, empty line and body, CRLF line ends. */
  readonly sizeBytes: number;
  /** Bytes of the header block, including the empty line that ends it. */
  readonly headerBytes: number;
  /** Base64 SHA-256 of the relaxed-canonicalised body (RFC 6376 §3.4.4), taken while receiving. */
  readonly bodyHash: string;
  readonly recipients: readonly Recipient[];
}

/** One SMTP reply: lines joined by a space, control characters removed, bounded to 1 KiB. */
export interface Reply {
  readonly code: number;
  readonly enhanced: string | null;
  readonly text: string;
}

/** The dialogue step at which an outcome arose. */
export type SmtpStage =
  | "dns"
  | "connect"
  | "greeting"
  | "ehlo"
  | "starttls"
  | "auth"
  | "mail"
  | "rcpt"
  | "data"
  | "content"
  | "reset";

/** What an attempt ended in for one recipient. A reply is a value, never an exception. */
export type Outcome =
  /** 2xx after the final dot. */
  | { readonly kind: "delivered"; readonly reply: Reply }
  /** A 4xx or 5xx reply that speaks of this recipient or this message. */
  | { readonly kind: "replied"; readonly stage: SmtpStage; readonly reply: Reply }
  /** No usable session or a lost one: refused, timed out, TLS failed, nonsense, closed. */
  | { readonly kind: "unreachable"; readonly stage: SmtpStage; readonly reason: string }
  /** The domain takes no mail or does not exist: NXDOMAIN, null MX, no address. */
  | {
      readonly kind: "unroutable";
      readonly permanent: boolean;
      readonly enhanced: string;
      readonly reason: string;
    };
