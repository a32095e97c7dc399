import * as fc from "fast-check";
import { expect, test } from "vitest";

import { createBodyHash } from "./bodyHash.ts";
import { ContentFilter, type ContentRules, faultRefusal, LARGEST_HEADER_BYTES } from "./content.ts";
import { receivedField } from "./received.ts";
import { refusal } from "./refusal.ts";

const id = "01KAQZ4W8X0000000000000000";
const at = Date.parse("2026-11-23T12:00:00Z");
const received = receivedField({
  helo: "client.example",
  clientAddress: "192.0.2.7",
  hostname: "mail.example.com",
  id,
  at,
  extended: true,
  tls: { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" },
  authenticated: true,
  smtpUtf8: false,
});

function filtered(content: string, options: Partial<ContentRules> & { cuts?: readonly number[] } = {}) {
  const { cuts = [], ...rules } = options;
  const filter = new ContentFilter({
    id,
    at,
    received,
    hostname: "mail.example.com",
    messageSizeBytes: 10_000_000,
    judgeFrom: () => undefined,
    judgeClass: () => undefined,
    ...rules,
  });
  const bytes = Buffer.from(content);
  const stored: Buffer[] = [];
  let start = 0;
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length].sort((a, b) => a - b);
  for (const end of ends) {
    stored.push(...filter.push(bytes.subarray(start, end)));
    start = end;
  }
  stored.push(...filter.end());
  return { refusal: filter.refusal, stored: Buffer.concat(stored).toString(), ...filter.measure() };
}
const minimal = "From: a@example.com\r\nDate: now\r\nMessage-ID: <1@example.com>\r\n";

test("the trace field comes first, in the form of RFC 5321 §4.4", () => {
  const { stored } = filtered(`${minimal}\r\nHello\r\n`);

  expect(stored).toBe(
    "Received: from client.example ([192.0.2.7])\r\n" +
      "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n" +
      `\tby mail.example.com with ESMTPSA id ${id};\r\n` +
      "\tMon, 23 Nov 2026 12:00:00 +0000\r\n" +
      `${minimal}\r\nHello\r\n`,
  );
});

test("Date and Message-ID are added where they are missing or empty", () => {
  for (const header of ["From: a@example.com\r\n", "From: a@example.com\r\nDate:\r\nMessage-ID: \r\n"]) {
    expect(filtered(`${header}\r\nx\r\n`).stored.slice(received.length)).toBe(
      `Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <${id}@mail.example.com>\r\n` +
        "From: a@example.com\r\n\r\nx\r\n",
    );
  }
});

test("Bcc, Return-Path and our own forged check results go, folds and all; others stay as they were", () => {
  const { stored } = filtered(
    `${minimal}Bcc: b@example.org,\r\n c@example.org\r\nResent-bcc: d@example.org\r\n` +
      "Return-Path: <x@example.org>\r\nAuthentication-Results: MAIL.example.com; dkim=pass\r\n" +
      "Authentication-Results: other.example; dkim=pass\r\nSubject: kept\r\n  folded\r\n\r\n",
  );

  expect(stored.slice(received.length)).toBe(
    `${minimal}Authentication-Results: other.example; dkim=pass\r\nSubject: kept\r\n  folded\r\n\r\n`,
  );
});

test("sizes and the body hash are those of what is stored", () => {
  const body = "Hello  \r\n\r\nworld\r\n\r\n\r\n";
  const { stored, sizeBytes, headerBytes, bodyHash, eightBit } = filtered(`${minimal}\r\n${body}`);
  const hash = createBodyHash();
  hash.update(Buffer.from(body));

  expect(sizeBytes).toBe(Buffer.byteLength(stored));
  expect(stored.slice(headerBytes)).toBe(body);
  expect(bodyHash).toBe(hash.digest());
  expect(eightBit).toBe(false);
  expect(filtered(`${minimal}\r\nGrüße\r\n`).eightBit).toBe(true);
});

test("a message that is all header gets its empty line", () => {
  const { stored, headerBytes, sizeBytes } = filtered(minimal);

  expect(stored).toBe(`${received}${minimal}\r\n`);
  expect(headerBytes).toBe(sizeBytes);
});

