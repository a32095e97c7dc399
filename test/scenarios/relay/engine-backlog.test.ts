/**
 * More mail than the memory shall hold: the engine keeps a window of it and the rest on the disk. With a window
 * of a few messages every message of these stories goes through the backlog.
 */
import { expect, test } from "vitest";

import type { QueuedMessage } from "../../../relay/message.ts";
import type { WaitingMessage } from "../../../relay/queue/spool.ts";
import { aConfig, days, minutes, QueueDriver } from "../../support/queueDriver.ts";
import { refused, unreachable } from "../../support/scriptedDeliverer.ts";

const tiny = { limits: { inMemory: 8, transactions: 4 } };

async function deliver(story: QueueDriver, count: number): Promise<void> {
  for (let turn = 0; turn < 2000 && story.peers.delivered.length < count; turn++) await story.settle();
}

test("five hundred messages go through a window of eight, each once, and first come is first served", async () => {
  const story = await QueueDriver.open({ ...tiny, config: aConfig({ paused: true }) });
  const addresses = Array.from({ length: 500 }, (_, n) => `u${String(n).padStart(3, "0")}@inbox.test`);
  for (const to of addresses) await story.send({ to });
  expect(story.engine.report().queue).toMatchObject({ messages: 500, recipients: 500 });

  story.apply(aConfig());
  await deliver(story, 500);

  expect(story.peers.delivered.toSorted()).toEqual(addresses);
  // In turn, up to what is in memory and in flight at once.
  for (const [place, address] of story.peers.delivered.entries())
    expect(Math.abs(addresses.indexOf(address) - place)).toBeLessThanOrEqual(16);
  expect(story.engine.report().queue.messages).toBe(0);
});

test("destinations that are dead, and many, keep none of the living out of a full window", async () => {
  const story = await QueueDriver.open({ ...tiny, config: aConfig({ paused: true }) });
  for (let site = 0; site < 30; site++) {
    story.peers.on(`@dead${site}.test`, unreachable("connect", "timed out"));
    for (let n = 0; n < 10; n++) await story.send({ to: `u${n}@dead${site}.test` });
  }
  for (let n = 0; n < 5; n++) await story.send({ to: `u${n}@living.test` });

  story.apply(aConfig());
  await deliver(story, 5);

  expect(story.peers.delivered.filter((to) => to.endsWith("@living.test"))).toHaveLength(5);
  // And what the dead hold back is all there, and says why it waits.
  expect(story.engine.report().queue.messages).toBe(300);
  const listing = await story.engine.queueListing();
  expect(listing.sites.reduce((sum, { recipients }) => sum + recipients, 0)).toBe(300);
  expect(listing.sites.every(({ rule }) => ["Backoff", "Retry", "Due"].includes(rule.kind))).toBe(true);
});

test("a huge destination leaves room in the window: the next one's mail goes in turn", async () => {
  const story = await QueueDriver.open({ ...tiny, config: aConfig({ paused: true }) });
  for (let n = 0; n < 200; n++) await story.send({ to: `u${n}@huge.test` });
  for (let n = 0; n < 5; n++) await story.send({ to: `u${n}@small.test` });

  story.apply(aConfig());
  await deliver(story, 205);

  const places = story.peers.delivered.flatMap((to, place) => (to.endsWith("@small.test") ? [place] : []));
  expect(places).toHaveLength(5);
  expect(Math.max(...places)).toBeLessThan(40);
});

test("a message that waits for its next try leaves the memory, comes back for it, and explains itself meanwhile", async () => {
  const story = await QueueDriver.open({});
  story.peers.on("slow@inbox.test", refused("451 4.2.0 try later"), { times: 1 });
  const id = await story.send({ to: "slow@inbox.test" });

  expect(await story.engine.explain(id)).toMatchObject({
    recipientCount: 1,
    waiting: [{ address: "slow@inbox.test", attempts: 1, rule: { kind: "Retry" }, last: { code: 451 } }],
  });
  expect((await story.engine.message(id))?.recipients[0]).toMatchObject({ state: "waiting", attempts: 1 });
  expect(story.engine.find(id.slice(0, 12), 10)).toEqual([id]);
  const [site] = (await story.engine.queueListing()).sites;
  expect(site).toMatchObject({ recipients: 1, sample: [id], rule: { kind: "Retry" } });

  await story.clock.advance(10 * minutes);
  await deliver(story, 1);
  expect(story.peers.delivered).toEqual(["slow@inbox.test"]);
  expect(await story.engine.explain(id)).toBeNull();
});

