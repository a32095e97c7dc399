/**
 * Receiving servers that misbehave, each in its own way, beside one that does not: the mail for them stays
 * queued, the operator's command names what happened, and nobody else's mail waits for them.
 */
import { afterAll, beforeAll, expect, test } from "vitest";

import { relayAmongPeers, type RelayAmongPeers } from "../../support/relayAmongPeers.ts";
import { smtpPeer } from "../../support/smtpPeer.ts";

let world: RelayAmongPeers;

beforeAll(async () => {
  world = await relayAmongPeers({
    peers: {
      "good.test": smtpPeer(),
      "busy.test": smtpPeer().on("CONNECT", "421 4.3.2 too busy, come later"),
      "grey.test": smtpPeer().on("RCPT", "450 4.2.0 greylisted, come later"),
      "hang.test": smtpPeer().hangAt("EHLO"),
      "drop.test": smtpPeer().dropAt("DATA"),
      "noise.test": smtpPeer().raw("CONNECT", "<html>\r\n"),
      "mind.test": smtpPeer().on("DOT", "451 4.3.0 changed my mind"),
      "half.test": smtpPeer().on("RCPT", "452 4.2.2 mailbox full", { when: /full@/ }),
    },
  });
  // A host where nobody listens.
  world.dns.set("closed.test", { MX: [[10, "mx.closed.test"]] });
  world.dns.set("mx.closed.test", { A: ["127.0.3.1"] });
  world.dns.fail("nodns.test", "*", "SERVFAIL");
});
afterAll(() => world[Symbol.asyncDispose]());

const cases = [
  { domain: "busy.test", answer: /421 4\.3\.2 .*too busy, come later/ },
  { domain: "grey.test", answer: /450 4\.2\.0 .*greylisted, come later/ },
  { domain: "drop.test", answer: /connection|closed|reset|lost/i },
  { domain: "noise.test", answer: /<html>|not SMTP|no SMTP|nonsense|reply/i },
  { domain: "mind.test", answer: /451 4\.3\.0 .*changed my mind/ },
  { domain: "closed.test", answer: /ECONNREFUSED|refused/ },
  { domain: "nodns.test", answer: /SERVFAIL|DNS/i },
];

test.for(cases)("$domain: its mail waits, and explain says what was answered", async ({ domain, answer }) => {
  const id = await world.send(`someone@${domain}`);
  await expect.poll(() => world.cli("explain", id), { timeout: 15_000 }).toMatch(/tried +\d/);

  const explained = await world.cli("explain", id);
  expect(explained).toMatch(answer);
  expect(explained).toMatch(/because .+/);
  expect(explained).toMatch(/next try \d+:\d+/);
  const shown = await world.cli("show", id);
  expect(shown).toContain(`someone@${domain}`);
  expect(shown).toContain("waiting");
  expect(shown).toMatch(answer);
});

test("a peer that hangs is told of as in flight", async () => {
  const id = await world.send("someone@hang.test");
  await world.peer("hang.test").until(() => world.peer("hang.test").sessions.length > 0);
  const explained = await world.cli("explain", id);
  expect(explained).toMatch(/in flight now/);
  expect(explained).toMatch(/being delivered to mx\.hang\.test/);
});

test("one recipient of two is refused for now: the other has the mail, once", async () => {
  const id = await world.send("fine@half.test", "full@half.test");
  await world.peer("half.test").until(() => world.peer("half.test").messages.length === 1);
  await expect.poll(() => world.cli("show", id), { timeout: 10_000 }).toMatch(/full@half\.test +waiting/);
  const shown = await world.cli("show", id);
  expect(shown).toMatch(/fine@half\.test +delivered/);
  expect(shown).toMatch(/452 4\.2\.2 .*mailbox full/);
  expect(world.peer("half.test").messages[0]?.recipients.map(({ address }) => address)).toEqual([
    "fine@half.test",
  ]);
});

test("the queue names each destination, and the good one's mail is through at once", async () => {
  const good = world.peer("good.test");
  const before = good.messages.length;
  await world.send("someone@good.test");
  await good.until(() => good.messages.length === before + 1);

  const queue = await world.cli("queue");
  for (const site of ["mx.busy.test", "mx.grey.test", "mx.hang.test", "mx.mind.test", "mx.closed.test"]) {
    expect(queue).toContain(site);
  }
  expect(queue).toMatch(/nodns\.test/);
  expect(queue).not.toContain("good.test");
});

test("no answer of a peer ended the process, and the report still has no address", async () => {
  expect(world.relay.program.child.exitCode).toBeNull();
  const report = JSON.stringify(await world.relay.report());
  expect(report).not.toContain("@");
});
