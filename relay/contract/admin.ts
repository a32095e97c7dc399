/**
 * The admin socket: HTTP with JSON over a unix socket beside the spool, for the person on the machine.
 * It may name mail addresses; it is reachable only by who may read the spool.
 *
 *   GET /queue            → QueueListing
 *   GET /messages/ID      → MessageListing, 404 when it is not (or no longer) queued
 *   GET /messages/ID/explain → Explanation
 *                     Both answer SetAside for a message whose envelope is damaged, and Unreadable until that is sure.
 *   GET /messages?prefix=ID  → MessageIds, for people who type the first characters only
 */
import { z } from "zod";

const instant = z.iso.datetime();

export const adminPaths = {
  queue: "/queue",
  message: (id: string) => `/messages/${id}`,
  explain: (id: string) => `/messages/${id}/explain`,
  find: (prefix: string) => `/messages?prefix=${encodeURIComponent(prefix)}`,
} as const;

/** Why something waits: the one rule that binds now, and until when. */
export const bindingRule = z.strictObject({
  kind: z.enum([
    "Due",
    "Retry",
    "Backoff",
    "Allowance",
    "SourcePaused",
    "SourceMissing",
    "RelayPaused",
    "DomainHeld",
    "ConnectionLimit",
    "InFlight",
    "NoSource",
    "SpoolFailed",
  ]),
  /** A sentence that names number, limit and rule. */
  text: z.string(),
  /** Not before the message was accepted, however old the limit is. */
  since: instant.nullable(),
  until: instant.nullable(),
});
export type BindingRule = z.infer<typeof bindingRule>;

export const queueListing = z.strictObject({
  pod: z.string(),
  at: instant,
  sites: z.array(
    z.strictObject({
      /** MX set rolled up, or the recipient domain before it is resolved. */
      site: z.string(),
      provider: z.string(),
      /** Queue class; mail of one site in several classes is listed apart. */
      queueClass: z.string(),
      recipients: z.int(),
      oldestSeconds: z.int(),
      /** Earliest next try; null while in flight. */
      nextTryAt: instant.nullable(),
      rule: bindingRule,
      /** Ids of some waiting messages, oldest first, at most 5. */
      sample: z.array(z.string()),
    }),
  ),
});
export type QueueListing = z.infer<typeof queueListing>;

const lastAttempt = z.strictObject({
  at: instant,
  source: z.string().nullable(),
  host: z.string().nullable(),
  code: z.int(),
  enhanced: z.string().nullable(),
  text: z.string(),
  rule: z.string(),
});

export const messageListing = z.strictObject({
  pod: z.string(),
  id: z.string(),
  receivedAt: instant,
  expiresAt: instant,
  from: z.string(),
  credential: z.string().nullable(),
  sendingDomain: z.string().nullable(),
  queueClass: z.string(),
  sizeBytes: z.int(),
  /** Header lines as queued, without the signature, bounded to 8 KiB. */
  header: z.string(),
  recipients: z.array(
    z.strictObject({
      address: z.string(),
      state: z.enum(["waiting", "delivered", "bounced"]),
      attempts: z.int(),
      dueAt: instant.nullable(),
      last: lastAttempt.nullable(),
    }),
  ),
});
export type MessageListing = z.infer<typeof messageListing>;

export const explanation = z.strictObject({
  pod: z.string(),
  id: z.string(),
  receivedAt: instant,
  expiresAt: instant,
  credential: z.string().nullable(),
  sendingDomain: z.string().nullable(),
  queueClass: z.string(),
  /** Of the class now. */
  priority: z.enum(["High", "Normal", "Low"]),
  sizeBytes: z.int(),
  recipientCount: z.int(),
  /** One entry for each recipient that still waits. */
  waiting: z.array(
    z.strictObject({
      address: z.string(),
      site: z.string(),
      provider: z.string(),
      attempts: z.int(),
      nextTryAt: instant.nullable(),
      rule: bindingRule,
      /** Limits that would bind next, for example "12 of 200 left today on a (warm-up, 2026-11-23)". */
      nextLimits: z.array(z.string()),
      last: lastAttempt.nullable(),
    }),
  ),
});
export type Explanation = z.infer<typeof explanation>;

/** A message that is kept and sent to nobody: its envelope cannot be read any more. */
export const setAside = z.strictObject({
  pod: z.string(),
  id: z.string(),
  /** When it was accepted, as its id tells. */
  receivedAt: instant,
  sizeBytes: z.int(),
  setAsideAt: instant,
  reason: z.string(),
});
export type SetAside = z.infer<typeof setAside>;

/** A queued message whose envelope could not be read just now. */
export const unreadable = z.strictObject({
  pod: z.string(),
  id: z.string(),
  /** When it was accepted, as its id tells. */
  receivedAt: instant,
  reason: z.string(),
  /** What the relay does with it, in words. */
  next: z.string(),
});
export type Unreadable = z.infer<typeof unreadable>;

/** Ids of queued messages that begin with what was asked for. */
export const messageIds = z.strictObject({
  pod: z.string(),
  /** At most `MOST_IDS`: enough to say that a prefix is not unique. */
  ids: z.array(z.string()),
});
export type MessageIds = z.infer<typeof messageIds>;

export const MOST_IDS = 20;
