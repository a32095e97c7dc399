import * as fc from "fast-check";
import { expect, test } from "vitest";

import { queuedMessage, recipient } from "../../test/support/queuedMessage.ts";
import type { LastAttempt, Notify } from "../message.ts";
import { type BounceOrder, composeBounce } from "./bounceMessage.ts";
import { type DsnAction, mailDate, returnsWholeMessage, statusOf, whoHearsOf } from "./dsn.ts";

const at = (text: string) => Date.parse(text);
const last: LastAttempt = {
  at: at("2026-11-23T12:00:30Z"),
  source: "a",
  host: "mx.inbox.test",
  code: 550,
  enhanced: "5.1.1",
  text: "5.1.1 <nobody@inbox.test>: user unknown",
  rule: "generic/5.1.1",
};
const refused = recipient({
  address: "nobody@inbox.test",
  orcpt: "rfc822;no+2Bbody@list.test",
  state: { kind: "bounced", at: at("2026-11-23T12:00:30Z"), reason: "Refused" },
  attempts: 1,
  last,
});
const message = queuedMessage({
  id: "01JDCC2M00000000000000000A",
  sizeBytes: 1000,
  envelope: {
    from: "sender@example.test",
    envid: "order 7",
    smtpUtf8: false,
    eightBitMime: false,
    requireTls: false,
  },
});

function compose(part: Partial<BounceOrder> = {}) {
  return composeBounce({
    hostname: "mail.example.test",
    id: "01JDCC2M10000000000000000B",
    at: at("2026-11-23T12:00:31Z"),
    message,
    recipients: [{ recipient: refused, action: "failed" }],
    original: { kind: "header", eightBit: false },
    ...part,
  });
}

test("a refused recipient, as the sender gets it", () => {
  const { head, tail, ...rest } = compose({ inReplyTo: "<1@example.test>" });

  expect(`${head}Subject: hello\r\n${tail}`.replaceAll("\r\n", "\n"))
    .toBe(`From: Mail Delivery System <MAILER-DAEMON@mail.example.test>
To: <sender@example.test>
Subject: Your message could not be delivered
Date: Mon, 23 Nov 2026 12:00:31 +0000
Message-ID: <01JDCC2M10000000000000000B@mail.example.test>
In-Reply-To: <1@example.test>
References: <1@example.test>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="=_01JDCC2M10000000000000000B"

This is a report in MIME format.

--=_01JDCC2M10000000000000000B
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: 7bit
Content-Description: Notification

This is the mail system at mail.example.test.

Your message could not be delivered to:

  <nobody@inbox.test>
    The server mx.inbox.test answered: 550 5.1.1 <nobody@inbox.test>: user
    unknown

It was accepted here on Mon, 23 Nov 2026 12:00:00 +0000 as
01JDCC2M00000000000000000A. A report for programs and the header of your
message are attached.

--=_01JDCC2M10000000000000000B
Content-Type: message/delivery-status
Content-Transfer-Encoding: 7bit
Content-Description: Delivery report

Reporting-MTA: dns; mail.example.test
Original-Envelope-Id: order 7
Arrival-Date: Mon, 23 Nov 2026 12:00:00 +0000

Original-Recipient: rfc822; no+body@list.test
Final-Recipient: rfc822; nobody@inbox.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.inbox.test
Diagnostic-Code: smtp; 550 5.1.1 <nobody@inbox.test>: user unknown
Last-Attempt-Date: Mon, 23 Nov 2026 12:00:30 +0000

--=_01JDCC2M10000000000000000B
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: 7bit
Content-Description: Header of your message

Subject: hello

--=_01JDCC2M10000000000000000B--
`);
  expect(rest).toEqual({ to: "sender@example.test", smtpUtf8: false, eightBitMime: false });
});

test("an expired recipient is failed with 4.4.7, and the text tells how long it was tried", () => {
  const expired = recipient({
    address: "slow@inbox.test",
    state: { kind: "bounced", at: at("2026-11-28T12:00:00Z"), reason: "Expired" },
    attempts: 33,
    last: { ...last, code: 0, host: null, enhanced: null, text: "connect ECONNREFUSED 192.0.2.1:25" },
  });
  const { head } = compose({ recipients: [{ recipient: expired, action: "failed" }] });

  expect(head).toContain("Action: failed\r\nStatus: 4.4.7\r\n");
  expect(head).toContain("tried 33 times for 5 days and is given up.");
  expect(head).toContain("Diagnostic-Code: x-smtp-relay; connect ECONNREFUSED 192.0.2.1:25\r\n");
  // Nobody was reached, nobody gave an ORCPT.
  expect(head).not.toMatch(/Remote-MTA|Original-Recipient/);
});

