/** Peers that refuse, hang, drop, talk nonsense and change their mind: what we say of each, and what it costs. */
import { Readable } from "node:stream";

import { afterEach, expect, test } from "vitest";

import { deliveryJob } from "../../../test/support/deliveryJob.ts";
import { deliveryWorld, refusal } from "../../../test/support/deliveryWorld.ts";
import { type PeerStep, smtpPeer } from "../../../test/support/smtpPeer.ts";
import { testAuthority } from "../../../test/support/testCertificate.ts";

const world = deliveryWorld();
const { attempt, deliverer, site, started } = world;
afterEach(() => world.end());

/** 16 MiB: more than the system's buffers take on behalf of a peer that does not read. */
const largeBlocks = () => Array.from({ length: 256 }, () => Buffer.alloc(65_536, "line of text\r\n"));
const large = () => Readable.from(largeBlocks());
/** Content comes from the store as a stream, or is in memory. */
const ways = [
  { way: "streamed", content: { content: large } },
  { way: "at hand", content: { contentAtHand: largeBlocks } },
];

test("nobody listens: the reason names host, address and fact, and no host was spoken to", async () => {
  const peer = await started(smtpPeer());
  const { port } = peer;
  await peer.stop();
  const { deliverer: d } = deliverer();

  expect(await d.deliver(deliveryJob([{ host: "127.0.0.1", port }]))).toMatchObject({
    outcomes: [
      { kind: "unreachable", stage: "connect", reason: "mx1.test (127.0.0.1) refused the connection" },
    ],
    host: null,
    failedAt: "connect",
  });
});

test("a source address this machine does not have speaks of us, not of the site", async () => {
  const { result } = await attempt(smtpPeer(), { source: { address: "192.0.2.1" } });

  expect(result).toMatchObject({
    outcomes: [{ stage: "connect", reason: "no connection can be made from 192.0.2.1: EADDRNOTAVAIL" }],
    failedAt: null,
    unbound: "no connection can be made from 192.0.2.1: EADDRNOTAVAIL",
  });
});

test.each([
  ["CONNECT", "greeting", 300],
  ["EHLO", "ehlo", 300],
  ["MAIL", "mail", 300],
  ["RCPT", "rcpt", 300],
  ["DATA", "data", 120],
  ["DOT", "content", 600],
] as const)(
  "a peer that hangs at %s is given the time of RFC 5321 and no more",
  async (step, stage, seconds) => {
    // Without PIPELINING, so that a step is reached only when the one before was answered.
    const peer = await started(smtpPeer().offers("HELP").hangAt(step));
    const { clock, deliverer: d } = deliverer();
    const reached = { CONNECT: 0, EHLO: 1, MAIL: 2, RCPT: 3, DATA: 4, DOT: 4 }[step];

    const delivering = d.deliver(deliveryJob([peer]));
    await peer.until(
      () => peer.sessions[0]?.commands.length === reached && (step !== "DOT" || peer.contents.length > 0),
    );
    await clock.advance(seconds * 1000 - 1);
    expect(d.connections("a", "site.test")).toBe(1);
    await clock.advance(1);

    expect(await delivering).toMatchObject({
      outcomes: [
        { kind: "unreachable", stage, reason: `mx1.test (127.0.0.1) did not answer within ${seconds} s` },
      ],
      failedAt: stage,
    });
    expect(d.connections("a", "site.test")).toBe(0);
  },
);

test.each(ways)(
  "a peer that takes no more content is given three minutes a block ($way)",
  async ({ content }) => {
    const peer = await started(smtpPeer().hangAt("CONTENT"));
    const { clock, deliverer: d } = deliverer();
    let pulses = 0;

    const delivering = d.deliver(deliveryJob([peer], { ...content, progress: () => void pulses++ }));
    // Blocks leave until every buffer on the way is full.
    let before = -1;
    await expect
      .poll(
        () => {
          const still = pulses > 5 && pulses === before;
          before = pulses;
          return still;
        },
        { interval: 100, timeout: 10_000 },
      )
      .toBe(true);
    await clock.advance(180_000);

    expect(await delivering).toMatchObject({
      outcomes: [
        { kind: "unreachable", stage: "content", reason: expect.stringContaining("took no data for 180 s") },
      ],
      failedAt: "content",
    });
  },
);

test("a peer that hangs in the TLS handshake does not keep us", async () => {
  const peer = await started(smtpPeer().tls(testAuthority().issue("mx1.test")).hangAt("TLS"));
  const { clock, deliverer: d } = deliverer();

  const delivering = d.deliver(deliveryJob([peer], { tls: { mode: "Required" } }));
  await peer.until(() => peer.sessions[0]?.commands.includes("STARTTLS") === true);
  await clock.advance(60_000);

  expect(await delivering).toMatchObject({
    outcomes: [
      { stage: "starttls", reason: expect.stringContaining("did not finish the TLS handshake within 60 s") },
    ],
  });
});

const drops: readonly (readonly [PeerStep, string])[] = [
  ["CONNECT", "greeting"],
  ["EHLO", "ehlo"],
  ["MAIL", "mail"],
  ["RCPT", "rcpt"],
  ["DATA", "data"],
  ["CONTENT", "content"],
  ["DOT", "content"],
];

