/**
 * RelayReport: what a relay says of itself when the operator asks (`GET /report`). Counts and rules
 * only: no mail address, no recipient domain, so that it may travel into status and logs.
 *
 * In an upgrade either side may be the newer one, for as long as `relayImage` pins the relays. So whoever reads
 * a report passes over fields it does not know, and what a later version adds is optional or has a default.
 * Fields that are known are held to what is written here; a change of their meaning is a new version.
 */
import { z } from "zod";

export const REPORT_VERSION = 1;
/** A pod has a handful: its own, and those that secondary networks bring. */
export const MOST_LOCAL_ADDRESSES = 256;

const instant = z.iso.datetime();
const count = z.int().min(0);

/** Use of one allowance: a source, a UTC day, a provider or "total". */
export const usage = z.object({
  source: z.string(),
  day: z.string(),
  provider: z.string(),
  /** Recipients accepted or in flight, including those written off after a crash. */
  used: count,
  /** The limit this relay enforces now for it; null: none. */
  limit: count.nullable(),
});
export type Usage = z.infer<typeof usage>;

/** Results of recipients of one UTC day, per source and provider. */
export const counter = z.object({
  source: z.string(),
  provider: z.string(),
  day: z.string(),
  delivered: count,
  deferred: count,
  /** Permanent failures that speak of the recipient (unknown, inactive, bad domain). */
  bounced: count,
  /** Permanent or temporary refusals that speak of our reputation (blocks, listings, authentication). */
  blocked: count,
});
export type Counter = z.infer<typeof counter>;

/** A limit that holds mail back now, with its origin. */
export const restraint = z.object({
  source: z.string().nullable(),
  provider: z.string(),
  kind: z.enum(["Backoff", "Allowance", "Paused", "ConnectionLimit"]),
  /** Rule and fact, for example "421 4.7.28 (rule google/rate-4.7.28)". */
  reason: z.string().max(512),
  since: instant,
  until: instant.nullable(),
});
export type Restraint = z.infer<typeof restraint>;

export const relayReport = z.object({
  version: z.literal(REPORT_VERSION),
  pod: z.string(),
  at: instant,
  startedAt: instant,
  /** Revision in force, null before the first good one. */
  appliedRevision: z.string().nullable(),
  /** Why the newest configuration was refused; null when the newest one is in force. */
  refusal: z.string().max(2048).nullable(),
  ready: z.boolean(),
  /** Why not ready; empty when ready. */
  notReadyReason: z.string().max(512),
  queue: z.object({
    messages: count,
    recipients: count,
    oldestSeconds: count.nullable(),
    providers: z
      .array(z.object({ provider: z.string(), recipients: count, oldestSeconds: count.nullable() }))
      .max(64),
    /** Where the configuration has classes; one that it no longer has counts as `other`. */
    classes: z
      .array(z.object({ queueClass: z.string(), recipients: count, oldestSeconds: count }))
      .max(32)
      .optional(),
  }),
  restraints: z.array(restraint).max(256),
  /** Sources whose address is not on this pod, so that nothing leaves from them; older relays say nothing. */
  missingAddresses: z
    .array(z.object({ source: z.string(), reason: z.string().max(512), since: instant }))
    .max(256)
    .default([]),
  /** Pools that routes lead to and of which this pod has no address, so that their mail waits; absent: none. */
  unservedPools: z.array(z.string()).max(256).optional(),
  /**
   * Addresses of the pod's interfaces, on loopback with their prefix ("127.0.0.1/8"): what a connection can be made
   * from, whichever sources it has. Absent: an older relay, or more than a report holds.
   */
  localAddresses: z.array(z.string().max(49)).max(MOST_LOCAL_ADDRESSES).optional(),
  /** "domain/selector" of the keys that sign. */
  loadedKeys: z.array(z.string()).max(20_000),
  usage: z.array(usage).max(20_000),
  /** Before this instant the spool knows no use of allowances: a new or a lost volume. */
  usageSince: instant,
  counters: z.array(counter).max(20_000),
  spool: z.object({
    state: z.enum(["Ok", "Failed"]),
    reason: z.string().max(512),
    /** Messages that are kept and sent to nobody, since their envelopes are damaged; absent where there are none. */
    setAside: count.optional(),
  }),
});
export type RelayReport = z.infer<typeof relayReport>;