test("several recipients with several fates are one notice, a block of the report each", () => {
  const delivered = recipient({
    address: "a@inbox.test",
    state: { kind: "delivered", at: 0 },
    last: { ...last, code: 250, enhanced: "2.1.5", text: "2.1.5 ok" },
  });
  const delayed = recipient({ address: "b@inbox.test", last: { ...last, code: 450, enhanced: "4.2.1" } });
  const { head } = compose({
    recipients: [
      { recipient: refused, action: "failed" },
      { recipient: delivered, action: "relayed" },
      { recipient: delayed, action: "delayed" },
    ],
  });
  const report = head.split("Content-Description: Delivery report\r\n\r\n")[1]?.split("\r\n\r\n") ?? [];

  expect(report.slice(0, 4).map((block) => /Action: (\w+)\r\nStatus: (\S+)/.exec(block)?.slice(1))).toEqual([
    undefined,
    ["failed", "5.1.1"],
    ["relayed", "2.1.5"],
    ["delayed", "4.2.1"],
  ]);
  expect(head).toContain("Subject: Your message could not be delivered\r\n");
  expect(head).toContain("  <b@inbox.test>\r\n");
  expect(head).toContain("tried again until Sat, 28 Nov 2026 12:00:00 +0000.");
});

test("addresses beyond ASCII make it a global report, and only they do", () => {
  const { head, smtpUtf8, eightBitMime } = compose({
    recipients: [{ recipient: { ...refused, address: "grüße@inbox.test" }, action: "failed" }],
  });

  expect({ smtpUtf8, eightBitMime }).toEqual({ smtpUtf8: true, eightBitMime: true });
  expect(head).toContain("report-type=global-delivery-status;");
  expect(head).toContain("Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit");
  expect(head).toContain("Content-Type: message/global-headers\r\n");
  expect(head).toContain("Final-Recipient: utf-8; grüße@inbox.test\r\n");
  const plain = compose({
    recipients: [
      { recipient: { ...refused, last: { ...last, text: "usuário não existe" } }, action: "failed" },
    ],
  });
  expect(plain.smtpUtf8).toBe(false);
  expect(plain.head).toContain("Diagnostic-Code: smtp; 550 5.1.1 usu?rio n?o existe\r\n");
});

test("an original with 8-bit bytes is declared so", () => {
  const { head, smtpUtf8, eightBitMime } = compose({ original: { kind: "message", eightBit: true } });

  expect({ smtpUtf8, eightBitMime }).toEqual({ smtpUtf8: false, eightBitMime: true });
  expect(head).toMatch(/Content-Type: message\/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n.*\r\n\r\n$/);
});

test("nobody writes a header, a field or a part through what came from outside", () => {
  const attack = "x\r\nBcc: victim@x.test\r\n\r\n--=_01JDCC2M10000000000000000B\r\n\0evil\u2028\u0085end";
  const { head } = compose({
    hostname: `mail.example.test`,
    message: { ...message, envelope: { ...message.envelope, from: `a@x.test>${attack}`, envid: attack } },
    inReplyTo: `<${attack}>`,
    recipients: [
      {
        recipient: {
          ...refused,
          address: `b@x.test${attack}`,
          orcpt: "rfc822;x+0D+0ABcc:y@z.test",
          last: { ...last, host: attack, text: attack, enhanced: "5.1.1" },
        },
        action: "failed",
      },
    ],
  });

  expect(head).not.toMatch(/^Bcc/m);
  expect(head).not.toMatch(/[^\r]\n|\r[^\n]|[\0\u2028\u0085]/);
  expect(head.match(/^--=_/gm)?.length).toBe(3);
});