// A reset before the greeting may be seen as a refused connection: the system decides.
test.each(drops.slice(1))(
  "a peer that resets the connection at %s leaves the recipient waiting, stage %s",
  async (step, stage) => {
    const { result } = await attempt(smtpPeer().offers("HELP").dropAt(step));

    expect(result).toMatchObject({ outcomes: [{ kind: "unreachable", stage }], failedAt: stage });
  },
);

test.each(drops)("a peer that closes at %s leaves the recipient waiting, stage %s", async (step, stage) => {
  const { result } = await attempt(smtpPeer().offers("HELP").closeAt(step));

  expect(result).toMatchObject({ outcomes: [{ kind: "unreachable", stage }], failedAt: stage });
});

test("what was answered before the connection broke stays answered", async () => {
  const script = smtpPeer()
    .offers("HELP")
    .on("RCPT", "550 5.1.1 no such user", { when: /gone@/ })
    .dropAt("RCPT", { when: /third@/ });

  const { result } = await attempt(script, { to: ["gone@inbox.test", "ok@inbox.test", "third@inbox.test"] });

  expect(result).toMatchObject({
    outcomes: [
      refusal("rcpt", 550, "5.1.1"),
      { kind: "unreachable", stage: "rcpt" },
      { kind: "unreachable", stage: "rcpt" },
    ],
    failedAt: "rcpt",
  });
});

test.each([
  ["CONNECT", "greeting"],
  ["EHLO", "ehlo"],
  ["MAIL", "mail"],
  ["DOT", "content"],
] as const)("421 at %s ends the session and answers for everyone still open", async (step, stage) => {
  const { peer, result } = await attempt(smtpPeer().offers("HELP").on(step, "421 4.7.0 try later"), {
    to: ["a@inbox.test", "b@inbox.test"],
  });

  expect(result).toMatchObject({
    outcomes: [refusal(stage, 421, "4.7.0"), refusal(stage, 421, "4.7.0")],
    failedAt: stage,
  });
  expect(peer.sessions).toHaveLength(1);
  await peer.until(() => peer.sessions[0]?.open === false);
});

test("421 at the second recipient leaves the first one's refusal alone", async () => {
  const script = smtpPeer()
    .on("RCPT", "550 5.1.1 no", { when: /gone@/ })
    .on("RCPT", "421 4.3.2 shutting down", { when: /b@/ });

  const { result } = await attempt(script, { to: ["ok@inbox.test", "gone@inbox.test", "b@inbox.test"] });

  expect(result.outcomes).toMatchObject([
    refusal("rcpt", 421, "4.3.2"),
    refusal("rcpt", 550, "5.1.1"),
    refusal("rcpt", 421, "4.3.2"),
  ]);
});

test.each([
  [
    "another protocol",
    "HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n",
    /no SMTP reply: "HTTP\/1.1 400 Bad Request"/,
  ],
  ["bytes without meaning", Buffer.from([0, 1, 2, 255, 254, 10]), /no SMTP reply/],
  ["a code of no class", "999 hm\r\n", /no SMTP reply: "999 hm"/],
  ["a reply without end, in lines", "220-again\r\n".repeat(1000), /more than 100 lines/],
  ["a line without end", `220 ${"x".repeat(200_000)}`, /more than 65536 bytes/],
  ["long lines without end", `220-${"x".repeat(2000)}\r\n`.repeat(100), /more than 65536 bytes/],
  ["two greetings", "220 one\r\n220 two\r\n", /spoke unasked: 220 two/],
] as const)(
  "nonsense for a greeting (%s) is a broken session with a bounded reason",
  async (_what, bytes, reason) => {
    const { peer, result } = await attempt(smtpPeer().raw("CONNECT", bytes));

    expect(result.failedAt).toMatch(/greeting|ehlo/);
    expect(result.outcomes).toMatchObject([{ kind: "unreachable", reason: expect.stringMatching(reason) }]);
    expect(JSON.stringify(result).length).toBeLessThan(2000);
    await peer.until(() => peer.sessions[0]?.open === false);
  },
);

test.each([
  ["MAIL", "354 what", "mail"],
  ["RCPT", "354 what", "rcpt"],
  ["DATA", "250 what", "data"],
  ["DOT", "354 what", "content"],
] as const)("an answer that has no meaning at %s (%s) is not guessed at", async (step, reply, stage) => {
  const { result } = await attempt(smtpPeer().offers("HELP").on(step, reply));

  expect(result).toMatchObject({
    outcomes: [{ kind: "unreachable", stage, reason: expect.stringContaining("has no meaning here") }],
    failedAt: stage,
  });
});

test.each(ways)(
  "a peer that changes its mind in the middle of the content is believed ($way)",
  async ({ content }) => {
    const { peer, result } = await attempt(smtpPeer().on("CONTENT", "552 5.3.4 too much after all"), content);

    expect(result.outcomes).toMatchObject([refusal("content", 552, "5.3.4")]);
    await peer.until(() => peer.sessions[0]?.open === false);
    expect(peer.contents).toEqual([]);
  },
);

