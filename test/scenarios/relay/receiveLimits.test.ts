/** Too much of anything: the right reply, a bounded cost, and others unharmed. */
import { expect, test, vi } from "vitest";

import { type Receiving, startReceiving } from "../../support/receiving.ts";
import { SmtpClient } from "../../support/smtpClient.ts";

const minimal = "From: a@example.com\r\n\r\nHello\r\n";

/** Somebody else on the relay, who must not notice. */
async function sendsWell(relay: Receiving): Promise<void> {
  const client = await relay.submitter({ from: "127.0.0.77" });
  await client.begin("a@example.com", "b@example.org");
  await client.say(`${minimal}.`, 250);
  await client.say("QUIT", 221);
}

test("a message too large is refused by its SIZE at MAIL", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.say("MAIL FROM:<a@example.com> SIZE=100000", 250);
  await client.say("RSET", 250);
  await client.say(
    "MAIL FROM:<a@example.com> SIZE=100001",
    "552 5.3.4 The message is larger than 100000 bytes",
  );
  await client.say("MAIL FROM:<a@example.com> SIZE=99999999999999999999", "552 5.3.4");

  expect(relay.receiver.counts().transactions).toBe(0);
});

test("a message too large by its bytes is refused after its end, with nothing kept", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  client.raw(minimal);
  for (let sent = 0; sent < 100_000; sent += 1000) client.raw(`${"x".repeat(998)}\r\n`);
  await client.say(".", "552 5.3.4");
  await client.begin("a@example.com", "b@example.org");
  await client.say(`${minimal}.`, 250);

  expect(relay.accepted).toHaveLength(1);
  expect(relay.disk.contents.size).toBe(1);
});

test("a header without bound is refused at its limit", async () => {
  const relay = await startReceiving({
    limits: { messageSizeBytes: 10_000_000, recipientsPerMessage: 5, sessions: 50, sessionsPerClient: 20 },
  });
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  client.raw("From: a@example.com\r\n");
  for (let line = 0; line < 300; line++) client.raw(`X-${line}: ${"y".repeat(980)}\r\n`);
  await client.say("\r\nbody\r\n.", "552 5.3.4 The header is larger than 262144 bytes");

  expect(relay.accepted).toEqual([]);
});

/** What a peer says when it never means to end; each must be cut off after a bounded number of bytes. */
test.each([
  ["one endless line of content", "x".repeat(10_000), "554 5.6.0"],
  ["content without its end", `${"y".repeat(98)}\r\n`.repeat(100), "552 5.3.4"],
  ["header lines without end", "X: y\r\n".repeat(1000), "554 5.6.0 The header has too many fields"],
])("%s is cut off", async (_, piece, reply) => {
  const relay = await startReceiving({
    limits: { messageSizeBytes: 50_000, recipientsPerMessage: 5, sessions: 50, sessionsPerClient: 20 },
  });
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  client.raw("From: a@example.com\r\n");
  if (reply.startsWith("554 5.6.0 The")) client.raw(`${piece}${piece}${piece}\r\n`);
  for (let times = 0; times < 50; times++) client.raw(piece);
  await client.expect(reply);
  await client.expectClosed();

  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(0));
  expect(relay.disk.contents.size).toBe(0);
  await sendsWell(relay);
});

test("a command line without end is answered at its limit, before it ends", async () => {
  const relay = await startReceiving();
  const client = await relay.client();

  client.raw(`EHLO ${"x".repeat(5000)}`);
  await client.expect("500 5.5.2 Line too long");
  await client.expectClosed();
  await sendsWell(relay);
  expect(relay.accepted).toHaveLength(1);
});

test("a command line too long is refused also when it ends", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  client.raw(`NOOP ${"x".repeat(5000)}\r\n`);
  await client.expect("500 5.5.2 Line too long");
  await client.expectClosed();

  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(0));
});

test("recipients beyond the limit are put off, the ones before are delivered to", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.say("MAIL FROM:<a@example.com>", 250);
  for (let index = 0; index < 5; index++) await client.say(`RCPT TO:<r${index}@example.org>`, 250);
  await client.say("RCPT TO:<r5@example.org>", "452 4.5.3");
  await client.say("RCPT TO:<r0@example.org>", 250);
  client.raw(Array.from({ length: 200 }, (_, index) => `RCPT TO:<s${index}@example.org>\r\n`).join(""));
  for (let index = 0; index < 200; index++) await client.expect("452 4.5.3");
  await client.say("DATA", 354);
  await client.say(`${minimal}.`, 250);

  expect(relay.accepted[0]?.recipients).toHaveLength(5);
});

