import { expect, test } from "vitest";

import {
  backoff,
  explanationOf,
  googleSite,
  ID,
  messageOf,
  queueOf,
} from "../../test/support/adminAnswers.ts";
import { type Page, renderExplanation, renderMessage, renderQueue } from "./render.ts";

const page: Page = {
  now: Date.parse("2026-11-23T14:02:49Z"),
  timeZone: "UTC",
  width: null,
  command: "npx smtp-relay",
};
const partner = googleSite({
  site: "mx.partner.example",
  provider: "",
  recipients: 97,
  oldestSeconds: 12,
  nextTryAt: "2026-11-23T14:02:40.000Z",
  rule: { kind: "Due", text: "due", since: null, until: null },
  sample: ["01JDCZ9M3R5T7V9X1Z3B5D7F9H"],
});

test("the queue is one line a destination", () => {
  expect(renderQueue([queueOf("mail-0", [googleSite(), partner])], page, false)).toEqual([
    "SITE                         PROVIDER   QUEUED   OLDEST   NEXT TRY   BINDING RULE",
    "gmail-smtp-in.l.google.com   google       1090      38s   14:12      provider google on address a is silent: 421 4.7.28 (rule google/rate-4.7.28)",
    "mx.partner.example           –              97      12s   now        –",
    "",
    `1187 recipients at mail-0. Why one waits: npx smtp-relay explain ${ID}`,
  ]);
});

test("where there are classes, a destination has a line for each, and who has none does not read of them", () => {
  const bulk = googleSite({ queueClass: "bulk", recipients: 9 });

  expect(renderQueue([queueOf("mail-0", [googleSite(), bulk])], page, false).slice(0, 3)).toEqual([
    expect.stringMatching(/^SITE +PROVIDER +CLASS +QUEUED/),
    expect.stringMatching(/^gmail-smtp-in\.l\.google\.com +google +default +1090/),
    expect.stringMatching(/^gmail-smtp-in\.l\.google\.com +google +bulk +9 /),
  ]);
  const [accepted] = renderExplanation(
    { ...explanationOf("mail-0"), queueClass: "bulk", priority: "Low" },
    page,
  );
  expect(accepted).toBe(
    "accepted 14:01:07 by mail-0 from app (example.com), class bulk (priority Low), 18 KiB, 2 recipients",
  );
  expect(renderMessage({ ...messageOf("mail-0"), queueClass: "bulk" }, page)[3]).toBe("class      bulk");
});

test("pods are put together: sums, the oldest, the next, and the rule of the one with most", () => {
  const other = googleSite({
    recipients: 3000,
    oldestSeconds: 7200,
    nextTryAt: "2026-11-23T14:05:00.000Z",
    rule: { ...backoff, text: "12 of 12 used today" },
    sample: ["01JDCZ1M3R5T7V9X1Z3B5D7F9H"],
  });

  const lines = renderQueue([queueOf("mail-0"), queueOf("mail-1", [other])], page, false);

  expect(lines[1]).toBe(
    "gmail-smtp-in.l.google.com   google       4090       2h   14:05      12 of 12 used today (1 more at other pods)",
  );
  expect(lines.at(-1)).toBe(
    "4090 recipients at mail-0 and mail-1. Why one waits: npx smtp-relay explain 01JDCZ1M3R5T7V9X1Z3B5D7F9H",
  );
});

test("in a terminal the table fits, and ids are never cut", () => {
  const lines = renderQueue([queueOf("mail-0")], { ...page, width: 100 }, false);
  const withIds = renderQueue([queueOf("mail-0")], { ...page, width: 100 }, true);

  expect(lines.slice(0, 2).map((line) => line.length)).toEqual([81, 100]);
  expect(lines[1]).toContain("…");
  expect(withIds[1]).toContain(ID);
});

test("an empty queue says so", () => {
  expect(renderQueue([queueOf("mail-0", []), queueOf("mail-1", [])], page, false)).toEqual([
    "The queue is empty at mail-0 and mail-1.",
  ]);
});

test("what is in flight has no next try", () => {
  const flying = googleSite({
    nextTryAt: null,
    rule: { kind: "InFlight", text: "in flight to mx", since: null, until: null },
  });

  expect(renderQueue([queueOf("mail-0", [flying])], page, false)[1]).toContain("in flight   in flight to mx");
});

test("a message is shown with its header and each recipient, and its header moves no cursor", () => {
  expect(renderMessage(messageOf("mail-1"), page)).toEqual([
    `id         ${ID} at mail-1`,
    "from       you@example.com",
    "accepted   14:01:07 from app (example.com), 18 KiB",
    "expires    28 Nov 14:01",
    "",
    "RECIPIENT            STATE       TRIES   NEXT TRY   LAST ANSWER",
    "someone@inbox.test   waiting         1   14:12      421 4.7.28 Gmail has detected an unusual rate of mail",
    "other@inbox.test     delivered       1   –          –",
    "",
    "header",
    "  Subject: hello",
    "      and more",
    "  X-Evil:  [2J",
  ]);
});

test("an explanation reads from acceptance to the last answer", () => {
  expect(renderExplanation(explanationOf("mail-1"), page)).toEqual([
    "accepted 14:01:07 by mail-1 from app (example.com), 18 KiB, 2 recipients",
    "waiting  someone@inbox.test (google, gmail-smtp-in.l.google.com)",
    "         since 14:02:11; next try 14:12:00; expires 28 Nov 14:01",
    "because  provider google on address a is silent: 421 4.7.28 (rule google/rate-4.7.28) (until 14:12:00)",
    "         next limits: 1 connection; 12 of 8000 left today on a (warm-up, 2026-11-23)",
    "tried    14:02:10 a → gmail-smtp-in.l.google.com: 421 4.7.28 Gmail has detected an unusual rate of mail",
  ]);
});

test("recipients for whom all is the same are told of once", () => {
  const same = ["a", "b", "c", "d", "e"].map((name) => ({ address: `${name}@inbox.test` }));
  const waiting = [
    ...same,
    { address: "f@other.test", site: "mx.other.test", provider: "", nextTryAt: null, last: null },
  ];

  const lines = renderExplanation(explanationOf("mail-1", waiting), page);

  expect(lines.filter((line) => line.startsWith("waiting"))).toEqual([
    "waiting  a@inbox.test, b@inbox.test, c@inbox.test and 2 more (google, gmail-smtp-in.l.google.com)",
    "waiting  f@other.test (mx.other.test)",
  ]);
  expect(lines.at(-1)).toBe("tried    not yet");
});

test("a failure without a reply is told in words, without a code", () => {
  const last = {
    at: "2026-11-23T14:02:10.000Z",
    source: null,
    host: null,
    code: 0,
    enhanced: "4.4.3",
    text: "cannot find the mail hosts of inbox.test: the resolver answered SERVFAIL",
    rule: "dns/4.4.3",
  };

  const lines = renderExplanation(explanationOf("mail-1", [{ last, attempts: 4 }]), page);

  expect(lines.at(-1)).toBe(
    "tried    14:02:10 without a connection: cannot find the mail hosts of inbox.test: the resolver answered SERVFAIL (attempt 4)",
  );
});

test("a message of which nothing waits any more says so", () => {
  expect(renderExplanation(explanationOf("mail-1", []), page).at(-1)).toMatch(
    /nobody: every recipient has a result/,
  );
});
