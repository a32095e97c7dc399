/** Sessions that carry more than one message: when they are kept, shared, left, and found dead. */
import { afterEach, expect, test } from "vitest";

import { deliveryJob, type JobWishes } from "../../../test/support/deliveryJob.ts";
import { deliveryWorld } from "../../../test/support/deliveryWorld.ts";
import { smtpPeer } from "../../../test/support/smtpPeer.ts";

const world = deliveryWorld();
const { deliverer, started } = world;
afterEach(() => world.end());

test("messages to one site go one after another in one session, and RSET is not needed", async () => {
  const peer = await started(smtpPeer());
  const { deliverer: d } = deliverer();

  for (let turn = 0; turn < 5; turn++) await d.deliver(deliveryJob([peer]));

  expect(peer.sessions).toHaveLength(1);
  expect(peer.messages).toHaveLength(5);
  expect(d.connections("a", "site.test")).toBe(1);
  expect(peer.sessions[0]?.commands.map((command) => command.slice(0, 4))).toEqual([
    "EHLO",
    ...Array.from({ length: 5 }, () => ["MAIL", "RCPT", "DATA"]).flat(),
  ]);
});

const apart: readonly { because: string; wishes: JobWishes }[] = [
  { because: "another source", wishes: { source: { name: "b" } } },
  { because: "another address of the source", wishes: { source: { address: "127.0.0.5" } } },
  { because: "another EHLO name", wishes: { source: { ehloName: "b.mail.test" } } },
  { because: "another site", wishes: { site: "other.test" } },
  { because: "another TLS policy", wishes: { tls: { minVersion: "TLSv1.3" } } },
];

test.each(apart)("a session is not shared with $because", async ({ wishes }) => {
  const peer = await started(smtpPeer());
  const { deliverer: d } = deliverer();

  await d.deliver(deliveryJob([peer]));
  await d.deliver(deliveryJob([peer], wishes));

  expect(peer.sessions).toHaveLength(2);
});

test("messages at the same time have sessions of their own, which are counted", async () => {
  const peer = await started(smtpPeer().hangAt("DOT", { times: 2 }));
  const { clock, deliverer: d } = deliverer();

  const both = [d.deliver(deliveryJob([peer])), d.deliver(deliveryJob([peer]))];
  await peer.until(() => peer.contents.length === 2);
  expect(d.connections("a", "site.test")).toBe(2);
  expect(d.connections("a", "other.test")).toBe(0);

  await clock.advance(600_000);
  await Promise.all(both);
  expect(d.connections("a", "site.test")).toBe(0);
});

test("a session ends with QUIT after the messages it may carry: ours, the job's or the peer's limit", async () => {
  const cases = [
    { limit: { messagesPerConnection: 2 }, wishes: {}, offers: [] },
    { limit: {}, wishes: { messagesPerConnection: 2 }, offers: [] },
    { limit: {}, wishes: {}, offers: ["LIMITS RCPTMAX=9 MAILMAX=2"] },
  ];
  for (const { limit, wishes, offers } of cases) {
    const peer = await started(smtpPeer().offers("PIPELINING", ...offers));
    const { deliverer: d } = deliverer({ limits: limit });

    for (let turn = 0; turn < 5; turn++) await d.deliver(deliveryJob([peer], wishes));

    expect(peer.sessions).toHaveLength(3);
    await peer.until(() => peer.sessions.slice(0, 2).every((session) => !session.open));
    expect(peer.sessions[0]?.commands.at(-1)).toBe("QUIT");
  }
});

test("a session that waits too long, or has lived too long, says QUIT", async () => {
  const peer = await started(smtpPeer());
  const { clock, deliverer: d } = deliverer({ limits: { idleMs: 10_000, lifetimeMs: 30_000 } });

  await d.deliver(deliveryJob([peer]));
  await clock.advance(10_000);
  await peer.until(() => peer.sessions[0]?.open === false);
  expect(peer.sessions[0]?.commands.at(-1)).toBe("QUIT");

  for (let turn = 0; turn < 4; turn++) {
    await d.deliver(deliveryJob([peer]));
    await clock.advance(9_000);
  }
  await d.deliver(deliveryJob([peer]));
  expect(peer.sessions).toHaveLength(3);
});