test("unknown commands are answered nine times, then the session ends", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  for (let times = 0; times < 9; times++) await client.say("XYZZY", "500 5.5.2");
  await client.say("EXPN staff", "421 4.7.0");
  await client.expectClosed();

  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(0));
});

test("somebody who never logs in gets twenty commands, sent one by one or all at once", async () => {
  const relay = await startReceiving();
  const client = await relay.client();
  for (let times = 0; times < 20; times++) await client.say("NOOP", 250);
  await client.say("NOOP", "421 4.7.0 Too many commands without authentication");
  await client.expectClosed();

  const flood = await relay.client();
  flood.raw("NOOP\r\n".repeat(5000));
  for (let times = 0; times < 20; times++) await flood.expect(250);
  await flood.expect("421 4.7.0");
  await flood.expectClosed();
  await sendsWell(relay);
  expect(relay.accepted).toHaveLength(1);
});

test("a dialogue of nothing but mistakes ends", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  for (let times = 0; times < 20; times++) await client.say("DATA", "503 5.5.1");
  await client.say("DATA", "503 5.5.1");
  await client.expect("421 4.7.0 Too many errors");
  await client.expectClosed();

  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(0));
});

test("sessions beyond the limit, and beyond a client's share, hear 421 and find room later", async () => {
  const relay = await startReceiving({
    limits: { messageSizeBytes: 50_000, recipientsPerMessage: 5, sessions: 3, sessionsPerClient: 2 },
  });
  const one = await relay.client();
  await relay.client();

  await expect(relay.client()).rejects.toThrow("421 4.7.0 More than 2 sessions from one address");
  await relay.client({ from: "127.0.0.5" });
  await expect(relay.client({ from: "127.0.0.6" })).rejects.toThrow("421 4.3.2 Too many sessions");
  await expect(relay.client({ from: "127.0.0.6", listener: "submissions", tls: true })).rejects.toThrow(
    "421 4.3.2",
  );
  await one.say("QUIT", 221);
  await one.expectClosed();
  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(2));
  await relay.client({ from: "127.0.0.6" });
});

test("who says nothing for five minutes is told so, whether greeted, logged in or inside a message", async () => {
  const relay = await startReceiving();
  const greeted = await relay.client();
  const loggedIn = await relay.submitter();
  const sending = await relay.submitter();
  await sending.begin("a@example.com", "b@example.org");
  sending.raw(minimal);
  await vi.waitFor(() => expect(relay.receiver.counts()).toEqual({ sessions: 3, transactions: 1 }));

  await relay.clock.advance(299_000);
  for (const client of [greeted, loggedIn, sending]) expect(client.isClosed).toBe(false);
  await loggedIn.say("NOOP", 250);
  await relay.clock.advance(1_000);
  for (const client of [greeted, sending]) {
    await client.expect("421 4.4.2 Timeout");
    await client.expectClosed();
  }
  await loggedIn.say("NOOP", 250);
  await relay.clock.advance(300_000);
  await loggedIn.expect("421 4.4.2");
  expect(relay.disk.contents.size).toBe(0);
});

test("a byte now and then is no progress", async () => {
  const relay = await startReceiving();
  const anonymous = await relay.client();
  const sending = await relay.submitter();
  await sending.begin("a@example.com", "b@example.org");

  for (let minute = 0; minute < 4; minute++) {
    await relay.clock.advance(60_000);
    await anonymous.say("NOOP", 250);
    sending.raw("x");
  }
  await relay.clock.advance(60_000);
  await anonymous.expect("421 4.4.2");
  await sending.expect("421 4.4.2");

  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(0));
  expect(relay.disk.contents.size).toBe(0);
});

test("a TLS handshake that never comes ends with the session's patience", async () => {
  const relay = await startReceiving();
  const client = await relay.client();
  await client.say("EHLO client.example", 250);
  await client.say("STARTTLS", 220);

  await relay.clock.advance(300_000);
  await client.expectClosed();
  expect(relay.receiver.counts().sessions).toBe(0);
});

test("nonsense instead of a handshake ends the connection and nothing else", async () => {
  const relay = await startReceiving();
  const client = await relay.client();
  await client.say("EHLO client.example", 250);
  await client.say("STARTTLS", 220);
  client.raw("EHLO again.example\r\n".repeat(10));
  await vi.waitFor(() => expect(client.isClosed).toBe(true));

  const port = relay.receiver.ports().get("submissions") ?? 0;
  const plain = await SmtpClient.connect({ port });
  plain.raw("EHLO client.example\r\n");
  await vi.waitFor(() => expect(plain.isClosed).toBe(true));
  await sendsWell(relay);
});