test("how the bytes are cut changes nothing", () => {
  const content = `${minimal}Subject: a\r\n\r\nbody\r\n\r\n\r\nend\r\n`;
  const whole = filtered(content);
  fc.assert(
    fc.property(fc.array(fc.nat(200), { maxLength: 12 }), (cuts) => {
      expect(filtered(content, { cuts })).toEqual(whole);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test.each([
  ["\r\nbody\r\n", "554 5.6.0", "The header has no From field", "an empty header"],
  ["", "554 5.6.0", "The header has no From field", "nothing at all"],
  ["Subject: x\r\n\r\n", "554 5.6.0", "The header has no From field", "no author"],
  [
    `${minimal}From: b@example.com\r\n\r\n`,
    "554 5.6.0",
    "The header has 2 From fields, only one may be there",
    "two",
  ],
  [
    `${minimal}SUBJECT: a\r\nsubject: b\r\n\r\n`,
    "554 5.6.0",
    "The header has 2 Subject fields, only one may be there",
    "in any case",
  ],
  [
    `${minimal}To: a\r\nTo: b\r\n\r\n`,
    "554 5.6.0",
    "The header has 2 To fields, only one may be there",
    "To as well",
  ],
  [
    "From a@example.com Mon\r\nFrom: a@example.com\r\n\r\n",
    "554 5.6.0",
    "Line 1 of the header is no header field",
    "an mbox line",
  ],
  [
    `${minimal}Hello world\r\n\r\n`,
    "554 5.6.0",
    "Line 4 of the header is no header field",
    "a body without its empty line",
  ],
  [
    " folded: first\r\nFrom: a@example.com\r\n\r\n",
    "554 5.6.0",
    "Line 1 of the header is no header field",
    "a fold of nothing",
  ],
  [
    "From : a@example.com\r\n\r\n",
    "554 5.6.0",
    "The header field From has a space before its colon",
    "obsolete space",
  ],
  [
    "From: Alice\r\n\r\n",
    "554 5.6.0",
    "The From field has an address that has no domain",
    "a From that names nobody",
  ],
  [
    `${"Received: x\r\n".repeat(51)}${minimal}\r\n`,
    "554 5.4.6",
    "More than 50 Received fields: the message is looping",
    "a loop",
  ],
  [
    `${"X: y\r\n".repeat(2001)}${minimal}\r\n`,
    "554 5.6.0",
    "The header has too many fields",
    "an attack on loops",
  ],
  [
    `${minimal}X: ${"y".repeat(LARGEST_HEADER_BYTES)}\r\n\r\n`,
    "552 5.3.4",
    "The header is larger than 262144 bytes",
    "a header without bound",
  ],
])("%# is refused with %s %s", (content, code, text) => {
  const { refusal, stored } = filtered(content);

  expect(refusal && { code: `${refusal.code} ${refusal.enhanced}`, text: refusal.text }).toEqual({
    code,
    text,
  });
  expect(stored).toBe("");
});

test("content beyond the limit is refused at the byte that breaks it, whatever follows", () => {
  const content = `${minimal}\r\nHello\r\n`;

  expect(filtered(content, { messageSizeBytes: content.length }).refusal).toBeUndefined();
  expect(filtered(content, { messageSizeBytes: content.length - 1 }).refusal).toEqual(
    refusal(552, "5.3.4", `The message is larger than ${content.length - 1} bytes`),
  );
});

test("the client's right to the From field is asked with every mailbox in it", () => {
  const asked: string[] = [];
  const { refusal: why } = filtered("From: a@example.com, B <b@example.org>\r\n\r\n", {
    judgeFrom: (mailboxes) => {
      asked.push(...mailboxes.map((mailbox) => mailbox.domain));
      return refusal(550, "5.7.1", "no");
    },
  });

  expect(asked).toEqual(["example.com", "example.org"]);
  expect(why).toEqual(refusal(550, "5.7.1", "no"));
});

test("faults name their line", () => {
  expect(faultRefusal({ kind: "BareLf", line: 7 })).toEqual(
    refusal(554, "5.6.0", "Line 7 of the message has a bare LF; lines end with CRLF"),
  );
});

test("the trace field shows what the client said only when it is a name", () => {
  const facts = { clientAddress: "2001:db8::1", hostname: "h.example", id, at, extended: true, tls: null };
  const field = (helo: string) =>
    receivedField({ ...facts, helo, authenticated: false, smtpUtf8: true }).split("\r\n")[0];

  expect(field("[192.0.2.9]")).toBe("Received: from [192.0.2.9] ([IPv6:2001:db8::1])");
  expect(field("ho st (x)\u0085")).toBe("Received: from unknown ([IPv6:2001:db8::1])");
});