test("a peer that never answers QUIT is left after five seconds", async () => {
  const peer = await started(smtpPeer().hangAt("QUIT"));
  const { clock, deliverer: d } = deliverer({ limits: { messagesPerConnection: 1 } });

  await d.deliver(deliveryJob([peer]));
  await peer.until(() => peer.sessions[0]?.commands.at(-1) === "QUIT");
  expect(d.connections("a", "site.test")).toBe(1);
  await clock.advance(5_000);

  expect(d.connections("a", "site.test")).toBe(0);
});

test("when too many sessions wait, the one that waits longest goes", async () => {
  const peer = await started(smtpPeer());
  const { deliverer: d } = deliverer({ limits: { mostIdle: 2 } });

  for (const site of ["one", "two", "three"]) await d.deliver(deliveryJob([peer], { site }));

  await peer.until(() => peer.sessions[0]?.open === false);
  expect(peer.sessions.map((session) => session.open)).toEqual([false, true, true]);
});

test("a session that the peer closed while it waited is opened anew, and nobody fails", async () => {
  const peer = await started(smtpPeer());
  const { deliverer: d } = deliverer();
  await d.deliver(deliveryJob([peer]));

  peer.dropAll();
  await expect.poll(() => d.connections("a", "site.test")).toBe(0);

  expect(await d.deliver(deliveryJob([peer]))).toMatchObject({
    outcomes: [{ kind: "delivered" }],
    failedAt: null,
  });
  expect(peer.sessions).toHaveLength(2);
});

test("a session that the peer ends at the moment we use it is opened anew, by reset or by 421", async () => {
  const scripts = [
    smtpPeer().dropAt("MAIL", { times: 1, when: /second/ }),
    smtpPeer().closeAt("MAIL", { times: 1, when: /second/ }),
    smtpPeer().on("MAIL", "421 4.4.2 idle too long", { times: 1, when: /second/ }),
  ];
  for (const script of scripts) {
    const peer = await started(script);
    const { deliverer: d } = deliverer();
    await d.deliver(deliveryJob([peer]));

    const second = await d.deliver(deliveryJob([peer], { envelope: { from: "second@sender.test" } }));

    expect(second).toMatchObject({ outcomes: [{ kind: "delivered" }], failedAt: null });
    expect(peer.sessions).toHaveLength(2);
  }
});

test("the same on a fresh session is a failure: only a kept one may be dead without meaning", async () => {
  const peer = await started(smtpPeer().dropAt("MAIL"));
  const { deliverer: d } = deliverer();

  expect(await d.deliver(deliveryJob([peer]))).toMatchObject({ failedAt: "mail" });
});

test("a peer that speaks while it waits is not used again", async () => {
  const peer = await started(smtpPeer());
  const { deliverer: d } = deliverer();
  await d.deliver(deliveryJob([peer]));

  peer.say("421 4.3.2 going down\r\n");
  await expect.poll(() => d.connections("a", "site.test")).toBe(0);
  await d.deliver(deliveryJob([peer]));

  expect(peer.sessions.map((session) => session.open)).toEqual([false, true]);
});

test("a session with an answer too many is not used again", async () => {
  const peer = await started(smtpPeer().raw("DOT", "250 2.0.0 ok\r\n250 2.0.0 ok again\r\n", { times: 1 }));
  const { deliverer: d } = deliverer();

  const first = await d.deliver(deliveryJob([peer]));
  await d.deliver(deliveryJob([peer]));

  expect(first.outcomes).toMatchObject([{ kind: "delivered" }]);
  expect(peer.sessions).toHaveLength(2);
});
