import { expect, test } from "vitest";

import type { Counter } from "../contract/report.ts";
import type { LastAttempt } from "../message.ts";
import type { Verdict } from "./decide.ts";
import type { ReplyClass } from "./replyRule.ts";
import { addEvent, dropOldDays, tallyOf } from "./reputation.ts";

const now = Date.parse("2026-11-23T12:00:00Z");
const last: LastAttempt = {
  at: now,
  source: "a",
  host: null,
  code: 450,
  enhanced: null,
  text: "",
  rule: "generic/4xx",
};
const delivered: Verdict = { kind: "delivered", attempts: 1, last, class: null };
const retry = (replyClass: ReplyClass): Verdict => ({
  kind: "retry",
  at: now,
  attempts: 1,
  last,
  class: replyClass,
});
const bounced = (replyClass: ReplyClass, reason: "Refused" | "Expired" = "Refused"): Verdict => ({
  kind: "bounced",
  reason,
  attempts: 1,
  last,
  class: replyClass,
});

test.each<[Verdict, string | null]>([
  [delivered, "delivered"],
  [retry("Greylist"), "deferred"],
  [retry("RateLimited"), "deferred"],
  [retry("ReputationBlock"), "blocked"],
  [retry("DnsblBlock"), "blocked"],
  [bounced("UnknownRecipient"), "bounced"],
  [bounced("BadDomain"), "bounced"],
  [bounced("Undetermined"), "bounced"],
  [bounced("ReputationBlock"), "blocked"],
  [bounced("AuthFailed"), "blocked"],
  [bounced("ContentRejected"), "blocked"],
  [bounced("TooLarge"), null],
  [bounced("Network", "Expired"), null],
])("a verdict %# is counted as %s", (verdict, tally) => {
  expect(tallyOf(verdict, null, now)).toBe(tally);
});

test("a recipient is deferred once a day, however often it is tried", () => {
  expect(tallyOf(retry("Undetermined"), last, now + 3_600_000)).toBeNull();
  expect(tallyOf(retry("Undetermined"), last, now + 86_400_000)).toBe("deferred");
});

test("events add up per source, provider and UTC day, and eight days are kept", () => {
  const counters = new Map<string, Counter>();
  const event = { source: "a", provider: "google", at: now, tally: "delivered" as const };
  addEvent(counters, event);
  addEvent(counters, event, 4);
  addEvent(counters, { ...event, tally: "blocked" });
  addEvent(counters, { ...event, at: now - 7 * 86_400_000 });
  addEvent(counters, { ...event, at: now - 8 * 86_400_000 });
  dropOldDays(counters, now);
  expect([...counters.values()]).toEqual([
    { source: "a", provider: "google", day: "2026-11-23", delivered: 5, deferred: 0, bounced: 0, blocked: 1 },
    { source: "a", provider: "google", day: "2026-11-16", delivered: 1, deferred: 0, bounced: 0, blocked: 0 },
  ]);
});
