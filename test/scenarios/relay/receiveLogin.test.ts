/** Logging in, and guessing passwords: slowed, locked out, forgiven, and nobody else the worse for it. */
import { expect, test, vi } from "vitest";

import type { Receiving } from "../../support/receiving.ts";
import { startReceiving } from "../../support/receiving.ts";
import type { SmtpClient } from "../../support/smtpClient.ts";

async function secured(relay: Receiving, from?: string): Promise<SmtpClient> {
  const client = await relay.client(from === undefined ? {} : { from });
  await client.say("EHLO client.example", 250);
  await client.startTls();
  return client;
}

/** Timers that wait besides those that each session has for its own time-out. */
const delays = (relay: Receiving) => relay.clock.pending - relay.receiver.counts().sessions;

test("AUTH before TLS is refused and its password not even looked at", async () => {
  const relay = await startReceiving();
  const client = await relay.client();

  await client.say("EHLO client.example", 250);
  await client.login("app", "secret", "538 5.7.11");
  await client.say("AUTH LOGIN", "538 5.7.11");
  await client.say("MAIL FROM:<a@example.com>", "530 5.7.0 Authentication required, after STARTTLS");

  expect(relay.accepted).toEqual([]);
});

test.each([
  ["AUTH", 504],
  ["AUTH CRAM-MD5", 504],
  ["AUTH XOAUTH2 x", 504],
  ["AUTH PLAIN !!!", 501],
  ["AUTH PLAIN =", 501],
  [`AUTH PLAIN ${Buffer.from("\0app").toString("base64")}`, 501],
  [`AUTH PLAIN ${Buffer.from("all\0app\0secret").toString("base64")}`, "535 5.7.8"],
  [`AUTH PLAIN ${Buffer.from("\0app\0secret\0more").toString("base64")}`, 501],
])("%s is refused with %s", async (line, code) => {
  const relay = await startReceiving();
  const client = await secured(relay);

  await client.say(line, code);
  await client.say("MAIL FROM:<a@example.com>", "530 5.7.0");

  expect(relay.accepted).toEqual([]);
});

test("AUTH can be broken off, and begun again", async () => {
  const relay = await startReceiving();
  const client = await secured(relay);

  await client.say("AUTH LOGIN", 334);
  await client.say("*", 501);
  await client.say("AUTH PLAIN", 334);
  await client.say(Buffer.from("\0app\0secret").toString("base64"), 235);
  await client.login("app", "secret", 503);

  expect(client.isClosed).toBe(false);
});

test("wrong passwords all sound the same, and after five a session ends", async () => {
  const relay = await startReceiving();
  const client = await secured(relay);

  const replies = [
    await client.login("app", "wrong", 535),
    await client.login("nobody", "secret", 535),
    await client.login("app", "", 535),
    await client.login("nobody", "", 535),
    await client.login("APP", "secret", 535),
  ];
  expect(new Set(replies.map((reply) => reply.whole))).toEqual(
    new Set(["535 5.7.8 Authentication credentials invalid"]),
  );
  await client.expect("421 4.7.0");
  await client.expectClosed();
});

test("guesses are slowed, then locked out for a while, while another client logs in at once", async () => {
  const relay = await startReceiving();
  const first = await secured(relay);
  for (let guess = 0; guess < 5; guess++) await first.login("app", "wrong", 535);
  await first.expect("421 4.7.0");
  await first.expectClosed();

  const second = await secured(relay);
  for (const seconds of [1, 2, 4, 8, 16]) {
    const guess = second.login("app", "wrong", 535);
    await vi.waitFor(() => expect(delays(relay)).toBe(1));
    await relay.clock.advance(seconds * 1000 - 1);
    const other = await secured(relay, "127.0.0.9");
    await other.login("app", "secret", 235);
    await other.say("QUIT", 221);
    await other.expectClosed();
    expect(delays(relay)).toBe(1);
    await relay.clock.advance(1);
    await guess;
  }

  const locked = await secured(relay);
  await locked.login("app", "secret", "454 4.7.0 Too many failed logins, try again in 15 min");
  await locked.login("all", "secret", 235);
  const other = await secured(relay, "127.0.0.9");
  await other.login("app", "secret", 235);

  await relay.clock.advance(15 * 60_000);
  await (await secured(relay)).login("app", "secret", 235);
});

test("a client that goes away while its guess is held back leaves no session behind", async () => {
  const relay = await startReceiving();
  const client = await secured(relay);
  for (let guess = 0; guess < 4; guess++) await client.login("app", "wrong", 535);
  await client.say("RSET", 250);
  const again = await secured(relay);
  await again.login("app", "wrong", 535);
  again.raw(`AUTH PLAIN ${Buffer.from("\0app\0wrong").toString("base64")}\r\n`);
  await vi.waitFor(() => expect(delays(relay)).toBe(1));
  again.vanish();

  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(1));
  await relay.clock.advance(1000);
  await client.login("app", "secret", 235);
});
