import { expect, test } from "vitest";

import { parseMail, parseRcpt } from "./pathCommand.ts";

const mail = (text: string) => parseMail(Buffer.from(text));
const rcpt = (text: string, smtpUtf8 = false) => parseRcpt(Buffer.from(text), smtpUtf8);
const plain = { eightBitMime: false, smtpUtf8: false, requireTls: false };

test("MAIL is read with every parameter we announce", () => {
  expect(
    mail(
      "mail from:<a@example.com> SIZE=1234 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B314 REQUIRETLS AUTH=<>",
    ),
  ).toMatchObject({
    ok: true,
    command: {
      sender: { address: "a@example.com" },
      sizeBytes: 1234,
      eightBitMime: true,
      smtpUtf8: true,
      requireTls: true,
      ret: "HDRS",
      envid: "QQ+314",
    },
  });
});

test("what was not said is absent, not undefined", () => {
  expect(mail("MAIL FROM:<>")).toEqual({ ok: true, command: { sender: null, ...plain } });
  expect(mail("MAIL FROM: <a@example.com>")).toMatchObject({ command: plain });
  const parsed = rcpt("RCPT TO:<b@example.org>");
  expect(parsed.ok && Object.keys(parsed.command)).toEqual(["recipient"]);
});

test("RCPT keeps ORCPT as given and NOTIFY as words", () => {
  expect(
    rcpt('RCPT TO:<"b> c"@Example.org> NOTIFY=success,failure ORCPT=rfc822;b+2Bx@example.org'),
  ).toMatchObject({
    command: {
      recipient: { address: '"b> c"@example.org', domain: "example.org" },
      notify: ["SUCCESS", "FAILURE"],
      orcpt: "rfc822;b+2Bx@example.org",
    },
  });
});

test.each([
  ["MAIL FROM:a@example.com", 501, "5.5.2", "a path has brackets"],
  ["MAIL FROM <a@example.com>", 501, "5.5.2", "and a colon before it"],
  ["MAIL FROM:<a@example.com", 501, "5.5.2", "both of them"],
  ["MAIL FROM:<a@example.com>SIZE=1", 501, "5.5.4", "parameters stand apart"],
  ["MAIL FROM:<a@example.com> SIZE=x", 501, "5.5.4", "sizes are numbers"],
  ["MAIL FROM:<a@example.com> SIZE", 501, "5.5.4", "and are given"],
  ["MAIL FROM:<a@example.com> SIZE=1 size=2", 501, "5.5.4", "once"],
  ["MAIL FROM:<a@example.com> BODY=BINARYMIME", 501, "5.5.4", "BINARYMIME is not announced"],
  ["MAIL FROM:<a@example.com> SMTPUTF8=1", 501, "5.5.4", "a flag has no value"],
  ["MAIL FROM:<a@example.com> RET=ALL", 501, "5.5.4", "RET is FULL or HDRS"],
  ["MAIL FROM:<a@example.com> ENVID=a+0D+0AX", 501, "5.5.4", "no line end hides in xtext"],
  ["MAIL FROM:<a@example.com> ENVID=a+zz", 501, "5.5.4", "xtext is hexadecimal"],
  [`MAIL FROM:<a@example.com> ENVID=${"x".repeat(101)}`, 501, "5.5.4", "ENVID has 100 characters"],
  ["MAIL FROM:<a@example.com> MT-PRIORITY=3", 555, "5.5.4", "not announced, not taken"],
  ["MAIL FROM:<a@example.com> =x", 501, "5.5.4", "a parameter has a name"],
  ["MAIL FROM:<a@b@example.com>", 553, "5.1.7", "a bad sender"],
  ["MAIL FROM:<ä@example.com>", 553, "5.6.7", "UTF-8 is announced first"],
])("%s is refused with %i %s: %s", (line, code, enhanced) => {
  expect(mail(line)).toMatchObject({ ok: false, refusal: { code, enhanced } });
});

test.each([
  ["RCPT TO:<>", 553, "5.1.3", "nobody is no recipient"],
  ["RCPT TO:<postmaster>", 553, "5.1.3", "there is no mailbox here"],
  ["RCPT TO:<@a.example:b@example.org>", 553, "5.1.3", "source routes are not followed"],
  ["RCPT TO:<b@example.org> NOTIFY=NEVER,DELAY", 501, "5.5.4", "never is never"],
  ["RCPT TO:<b@example.org> NOTIFY=LATER", 501, "5.5.4", "a closed set"],
  ["RCPT TO:<b@example.org> ORCPT=b@example.org", 501, "5.5.4", "an address has a type"],
  ["RCPT TO:<b@example.org> ORCPT=rfc822;+0Ab", 501, "5.5.4", "no line end hides in xtext"],
  ["RCPT TO:<b@example.org> SIZE=3", 555, "5.5.4", "belongs to MAIL"],
  ["RCPT TO:<ö@example.org>", 553, "5.6.7", "UTF-8 was not announced"],
])("%s is refused with %i %s: %s", (line, code, enhanced) => {
  expect(rcpt(line)).toMatchObject({ ok: false, refusal: { code, enhanced } });
});

test("bytes that are no UTF-8 are refused, not replaced", () => {
  expect(parseMail(Buffer.from("MAIL FROM:<\xe4@example.com> SMTPUTF8", "latin1"))).toMatchObject({
    refusal: { code: 501, enhanced: "5.5.2" },
  });
  expect(rcpt("RCPT TO:<ö@example.org>", true)).toMatchObject({ command: { recipient: { isUtf8: true } } });
});
