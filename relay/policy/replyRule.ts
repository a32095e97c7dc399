/**
 * The words of reply rules: classes, what becomes of the recipient, what the path to the provider does.
 * A class is not an action: a 5xx is not always a bad address, a 4xx is not always harmless.
 */
import type { SmtpStage } from "../message.ts";

/** What a reply speaks of. Shared with reputation counters and, later, suppression. */
export type ReplyClass =
  | "UnknownRecipient"
  | "BadDomain"
  | "Inactive"
  | "MailboxFull"
  | "TooLarge"
  | "Greylist"
  | "RateLimited"
  | "ReputationBlock"
  | "DnsblBlock"
  | "ContentRejected"
  | "AuthFailed"
  | "RelayDenied"
  | "Protocol"
  | "TooManyRecipients"
  | "Network"
  | "Undetermined";

/** What the path (source → provider, or → site where no provider is known) does besides. */
export interface PathBackoff {
  /** Suspend: silence for `seconds`, then one connection, then one more at a time. Halve: half the connections. */
  readonly mode: "Suspend" | "Halve";
  readonly seconds: number;
  /** Doubles with each repeat within a day, up to four hours. */
  readonly doubling: boolean;
  /** Bites only at this many replies of the rule within an hour; absent: at the first. */
  readonly after?: number;
}

export interface ReplyRule {
  /** "google/rate-4.7.28": provider, then what it is about. Unique; shown to people and kept in records. */
  readonly name: string;
  /** Name in providers.ts, or "any". */
  readonly provider: string;
  /** All that are given must match. Anchored or word-bound, repetition bounded: peers choose the text. */
  readonly code?: RegExp;
  readonly enhanced?: RegExp;
  readonly text?: RegExp;
  readonly stages?: readonly SmtpStage[];
  readonly class: ReplyClass;
  /** ByCode: 4xx retries, 5xx fails. Retry and Fail overrule the code where the provider means otherwise. */
  readonly fate: "ByCode" | "Retry" | "Fail";
  /** The next try of this recipient, in place of the retry schedule. */
  readonly retryAfterSeconds?: number;
  readonly backoff?: PathBackoff;
  /** Where the rule comes from. */
  readonly source: string;
  /** A reply that this rule must be the first to match. */
  readonly example: { readonly code: number; readonly enhanced: string | null; readonly text: string };
}

const minutes = 60;
const hours = 3600;

/** Silence that doubles with each repeat: for judgements about us. */
export const silence = (length: number): PathBackoff => ({
  mode: "Suspend",
  seconds: length,
  doubling: true,
});
/** Silence of a fixed length: for blocks whose length the provider names. */
export const fixedSilence = (length: number): PathBackoff => ({
  mode: "Suspend",
  seconds: length,
  doubling: false,
});
/** Half the connections: for "slower, please". */
export const slower = (length: number): PathBackoff => ({ mode: "Halve", seconds: length, doubling: true });
/** The same, but only at the nth reply within an hour. */
export const atCount = (after: number, backoff: PathBackoff): PathBackoff => ({ ...backoff, after });

export const span = { minutes, hours } as const;
