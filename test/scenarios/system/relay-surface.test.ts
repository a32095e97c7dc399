/**
 * What the relay shows of itself: metrics that parse and name nobody, a report without addresses, a pod
 * that drains, and one large message that passes through without being held in memory.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { relayAmongPeers, SENDER } from "../../support/relayAmongPeers.ts";
import { seededRandom } from "../../support/seededRandom.ts";
import { smtpPeer } from "../../support/smtpPeer.ts";

test("metrics parse, and neither they nor the report name a mail address or a recipient domain", async () => {
  await using world = await relayAmongPeers({
    peers: {
      "good.test": smtpPeer(),
      "grey.test": smtpPeer().on("RCPT", "450 4.2.0 <someone@grey.test> is greylisted at grey.test"),
      "bad.test": smtpPeer().on("RCPT", "550 5.1.1 <someone@bad.test> is unknown at bad.test"),
      "busy.test": smtpPeer().on("CONNECT", "421 4.7.0 busy.test is busy, mail to postmaster@busy.test"),
    },
  });
  for (const domain of ["good", "grey", "bad", "busy"]) await world.send(`someone@${domain}.test`);
  const report = await world.relay.until(
    ({ counters }) =>
      counters.reduce((sum, each) => sum + each.delivered + each.deferred + each.bounced + each.blocked, 0) >=
      4,
  );

  const { text } = await world.relay.status("/metrics");
  const label = String.raw`[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"`;
  const sample = new RegExp(
    String.raw`^[a-zA-Z_:][\w:]*(?:\{${label}(?:,${label})*,?\})? (?:[-+]?[\d.eE+-]+|NaN|[+-]Inf)$`,
  );
  const lines = text.split("\n").filter((line) => line !== "" && !/^# (?:HELP|TYPE) \S+ /.test(line));
  expect(lines.filter((line) => !sample.test(line))).toEqual([]);
  expect(text).toMatch(/^smtp_relay_outcomes_total\{.*result="delivered".*\} 1$/m);
  for (const shown of [text, JSON.stringify(report)]) {
    expect(shown).not.toContain("@");
    expect(shown).not.toMatch(/\b(?:good|grey|bad|busy)\.test/);
  }
});

test("a draining pod is not ready, turns new clients away with 421, and delivers what it has", async () => {
  await using world = await relayAmongPeers({
    peers: { "inbox.test": smtpPeer() },
    config: { paused: true },
  });
  const open = await world.client();
  for (let n = 0; n < 3; n++) await world.send(`n${n}@inbox.test`);
  expect(await world.relay.status("/readyz")).toMatchObject({ code: 200 });

  const draining = world.config().pods.map((pod) => ({ ...pod, state: "Draining" as const }));
  await world.apply({ revision: "drain", pods: draining, paused: false });
  expect(await world.relay.status("/readyz")).toMatchObject({
    code: 503,
    text: expect.stringContaining("draining"),
  });
  await expect(world.client()).rejects.toThrow(/421 4\.3\.2/);
  await open.say(`MAIL FROM:<${SENDER}>`, "421 4.3.2");
  await open.expectClosed();
  const drained = await world.relay.until(({ queue }) => queue.messages === 0);
  expect(world.peer("inbox.test").messages).toHaveLength(3);
  expect(drained).toMatchObject({ ready: false, queue: { recipients: 0 } });

  await world.apply({ revision: "back" });
  expect(await world.relay.status("/readyz")).toMatchObject({ code: 200 });
  await (await world.client()).say("NOOP", 250);
});

test("four messages of 30 MB at once arrive byte for byte, and the process hardly grows", async () => {
  await using world = await relayAmongPeers({
    peers: { "inbox.test": smtpPeer() },
    config: { limits: { ...relayLimits, messageSizeBytes: 40_000_000 } },
  });
  const body = largeBody(30_000_000);
  const peakKib = () =>
    Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${world.relay.pid}/status`, "utf8"))?.[1]);
  await world.send("warm@inbox.test");
  const before = peakKib();

  const peer = world.peer("inbox.test");
  await Promise.all(
    ["one", "two", "three", "four"].map(async (name) => {
      const session = await world.client();
      await session.begin(SENDER, `${name}@inbox.test`);
      session.raw(`From: ${SENDER}\r\nSubject: large\r\n\r\n`);
      session.raw(body);
      session.raw(".\r\n");
      await session.expect(250);
    }),
  );
  await peer.until(() => peer.messages.length === 5);
  const grownMib = (peakKib() - before) / 1024;

  const large = peer.messages.filter(({ content }) => content.length > body.length);
  expect(large).toHaveLength(4);
  for (const { content } of large) {
    const received = content.subarray(content.indexOf("\r\n\r\n") + 4);
    expect(received.length).toBe(body.length);
    expect(digest(received)).toBe(digest(body));
  }
  expect(grownMib).toBeLessThan(120);
}, 60_000);

const relayLimits = { recipientsPerMessage: 1000, sessions: 5000, sessionsPerClient: 5000 };

/** Lines of 76 characters of base64: none begins with a dot, so that the wire form is the content. */
function largeBody(bytes: number): Buffer {
  const { draw } = seededRandom(7);
  const lines = Array.from({ length: 1000 }, () =>
    Buffer.from(Array.from({ length: 57 }, () => Math.floor(draw() * 256))).toString("base64"),
  );
  return Buffer.from(`${lines.join("\r\n")}\r\n`.repeat(Math.ceil(bytes / 78_000)));
}

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
