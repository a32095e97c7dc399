/** No open relay: who is nobody sends nothing, who is somebody sends only as himself. */
import { expect, test } from "vitest";

import { startReceiving } from "../../support/receiving.ts";
import type { SmtpClient } from "../../support/smtpClient.ts";

const nobody = "530 5.7.0";

async function greeted(client: SmtpClient): Promise<SmtpClient> {
  await client.say("EHLO client.example", 250);
  return client;
}

/** Probes of relay testers: each names a sender and a recipient that once fooled some server. */
const probes: readonly [string, string, string][] = [
  ["a@example.com", "b@example.org", "our own domain as sender"],
  ["a@example.org", "b@example.net", "strangers both"],
  ["", "b@example.org", "the null sender"],
  ["a@example.com", "b%example.org@example.com", "the percent hack"],
  ["a@example.com", "example.org!b@example.com", "a bang path"],
  ["a@example.com", "@mail.example.com:b@example.org", "a source route"],
  ["a@example.com", "b@[192.0.2.1]", "an address literal"],
  ["a@[127.0.0.1]", "b@example.org", "a literal of ours as sender"],
  ["a@example.com", '"b@example.org"@example.com', "a quoted address"],
  ["a@mail.example.com", "b@example.org", "the relay's own name as sender"],
  ["a", "b@example.org", "a sender without domain"],
  ["postmaster@example.com", "postmaster", "the postmaster"],
];

test.each(probes)("without AUTH, %j to %j is refused before and after TLS: %s", async (from, to) => {
  const relay = await startReceiving();

  for (const listener of ["submission", "internal"]) {
    const client = await greeted(await relay.client({ listener }));
    await client.say(`MAIL FROM:<${from}>`, nobody);
    await client.say(`RCPT TO:<${to}>`, nobody);
    await client.say("DATA", 503);
    await client.startTls();
    await client.say(`MAIL FROM:<${from}>`, nobody);
    await client.say(`RCPT TO:<${to}>`, nobody);
  }

  expect(relay.accepted).toEqual([]);
  expect(relay.disk.contents.size).toBe(0);
});

test("a trusted network is trusted only on a listener whose AUTH is optional", async () => {
  const relay = await startReceiving();

  const required = await greeted(await relay.client({ listener: "submission", from: "127.0.0.2" }));
  await required.say("MAIL FROM:<a@example.com>", nobody);
  const neighbour = await greeted(await relay.client({ listener: "internal", from: "127.0.0.3" }));
  await neighbour.say("MAIL FROM:<a@example.com>", nobody);
  const trusted = await greeted(await relay.client({ listener: "internal", from: "127.0.0.2" }));
  await trusted.say("MAIL FROM:<>", "550 5.7.1");
  await trusted.say("MAIL FROM:<a@example.org>", "553 5.7.1");
  await trusted.say("MAIL FROM:<a@example.com>", 250);

  expect(relay.receiver.counts()).toEqual({ sessions: 3, transactions: 1 });
});

test("what a proxy might say of its client is not listened to", async () => {
  const relay = await startReceiving();
  const client = await greeted(await relay.client({ listener: "internal" }));

  await client.say("XCLIENT ADDR=127.0.0.2", 500);
  await client.say("XFORWARD ADDR=127.0.0.2", 500);
  await client.say("MAIL FROM:<a@example.com>", nobody);
  const direct = await relay.client({ listener: "internal" });
  await direct.say("PROXY TCP4 127.0.0.2 127.0.0.1 1 2525", 500);

  expect(relay.accepted).toEqual([]);
});

test.each([
  ["a@crm.example.com", "550 5.7.1 The credential app may not send from crm.example.com"],
  ["a@example.org", "553 5.7.1 The domain example.org of the sender is not one this relay sends for"],
  ["a@sub.example.com", "553 5.7.1"],
  ["", "550 5.7.1 The null sender"],
  ["a@[127.0.0.1]", "553 5.1.7"],
  ["@example.com:a@example.org", "553 5.1.7 The sender address has a source route"],
])("a login for example.com does not send as %j: %s", async (from, reply) => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.say(`MAIL FROM:<${from}>`, reply);
  await client.say("RCPT TO:<b@example.org>", "503 5.5.1");

  expect(relay.accepted).toEqual([]);
});

test("a held domain is put off with its reason", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter({ username: "all" });

  await client.say(
    "MAIL FROM:<a@held.example>",
    "451 4.7.1 Mail from held.example is held: its DKIM record is missing",
  );

  expect(relay.receiver.counts().transactions).toBe(0);
});

test.each([
  ["From: ceo@bank.example", "550 5.7.1 The domain bank.example of the From field"],
  ["From: a@example.com, ceo@bank.example", "550 5.7.1 The domain bank.example of the From field"],
  ["From: a@crm.example.com", "550 5.7.1 The credential app may not send from crm.example.com"],
  ["From: a@example.com\r\nFrom: ceo@bank.example", "554 5.6.0 The header has 2 From fields"],
  ["From: ceo@bank.example\r\n (\r\n <a@example.com>", "554 5.6.0 The From field"],
  ["To: nobody@example.org", "554 5.6.0 The header has no From field"],
])("a message that says %j is refused after its end, and the session goes on: %s", async (header, reply) => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  await client.say(`${header}\r\n\r\nHello\r\n.`, reply);
  await client.begin("a@example.com", "b@example.org");
  await client.say("From: a@example.com\r\n\r\nHello\r\n.", 250);

  expect(relay.accepted).toHaveLength(1);
  expect(relay.disk.contents.size).toBe(1);
});

test("recipients that nothing can be delivered to are refused, the others taken", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.say("MAIL FROM:<a@example.com>", 250);
  await client.say("RCPT TO:<b>", "553 5.1.3 The recipient address has no domain");
  await client.say("RCPT TO:<b@example..org>", "553 5.1.3");
  await client.say(
    "RCPT TO:<@x.example:b@example.org>",
    "553 5.1.3 The recipient address has a source route",
  );
  await client.say("RCPT TO:b@example.org", "501 5.5.2");
  await client.say("DATA", "554 5.5.1 No valid recipients");
  await client.say("RCPT TO:<b@example.org>", 250);
  await client.say("DATA", 354);
  await client.say("From: a@example.com\r\n\r\n.", 250);

  expect(relay.accepted[0]?.recipients.map((recipient) => recipient.address)).toEqual(["b@example.org"]);
});

test("parameters nobody announced and commands out of order have their codes", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.say("RCPT TO:<b@example.org>", "503 5.5.1");
  await client.say("DATA", "503 5.5.1");
  await client.say("MAIL FROM:<a@example.com> MT-PRIORITY=9", "555 5.5.4");
  await client.say("MAIL FROM:<ä@example.com>", "553 5.6.7");
  await client.say("MAIL FROM:<a@example.com>", 250);
  await client.say("MAIL FROM:<a@example.com>", "503 5.5.1");
  await client.say("AUTH PLAIN AGFwcABzZWNyZXQ=", "503 5.5.1");
  await client.say("RCPT TO:<b@example.org>", 250);
  await client.say("DATA now", "501 5.5.4");
  await client.say("RSET", 250);
  await client.say("DATA", "503 5.5.1");
  await client.say("STARTTLS", 503);
  await client.say("VRFY root", 252);

  expect(relay.accepted).toEqual([]);
});
