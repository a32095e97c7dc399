import { expect, test } from "vitest";

import type { Outcome, Recipient } from "../message.ts";
import { type Circumstances, decide, expire, findings, settled } from "./decide.ts";

const now = Date.parse("2026-11-23T12:00:00Z");
const minutes = 60_000;
const recipient: Recipient = {
  address: "one@inbox.test",
  domain: "inbox.test",
  state: { kind: "waiting", dueAt: now },
  attempts: 0,
  last: null,
};
const around: Circumstances = {
  now,
  expiresAt: now + 5 * 24 * 60 * minutes,
  draw: 0.5,
  retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 },
  provider: "other",
  source: "a",
  host: "mx.inbox.test",
  othersDelivered: false,
};
const replied = (
  code: number,
  enhanced: string | null,
  text = "",
  stage: Extract<Outcome, { kind: "replied" }>["stage"] = "rcpt",
): Outcome => ({ kind: "replied", stage, reply: { code, enhanced, text } });

test.each<[string, Outcome, object]>([
  [
    "2xx after the final dot is delivered",
    { kind: "delivered", reply: { code: 250, enhanced: "2.0.0", text: "ok" } },
    { kind: "delivered", attempts: 1 },
  ],
  ["4xx at RCPT retries", replied(450, "4.2.0"), { kind: "retry", at: now + 5 * minutes, attempts: 1 }],
  [
    "5xx at RCPT bounces",
    replied(550, "5.1.1"),
    { kind: "bounced", reason: "Refused", class: "UnknownRecipient" },
  ],
  ["5xx at MAIL bounces", replied(550, "5.1.8", "", "mail"), { kind: "bounced", reason: "Refused" }],
  [
    "5xx after the final dot bounces",
    replied(554, "5.6.0", "", "content"),
    { kind: "bounced", class: "ContentRejected" },
  ],
  [
    "5xx in the greeting speaks of the site and retries",
    replied(554, null, "no service", "greeting"),
    { kind: "retry" },
  ],
  [
    "5xx at AUTH retries: the password is ours to mend",
    replied(535, "5.7.8", "", "auth"),
    { kind: "retry", class: "AuthFailed" },
  ],
  ["5xx at STARTTLS retries", replied(500, null, "", "starttls"), { kind: "retry" }],
  [
    "a refused connection retries",
    { kind: "unreachable", stage: "connect", reason: "refused" },
    { kind: "retry", last: { code: 0, enhanced: "4.4.1", rule: "session/connect", text: "refused" } },
  ],
  [
    "a failed TLS handshake retries",
    { kind: "unreachable", stage: "starttls", reason: "bad certificate" },
    { kind: "retry", last: { enhanced: "4.7.5" } },
  ],
  [
    "a connection lost after the final dot retries",
    { kind: "unreachable", stage: "content", reason: "closed" },
    { kind: "retry", last: { enhanced: "4.4.2" } },
  ],
  [
    "a domain that does not exist bounces",
    { kind: "unroutable", permanent: true, enhanced: "5.1.2", reason: "NXDOMAIN" },
    { kind: "bounced", reason: "Refused", class: "BadDomain", last: { rule: "dns/5.1.2" } },
  ],
  [
    "a domain whose DNS fails retries",
    { kind: "unroutable", permanent: false, enhanced: "4.4.3", reason: "SERVFAIL" },
    { kind: "retry", class: "Network" },
  ],
  [
    "a full mailbox with a rule of its own waits an hour or more",
    replied(450, null, "User is receiving mail too quickly"),
    { kind: "retry" },
  ],
])("%s", (_because, outcome, expected) => {
  expect(decide(recipient, outcome, around)).toMatchObject(expected);
});

test("greylisting has a schedule of its own", () => {
  const verdict = decide(recipient, replied(451, "4.7.1", "Greylisted"), around);
  expect(verdict).toMatchObject({ kind: "retry", class: "Greylist", at: now + 5.5 * minutes });
});

test("a rule's own delay replaces the schedule, and the configured longest delay caps it", () => {
  const outcome = replied(452, "4.2.2");
  const google = { ...around, provider: "google", draw: 0 };
  expect(decide(recipient, outcome, google)).toMatchObject({ at: now + 240 * minutes });
  const quick = { ...google, retry: { firstDelaySeconds: 1, longestDelaySeconds: 60 } };
  expect(decide(recipient, outcome, quick)).toMatchObject({ at: now + 1 * minutes });
});

test("too many recipients: at once and no attempt while others get through, on the schedule otherwise", () => {
  const outcome = replied(452, "4.5.3", "Too many recipients");
  expect(decide(recipient, outcome, { ...around, othersDelivered: true })).toMatchObject({
    at: now,
    attempts: 0,
  });
  expect(decide(recipient, outcome, around)).toMatchObject({ at: now + 5 * minutes, attempts: 1 });
});

test("what cannot be tried again before expiry is expired now, and says what it heard last", () => {
  const late = { ...around, expiresAt: now + 10_000 };
  expect(decide(recipient, replied(450, "4.2.0", "later"), late)).toMatchObject({
    kind: "bounced",
    reason: "Expired",
    last: { code: 450, text: "later" },
  });
});

test("expiry without any attempt has a diagnosis of its own", () => {
  const verdict = expire(recipient, now);
  expect(verdict).toMatchObject({
    kind: "bounced",
    reason: "Expired",
    attempts: 0,
    last: { enhanced: "4.4.7" },
  });
  expect(settled(verdict, now).state).toEqual({ kind: "bounced", at: now, reason: "Expired" });
});

test("the text of a reply is kept up to a kilobyte", () => {
  const verdict = decide(recipient, replied(450, null, "x".repeat(5000)), around);
  expect(verdict.last.text).toHaveLength(1024);
});

const delivered: Outcome = { kind: "delivered", reply: { code: 250, enhanced: null, text: "" } };
const lost: Outcome = { kind: "unreachable", stage: "content", reason: "closed" };

test("what a transaction tells about its path", () => {
  const rate = replied(421, "4.7.28", "rate", "mail");
  expect(findings([delivered], null, "google")).toEqual({
    session: { kind: "succeeded" },
    standing: [{ kind: "succeeded" }],
  });
  // An unknown user is no judgement of ours: the path works.
  expect(findings([replied(550, "5.1.1")], null, "google").standing).toEqual([{ kind: "succeeded" }]);
  // A hundred recipients that hear the same are told once.
  expect(findings([rate, rate, rate], null, "google").standing).toMatchObject([
    { kind: "told", rule: "google/rate-4.7.28", reason: "421 4.7.28" },
  ]);
  expect(findings([lost, lost], "content", "google")).toEqual({
    session: { kind: "failed", rule: "session/content", reason: "closed", lost: true },
    standing: [],
  });
  expect(
    findings([{ kind: "unreachable", stage: "connect", reason: "refused" }], "connect", "google").session,
  ).toEqual({
    kind: "failed",
    rule: "session/connect",
    reason: "refused",
    lost: false,
  });
  // A greeting with a rule of its own is told as that, not as a failed session besides.
  const blocked = replied(550, "5.7.1", "Service refused OFR_102", "greeting");
  expect(findings([blocked], "greeting", "orange")).toMatchObject({
    session: null,
    standing: [{ kind: "told", rule: "orange/blocked-102" }],
  });
  // Without a rule it is a failed session.
  expect(findings([replied(554, null, "no", "greeting")], "greeting", "other")).toMatchObject({
    session: { kind: "failed", rule: "session/greeting" },
    standing: [],
  });
  expect(findings([], null, "other")).toEqual({ session: null, standing: [] });
});
