/** Bytes that mean one thing to one server and another to the next: here they mean a refusal. */
import { expect, test } from "vitest";

import { startReceiving } from "../../support/receiving.ts";

const header = "From: a@example.com\r\nSubject: x\r\n\r\n";

/** Ends of data of other servers; a second message stands behind each. */
const ends: readonly [string, string][] = [
  ["\n.\n", "bare LF"],
  ["\n.\r\n", "bare LF"],
  ["\r\n.\n", "bare LF"],
  ["\r.\r", "bare CR"],
  ["\r.\r\n", "bare CR"],
  ["\r\n.\r", "bare CR"],
  ["\r\n\0.\r\n", "NUL"],
  ["\r\n.\0\r\n", "NUL"],
  ["\r\r\n.\r\r\n", "bare CR"],
];

test.each(ends)("%j ends no message, and a message with it is refused for its %s", async (end, fact) => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  client.raw(`${header}first${end}MAIL FROM:<a@example.com>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n`);
  client.raw(`${header}second\r\n.\r\n`);
  const reply = await client.expect("554 5.6.0 Line ");
  expect(reply.whole).toContain(fact);
  await client.say("NOOP", 250);

  expect(relay.accepted).toEqual([]);
  expect(relay.disk.contents.size).toBe(0);
  // The session is in step: the next message is the next message.
  await client.begin("a@example.com", "b@example.org");
  await client.say(`${header}third\r\n.`, 250);
  expect(relay.accepted).toHaveLength(1);
});

test("the end may come in pieces", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  for (const byte of `${header}..\r\n.\r\n`) {
    client.raw(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await client.expect(250);

  expect(relay.stored().slice(relay.accepted[0]?.headerBytes)).toBe(".\r\n");
});

test("a line over 998 bytes is refused with its number", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  await client.say(`${header}${"x".repeat(998)}\r\n.`, 250);
  await client.begin("a@example.com", "b@example.org");
  await client.say(
    `${header}${"x".repeat(999)}\r\n.`,
    "554 5.6.0 Line 4 of the message is longer than 998 bytes",
  );

  expect(relay.accepted).toHaveLength(1);
});

test.each([
  ["NOOP\n", "a bare LF"],
  ["\n", "a bare LF and nothing else"],
  ["NOOP\r\nNOOP\nRSET\r\n", "one bare LF among good lines"],
  ["NO\rOP\r\n", "a bare CR"],
  ["NOOP\r\r\n", "a CR too many"],
  ["NO\0OP\r\n", "a NUL"],
])("%j as a command is answered with 500 and the end: %s", async (bytes) => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  client.raw(bytes);
  let reply = await client.reply();
  while (reply.code === 250) reply = await client.reply();
  expect(reply.whole).toMatch(/^500 5\.5\.2 /);
  await client.expectClosed();
});

test("commands behind STARTTLS in the clear are thrown away, not run inside TLS", async () => {
  const relay = await startReceiving();
  const client = await relay.client();
  await client.say("EHLO client.example", 250);

  client.raw(
    "STARTTLS\r\nEHLO injected.example\r\nAUTH PLAIN AGFwcABzZWNyZXQ=\r\nMAIL FROM:<a@example.com>\r\n",
  );
  await client.expect(220);
  await client.handshake();

  // RFC 3207 §4.2: nothing of before is known, not even the EHLO.
  await client.say("MAIL FROM:<a@example.com>", "503");
  await client.say("EHLO client.example", 250);
  await client.say("MAIL FROM:<a@example.com>", "530 5.7.0");

  expect(relay.accepted).toEqual([]);
});

test("a transaction of the clear does not survive STARTTLS", async () => {
  const relay = await startReceiving();
  const client = await relay.client({ listener: "internal", from: "127.0.0.2" });
  await client.say("EHLO client.example", 250);
  await client.say("MAIL FROM:<a@example.com>", 250);
  await client.say("RCPT TO:<b@example.org>", 250);

  await client.startTls();
  await client.say("DATA", "503 5.5.1");

  expect(relay.accepted).toEqual([]);
});

test("content sent before 354 ends the session, and none of it runs as commands", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();
  await client.say("MAIL FROM:<a@example.com>", 250);

  client.raw("DATA\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n");
  await client.expect("554 5.5.0");
  await client.expectClosed();

  expect(relay.accepted).toEqual([]);
});

test("a browser that was sent here is hung up on", async () => {
  const relay = await startReceiving();
  const client = await relay.client();

  client.raw("POST / HTTP/1.1\r\nHost: mail\r\n\r\nMAIL FROM:<a@example.com>\r\n");
  await client.expect(421);
  await client.expectClosed();

  expect(relay.accepted).toEqual([]);
});
