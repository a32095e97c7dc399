/**
 * Day counters per source and provider, folded from what became of recipients: what the operator's
 * warm-up and status judge an address by. Eight days are kept, so that seven whole ones can be summed.
 */
import type { Counter } from "../contract/report.ts";
import type { Instant, LastAttempt } from "../message.ts";
import { counterKey } from "./allowance.ts";
import type { Verdict } from "./decide.ts";
import type { ReplyClass } from "./replyRule.ts";
import { DAY_MS, utcDay } from "./utcDay.ts";

export type Tally = "delivered" | "deferred" | "bounced" | "blocked";

/** Days kept, today included. */
export const DAYS_KEPT = 8;

export interface DeliveryEvent {
  readonly source: string;
  readonly provider: string;
  readonly at: Instant;
  readonly tally: Tally;
}

/** By "source|provider|day". */
export type Counters = Map<string, Counter>;

/**
 * Which counter a verdict belongs to, or null when it says nothing about the address that sent: a
 * message too large, a wrong command. A recipient is counted as deferred once a day, however often it
 * is tried, so that the figure is of recipients.
 */
export function tallyOf(verdict: Verdict, before: LastAttempt | null, now: Instant): Tally | null {
  switch (verdict.kind) {
    case "delivered":
      return "delivered";
    case "retry":
      if (before !== null && before.code !== 0 && utcDay(before.at) === utcDay(now)) return null;
      return judgesReputation(verdict.class) ? "blocked" : "deferred";
    case "bounced":
      if (verdict.reason === "Expired") return null;
      if (judgesReputation(verdict.class)) return "blocked";
      return judgesRecipient(verdict.class) ? "bounced" : null;
  }
}

/** Adds `count` recipients of one event, in place: this runs for every recipient there is. */
export function addEvent(counters: Counters, event: DeliveryEvent, count = 1): void {
  const day = utcDay(event.at);
  const key = counterKey(event.source, event.provider, day);
  const before = counters.get(key) ?? {
    source: event.source,
    provider: event.provider,
    day,
    delivered: 0,
    deferred: 0,
    bounced: 0,
    blocked: 0,
  };
  counters.set(key, { ...before, [event.tally]: before[event.tally] + count });
}

/** Forgets the days that are over, in place. */
export function dropOldDays(counters: Counters, now: Instant): void {
  const oldest = oldestDay(now);
  for (const [key, counter] of counters) if (counter.day < oldest) counters.delete(key);
}

/** The first of the eight days kept. */
export function oldestDay(now: Instant): string {
  return utcDay(now - (DAYS_KEPT - 1) * DAY_MS);
}

function judgesReputation(replyClass: ReplyClass): boolean {
  switch (replyClass) {
    case "ReputationBlock":
    case "DnsblBlock":
    case "AuthFailed":
    case "ContentRejected":
      return true;
    case "UnknownRecipient":
    case "BadDomain":
    case "Inactive":
    case "MailboxFull":
    case "TooLarge":
    case "Greylist":
    case "RateLimited":
    case "RelayDenied":
    case "Protocol":
    case "TooManyRecipients":
    case "Network":
    case "Undetermined":
      return false;
  }
}

/** Failures that a clean list would not have had; an unknown 5xx is counted among them. */
function judgesRecipient(replyClass: ReplyClass): boolean {
  switch (replyClass) {
    case "UnknownRecipient":
    case "BadDomain":
    case "Inactive":
    case "MailboxFull":
    case "Undetermined":
      return true;
    case "ReputationBlock":
    case "DnsblBlock":
    case "AuthFailed":
    case "ContentRejected":
    case "TooLarge":
    case "Greylist":
    case "RateLimited":
    case "RelayDenied":
    case "Protocol":
    case "TooManyRecipients":
    case "Network":
      return false;
  }
}