test("whatever a peer answered, lines stay short, and the field unfolds to the cleaned text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 1500 }), fc.boolean(), (text, utf8) => {
      const { head } = compose({
        recipients: [
          {
            recipient: {
              ...refused,
              address: utf8 ? "ü@inbox.test" : "u@inbox.test",
              last: { ...last, enhanced: null, text },
            },
            action: "failed",
          },
        ],
      });

      for (const line of head.split("\r\n"))
        expect(new TextEncoder().encode(line).length).toBeLessThanOrEqual(998);
      // oxlint-disable-next-line no-control-regex
      expect(head.replaceAll("\r\n", "")).not.toMatch(/[\u0000-\u001f\u007f]/);
      const fields = head.replaceAll(/\r\n (?=\S)/g, " ");
      expect(fields).toMatch(/^Diagnostic-Code: smtp; 550/m);
      expect(fields).toMatch(/^Last-Attempt-Date: /m);
    }),
  );
});

test("what must not be composed is a bug", () => {
  const nullSender = { ...message, envelope: { ...message.envelope, from: "" } };

  expect(() => compose({ message: nullSender })).toThrow(/null reverse-path/);
  expect(() => compose({ recipients: [] })).toThrow(/no recipient/);
  expect(() => compose({ id: 'a"b' })).toThrow(/letters and digits/);
});

test.each<{ notify: readonly Notify[] | undefined; hears: readonly DsnAction[] }>([
  { notify: undefined, hears: ["failed"] },
  { notify: ["NEVER"], hears: [] },
  { notify: ["FAILURE"], hears: ["failed"] },
  { notify: ["SUCCESS"], hears: ["delivered", "relayed"] },
  { notify: ["DELAY", "FAILURE"], hears: ["failed", "delayed"] },
])(
  "NOTIFY=$notify: the sender hears of $hears, and nobody of a message without sender",
  ({ notify, hears }) => {
    const actions = ["failed", "delayed", "delivered", "relayed"] as const;
    const asked = notify === undefined ? {} : { notify };

    expect(
      actions.filter((action) => whoHearsOf(message.envelope, asked, action) === "sender@example.test"),
    ).toEqual(hears);
    for (const action of actions) {
      expect(whoHearsOf({ ...message.envelope, from: "" }, asked, action)).toBeNull();
    }
  },
);

test("RET=FULL returns the whole message for failures, up to a size", () => {
  const full = { envelope: { ...message.envelope, ret: "FULL" as const }, sizeBytes: 1000 };

  expect(returnsWholeMessage(full, ["failed", "relayed"], 1000)).toBe(true);
  expect(returnsWholeMessage(full, ["failed"], 999)).toBe(false);
  expect(returnsWholeMessage(full, ["relayed", "delayed"], 1000)).toBe(false);
  expect(returnsWholeMessage(message, ["failed"], 10_000)).toBe(false);
});

test.each([
  { action: "failed", reason: "Refused", enhanced: "5.7.26", status: "5.7.26", because: "the peer said so" },
  {
    action: "failed",
    reason: "Refused",
    enhanced: "4.7.1",
    status: "5.7.1",
    because: "a failure is permanent",
  },
  { action: "failed", reason: "Refused", enhanced: null, status: "5.0.0", because: "nobody said" },
  { action: "failed", reason: "Refused", enhanced: "nonsense", status: "5.0.0", because: "it is no code" },
  { action: "failed", reason: "Expired", enhanced: "4.2.1", status: "4.4.7", because: "time ran out" },
  { action: "failed", reason: "Operator", enhanced: "4.2.1", status: "5.0.0", because: "we gave up" },
  { action: "delivered", reason: null, enhanced: "4.2.1", status: "2.0.0", because: "it is a success" },
  { action: "delayed", reason: null, enhanced: "4.2.1", status: "4.2.1", because: "the peer said so" },
  { action: "delayed", reason: null, enhanced: "5.1.1", status: "4.0.0", because: "it is no failure yet" },
] as const)(
  "status of $action/$reason with $enhanced is $status: $because",
  ({ action, reason, enhanced, status }) => {
    const state = reason === null ? refused.state : { kind: "bounced" as const, at: 0, reason };

    expect(statusOf({ recipient: { ...refused, state, last: { ...last, enhanced } }, action })).toBe(status);
  },
);

test("dates are those of RFC 5322, in UTC", () => {
  expect(mailDate(at("2026-11-03T04:05:06Z"))).toBe("Tue, 03 Nov 2026 04:05:06 +0000");
});