test("what waits on the disk expires on time: in the lane of a paused relay, and behind a window that is full", async () => {
  const story = await QueueDriver.open({ ...tiny, config: aConfig({ paused: true }) });
  for (let n = 0; n < 50; n++) await story.send({ to: `u${n}@inbox.test`, expiresInMs: 2 * days });
  await story.clock.advance(2 * days - 1000);
  expect(story.engine.report().queue.messages).toBe(50);

  await story.clock.advance(2000);
  for (let turn = 0; turn < 50; turn++) await story.settle();
  const left = story.engine.report().queue.messages;
  // The notices to the sender are queued; the messages are gone.
  expect({ notices: story.notices.length, left }).toEqual({ notices: 50, left: 50 });
});

test("after a crash the whole backlog is there again, and goes through the window again", async () => {
  const story = await QueueDriver.open({ ...tiny, config: aConfig({ paused: true }) });
  for (let n = 0; n < 100; n++) await story.send({ to: `u${n}@d${n % 9}.test` });
  story.crash();
  await story.start();
  expect(story.engine.report().queue).toMatchObject({ messages: 100, recipients: 100 });

  story.apply(aConfig());
  await deliver(story, 100);
  expect(new Set(story.peers.delivered).size).toBe(100);
  expect(story.peers.delivered).toHaveLength(100);
});

test("mail of a held domain waits on the disk, holds nobody up, and goes when the domain is released", async () => {
  const config = (state: "Active" | "Held") =>
    aConfig({
      domains: [
        { domain: "example.test", state, reason: "records missing", dkim: [] },
        { domain: "other.test", state: "Active", reason: "", dkim: [] },
      ],
    });
  const story = await QueueDriver.open({ ...tiny, config: config("Held") });
  const ids: string[] = [];
  for (let n = 0; n < 40; n++) ids.push(await story.send({ to: `u${n}@inbox.test` }));
  await story.send({ to: "free@inbox.test", sendingDomain: "other.test" });
  await deliver(story, 1);

  expect(story.peers.delivered).toEqual(["free@inbox.test"]);
  for (const id of [ids[0], ids[39]]) expect(await story.why(id ?? "")).toMatchObject({ kind: "DomainHeld" });

  story.apply(config("Active"));
  await deliver(story, 41);
  expect(new Set(story.peers.delivered).size).toBe(41);
});

test("an envelope that cannot be read waits, says so, and is tried again", async () => {
  let broken = true;
  const story = await QueueDriver.open({ ...tiny, unexplained: true, config: aConfig({ paused: true }) });
  const { spool } = story;
  const load = spool.load.bind(spool);
  spool.load = async (ids) => {
    if (broken) throw new Error("input/output error (EIO)");
    return load(ids);
  };
  const ids: string[] = [];
  for (let n = 0; n < 20; n++) ids.push(await story.send({ to: `u${n}@inbox.test` }));
  story.apply(aConfig());
  for (let turn = 0; turn < 20; turn++) await story.settle();
  // Those in memory need no envelope.
  const before = story.peers.delivered.length;
  expect(before).toBeLessThan(20);
  expect(story.engine.report().queue.messages).toBe(20 - before);

  broken = false;
  expect(await story.why(ids[19] ?? "")).toMatchObject({
    text: expect.stringContaining("input/output error"),
  });
  await story.clock.advance(6 * minutes);
  await deliver(story, 20);
  expect(story.peers.delivered).toHaveLength(20);
});

test("a message that is accepted while those of a former life are taken over is queued once, in memory or not", async () => {
  let accepted: QueuedMessage[] = [];
  const story: QueueDriver = await QueueDriver.open({
    config: aConfig({ paused: true }),
    *walk(former) {
      const isNew = ({ id }: WaitingMessage) => accepted.some((message) => message.id === id);
      yield* former.filter((each) => !isNew(each));
      for (const message of accepted) story.engine.enqueue(message);
      yield* former.filter(isNew);
    },
  });
  await story.send({ to: "former@inbox.test" });
  // The one finds somebody before it in its lane, the other does not.
  const ids = [await story.send({ to: "behind@inbox.test" }), await story.send({ to: "first@other.test" })];
  const loaded = await story.spool.load(ids);
  accepted = loaded.flatMap((each) => (each === null || each instanceof Error ? [] : [each]));

  story.crash();
  await story.start();
  expect(story.engine.report().queue.messages).toBe(3);

  story.apply(aConfig());
  await deliver(story, 3);
  expect(story.peers.delivered.toSorted()).toEqual([
    "behind@inbox.test",
    "first@other.test",
    "former@inbox.test",
  ]);
  expect(story.engine.report().queue.messages).toBe(0);
});
