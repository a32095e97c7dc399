/** Mail as it should be: what a client is offered, and what becomes of what it sends. */
import { expect, test } from "vitest";

import { startReceiving } from "../../support/receiving.ts";

const minimal = "From: Alice <a@example.com>\r\nTo: b@example.org\r\nSubject: Hi\r\n\r\nHello\r\n";

test("EHLO offers what is there: AUTH only after TLS, STARTTLS only before", async () => {
  const relay = await startReceiving();
  const client = await relay.client();

  const before = await client.say("EHLO client.example", 250);
  expect(before.lines).toEqual([
    "mail.example.com",
    "PIPELINING",
    "SIZE 100000",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
    "DSN",
    "STARTTLS",
  ]);
  const after = await client.startTls();
  expect(after.lines.slice(-2)).toEqual(["REQUIRETLS", "AUTH PLAIN LOGIN"]);
  await client.login("app", "secret", "235 2.7.0");
  expect((await client.say("EHLO client.example", 250)).lines).not.toContain("AUTH PLAIN LOGIN");
  await client.say("QUIT", "221 2.0.0");
  await client.expectClosed();
});

test("a message is durable and complete before 250 is said", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@Example.ORG", "c@bücher.example");
  const reply = await client.say(`${minimal}.`, "250 2.0.0 Ok: queued as ");

  const [message] = relay.accepted;
  expect(reply.lines[0]).toBe(`2.0.0 Ok: queued as ${message?.id}`);
  expect(message).toMatchObject({
    receivedAt: Date.parse("2026-11-23T12:00:00Z"),
    expiresAt: Date.parse("2026-11-28T12:00:00Z"),
    envelope: { from: "a@example.com", smtpUtf8: false, eightBitMime: false, requireTls: false },
    credential: "app",
    sendingDomain: "example.com",
    recipients: [
      { address: "b@example.org", domain: "example.org", attempts: 0, last: null },
      { address: "c@xn--bcher-kva.example", domain: "xn--bcher-kva.example" },
    ],
  });
  const stored = relay.stored();
  expect(message?.sizeBytes).toBe(stored.length);
  expect(stored.slice(message?.headerBytes)).toBe("Hello\r\n");
  expect(stored).toMatch(
    new RegExp(
      "^Received: from client\\.example \\(\\[127\\.0\\.0\\.1\\]\\)\r\n" +
        "\t\\(using TLSv1\\.3 with cipher TLS_[A-Z0-9_]+\\)\r\n" +
        `\tby mail\\.example\\.com with ESMTPSA id ${message?.id};\r\n` +
        "\tMon, 23 Nov 2026 12:00:00 \\+0000\r\n" +
        "Date: Mon, 23 Nov 2026 12:00:00 \\+0000\r\n" +
        `Message-ID: <${message?.id}@mail\\.example\\.com>\r\n` +
        "From: Alice",
    ),
  );
});

test("a whole conversation in few packets is understood and answered in order", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  client.raw("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n");
  for (const code of ["250 2.1.0", "250 2.1.5", "250 2.1.5", 354]) await client.expect(code);
  // RFC 2920 §3.1: the content may be followed by the next group.
  client.raw(`${minimal}.\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<d@example.org>\r\nDATA\r\n`);
  for (const code of ["250 2.0.0 Ok: queued", "250 2.1.0", "250 2.1.5", 354]) await client.expect(code);
  client.raw(`${minimal}.\r\nQUIT\r\n`);
  await client.expect("250 2.0.0 Ok: queued");
  await client.expect(221);

  expect(relay.accepted.map((message) => message.recipients.length)).toEqual([2, 1]);
});

test("parameters of the extensions travel with the message", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.say(
    "MAIL FROM:<a@example.com> SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B314 REQUIRETLS",
    250,
  );
  await client.say("RCPT TO:<用户@example.org> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;x@example.org", 250);
  await client.say("DATA", 354);
  await client.say("From: a@example.com\r\nSubject: Grüße\r\n\r\nGrüße\r\n.", 250);

  expect(relay.accepted[0]).toMatchObject({
    envelope: {
      from: "a@example.com",
      ret: "HDRS",
      envid: "QQ+314",
      smtpUtf8: true,
      eightBitMime: true,
      requireTls: true,
    },
    recipients: [{ address: "用户@example.org", notify: ["SUCCESS", "DELAY"], orcpt: "utf-8;x@example.org" }],
  });
  expect(relay.stored()).toContain("with UTF8SMTPSA id");
});

test("8-bit content is marked even when the client did not say so", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  await client.say("From: a@example.com\r\n\r\nGrüße\r\n.", 250);

  expect(relay.accepted[0]?.envelope.eightBitMime).toBe(true);
});

test("implicit TLS, AUTH LOGIN and a recipient given twice", async () => {
  const relay = await startReceiving();
  const port = relay.receiver.ports().get("submissions") ?? 0;
  expect(port).toBeGreaterThan(0);
  const client = await relay.client({ listener: "submissions", tls: true });

  const { lines } = await client.say("EHLO client.example", 250);
  expect(lines).toContain("AUTH PLAIN LOGIN");
  expect(lines).not.toContain("STARTTLS");
  await client.say("AUTH LOGIN", 334);
  await client.say(Buffer.from("app").toString("base64"), 334);
  await client.say(Buffer.from("secret").toString("base64"), 235);
  await client.begin("a@example.com", "b@example.org", "b@EXAMPLE.org");
  await client.say(`${minimal}.`, 250);

  expect(relay.accepted[0]?.recipients.map((recipient) => recipient.address)).toEqual(["b@example.org"]);
});

test("a trusted network sends without AUTH where the listener says so, as one of our domains", async () => {
  const relay = await startReceiving();
  const client = await relay.client({ listener: "internal", from: "127.0.0.2" });

  await client.say("HELO printer", 250);
  await client.say("MAIL FROM:<printer@example.org>", "553 5.7.1");
  await client.begin("printer@crm.example.com", "b@example.org");
  await client.say("From: printer@crm.example.com\r\n\r\nscan\r\n.", 250);

  expect(relay.accepted[0]).toMatchObject({ credential: null, sendingDomain: "crm.example.com" });
  expect(relay.stored()).toMatch(
    /^Received: from printer \(\[127\.0\.0\.2\]\)\r\n\tby mail\.example\.com with SMTP id/,
  );
});

test("a large message streams through with its dots, and a client that is slow to send loses nothing", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();
  const body = `${".".repeat(70)}\r\n.\r\n${"x".repeat(900)}\r\n`.repeat(90);
  const stuffed = body.replaceAll(/^\./gm, "..");

  await client.begin("a@example.com", "b@example.org");
  const wire = `From: a@example.com\r\n\r\n${stuffed}.\r\n`;
  for (let at = 0; at < wire.length; at += 7919) client.raw(wire.slice(at, at + 7919));
  await client.expect(250);

  expect(relay.stored().slice(relay.accepted[0]?.headerBytes)).toBe(body);
});