test.each(ways)(
  "a peer that says yes before the end of the content is not believed ($way)",
  async ({ content }) => {
    const { peer, result } = await attempt(smtpPeer().on("CONTENT", "250 2.0.0 fine"), content);

    expect(result).toMatchObject({
      outcomes: [{ kind: "unreachable", stage: "content" }],
      failedAt: "content",
    });
    expect(peer.messages).toEqual([]);
  },
);

test("a greeting that refuses gives way to the next host; where there is none it is reported and nothing sent", async () => {
  const [first, second] = await site(smtpPeer().on("CONNECT", "554 5.7.1 not you"), smtpPeer());
  const { deliverer: d } = deliverer();

  const both = await d.deliver(deliveryJob([first, second]));
  const alone = await d.deliver(deliveryJob([first], { site: "other.test" }));

  expect(both).toMatchObject({
    host: "mx2.test",
    address: "127.0.0.2",
    outcomes: [{ kind: "delivered" }],
    failedAt: null,
  });
  expect(alone).toMatchObject({ outcomes: [refusal("greeting", 554, "5.7.1")], failedAt: "greeting" });
  expect(first.sessions[0]?.commands).toEqual([]);
});

test("hosts that cannot be reached are passed over, and all are named when none can", async () => {
  const [peer] = await site(smtpPeer());
  const { port } = peer;
  const dead = ["127.0.0.2", "127.0.0.3"].map((host) => ({ host, port }));
  const { deliverer: d } = deliverer();

  const reached = await d.deliver(deliveryJob([...dead, peer]));
  const none = await d.deliver(deliveryJob(dead, { site: "other.test" }));

  expect(reached).toMatchObject({ host: "mx3.test", outcomes: [{ kind: "delivered" }] });
  expect(none.outcomes).toMatchObject([
    { reason: "mx1.test (127.0.0.2) refused the connection; mx2.test (127.0.0.3) refused the connection" },
  ]);
});

test("at most five addresses are tried, and not all of one host while there are others", async () => {
  const [peer] = await site(smtpPeer());
  const { port } = peer;
  const { deliverer: d } = deliverer();
  const job = deliveryJob([{ host: "127.0.0.9", port }]);
  const dead = Array.from({ length: 9 }, (_, index) => `127.0.1.${index + 1}`);

  const oneHost = await d.deliver({ ...job, hosts: [{ name: "many.test", preference: 0, addresses: dead }] });
  const twoHosts = await d.deliver({
    ...job,
    hosts: [
      { name: "many.test", preference: 0, addresses: dead },
      { name: "good.test", preference: 10, addresses: [peer.host] },
    ],
  });

  expect(JSON.stringify(oneHost.outcomes).match(/many\.test/g)).toHaveLength(5);
  expect(twoHosts).toMatchObject({ host: "good.test", outcomes: [{ kind: "delivered" }] });
});

test("an answer to MAIL or RCPT is the site's: its other hosts are not asked", async () => {
  for (const step of ["MAIL", "RCPT"] as const) {
    for (const reply of ["451 4.7.1 greylisted", "550 5.7.1 no", "421 4.7.28 too fast"]) {
      const [first, second] = await site(smtpPeer().on(step, reply), smtpPeer());
      const { deliverer: d } = deliverer();

      const result = await d.deliver(deliveryJob([first, second]));

      expect(result).toMatchObject({
        host: "mx1.test",
        outcomes: [{ kind: "replied", stage: step.toLowerCase() }],
      });
      expect(second.sessions).toEqual([]);
      await world.end();
    }
  }
});

test("a session lost before the content is taken up by the next host, once; one lost later is not", async () => {
  const [envelope, next, third] = await site(
    smtpPeer().dropAt("RCPT"),
    smtpPeer().dropAt("MAIL"),
    smtpPeer(),
  );
  const { deliverer: d } = deliverer();
  const twice = await d.deliver(deliveryJob([envelope, next, third]));
  expect(twice).toMatchObject({ outcomes: [{ kind: "unreachable", stage: "mail" }], failedAt: "mail" });
  expect(third.sessions).toEqual([]);

  await world.end();
  const [content, spare] = await site(smtpPeer().dropAt("DOT"), smtpPeer());
  const other = deliverer().deliverer;
  const unknown = await other.deliver(deliveryJob([content, spare]));
  expect(unknown).toMatchObject({
    outcomes: [{ kind: "unreachable", stage: "content" }],
    failedAt: "content",
  });
  expect(spare.sessions).toEqual([]);
});

test("a host that has no address of the source's family cannot be used, and that is no fault of the site", async () => {
  const { deliverer: d } = deliverer();
  const job = deliveryJob([], { source: { address: "127.0.0.1" } });

  const result = await d.deliver({
    ...job,
    hosts: [{ name: "six.test", preference: 0, addresses: ["::1"] }],
  });

  expect(result).toMatchObject({
    outcomes: [
      { kind: "unroutable", permanent: false, enhanced: "4.4.4", reason: expect.stringContaining("IPv4") },
    ],
    host: null,
    failedAt: null,
  });
});
