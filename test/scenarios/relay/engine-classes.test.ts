/** Queue classes in the queue: who goes first, who is never left out, and what each class's mail is told. */
import { expect, test } from "vitest";

import { MOST_TURNS_BEFORE_LOW } from "../../../relay/queue/shares.ts";
import { aConfig, hours, minutes, QueueDriver, seconds } from "../../support/queueDriver.ts";
import { refused } from "../../support/scriptedDeliverer.ts";

const { queue } = aConfig();
const withClasses = {
  queue: {
    ...queue,
    classes: [
      { name: "transactional", priority: "High", retry: { firstDelaySeconds: 60, longestDelaySeconds: 600 } },
      { name: "bulk", priority: "Low" },
    ],
  },
} satisfies Parameters<typeof aConfig>[0];

/** Holds delivery until everything of a story is queued, then lets it go and waits for the last. */
async function deliverAll(story: QueueDriver, count: number): Promise<readonly string[]> {
  story.apply(aConfig(withClasses));
  while (story.peers.delivered.length < count) await story.settle();
  return story.peers.delivered;
}
const placesOf = (delivered: readonly string[], prefix: string) =>
  delivered.flatMap((address, place) => (address.startsWith(prefix) ? [place] : []));

test("transactional mail overtakes a mailing to the same site", async () => {
  const story = await QueueDriver.open({
    config: aConfig({ ...withClasses, paused: true }),
    limits: { transactions: 2 },
  });
  for (let index = 0; index < 200; index++) {
    await story.send({ to: `bulk${index}@inbox.test`, queueClass: "bulk" });
  }
  for (let index = 0; index < 5; index++) {
    await story.send({ to: `code${index}@inbox.test`, queueClass: "transactional" });
  }

  const delivered = await deliverAll(story, 205);

  // All of them among the first ten, behind two hundred that came first.
  expect(Math.max(...placesOf(delivered, "code"))).toBeLessThan(10);
});

test("it overtakes mailings to other sites as well, where transactions are short", async () => {
  const story = await QueueDriver.open({
    config: aConfig({ ...withClasses, paused: true }),
    limits: { transactions: 2 },
  });
  for (let index = 0; index < 200; index++) {
    await story.send({ to: `bulk@d${index}.test`, queueClass: "bulk" });
  }
  for (let index = 0; index < 5; index++) {
    await story.send({ to: `code@e${index}.test`, queueClass: "transactional" });
  }

  const delivered = await deliverAll(story, 205);

  expect(Math.max(...placesOf(delivered, "code"))).toBeLessThan(10);
});

test.each(["the same site", "sites of its own"])(
  "under endless transactional mail, bulk to %s goes within the bound",
  async (where) => {
    const story = await QueueDriver.open({
      config: aConfig({ ...withClasses, paused: true }),
      limits: { transactions: 1 },
    });
    for (let index = 0; index < 300; index++) {
      await story.send({ to: `code${index}@inbox.test`, queueClass: "transactional" });
      if (index < 100) await story.send({ to: `plain${index}@inbox.test` });
    }
    for (let index = 0; index < 5; index++) {
      const domain = where === "the same site" ? "inbox.test" : `bulk${index}.test`;
      await story.send({ to: `bulk${index}@${domain}`, queueClass: "bulk" });
    }

    const places = placesOf(await deliverAll(story, 405), "bulk");

    const gaps = places.map((place, index) => place - (places[index - 1] ?? -1) - 1);
    console.info(
      `bulk to ${where}: at most ${Math.max(...gaps)} others between two (bound ${MOST_TURNS_BEFORE_LOW})`,
    );
    expect(Math.max(...gaps)).toBeLessThanOrEqual(MOST_TURNS_BEFORE_LOW);
    expect(Math.max(...gaps)).toBeGreaterThanOrEqual(16);
  },
);

test("each class has its own retries", async () => {
  const story = await QueueDriver.open({ config: aConfig(withClasses) });
  story.peers.on("@inbox.test", refused("450 4.2.0 later"));
  await story.send({ to: "code@inbox.test", queueClass: "transactional" });
  await story.send({ to: "plain@inbox.test" });
  await story.clock.advance(1 * hours);

  const timesOf = (address: string) =>
    story.peers.jobs.filter(({ recipients }) => recipients.includes(address)).map(({ at }) => at);
  const gapsOf = (address: string) => {
    const times = timesOf(address);
    return times.slice(1).map((at, index) => (at - (times[index] ?? 0)) / seconds);
  };
  // 60, 120, 240, 480, then every 600 seconds; and 300, 600, 1200; each within 15 %.
  expect(gapsOf("code@inbox.test").slice(0, 3)).toEqual([
    expect.closeTo(60, -1.3),
    expect.closeTo(120, -1.6),
    expect.closeTo(240, -1.9),
  ]);
  expect(Math.max(...gapsOf("code@inbox.test"))).toBeLessThanOrEqual(600 * 1.15);
  expect(gapsOf("plain@inbox.test")[0]).toBeGreaterThanOrEqual(300 * 0.85);
});

test("a changed priority holds for what is ready already, and a class that is gone is default", async () => {
  const held = aConfig({ ...withClasses, paused: true });
  const story = await QueueDriver.open({ config: held, limits: { transactions: 1 } });
  for (let index = 0; index < 50; index++) {
    await story.send({ to: `bulk${index}@inbox.test`, queueClass: "bulk" });
    await story.send({ to: `plain${index}@inbox.test`, credential: "other" });
  }
  story.peers.hold();
  story.apply({ ...held, paused: false });
  await story.settle();

  story.apply(aConfig());
  story.peers.release();
  while (story.peers.delivered.length < 100) await story.settle();

  // Of one priority now: the two credentials take turns.
  const places = placesOf(story.peers.delivered.slice(2), "bulk");
  expect(places.length).toBeGreaterThan(45);
  expect(Math.max(...places.slice(0, 40).map((place, index) => place - 2 * index))).toBeLessThan(4);
});

test("what waits is listed and explained with its class", async () => {
  const story = await QueueDriver.open({ config: aConfig(withClasses) });
  story.peers.on("@inbox.test", refused("450 4.2.0 later"));
  const bulk = await story.send({ to: "one@inbox.test", queueClass: "bulk" });
  await story.send({ to: "two@inbox.test", queueClass: "transactional" });
  const gone = await story.send({ to: "three@inbox.test", queueClass: "gone" });

  expect(await story.engine.explain(bulk)).toMatchObject({ queueClass: "bulk", priority: "Low" });
  expect(await story.engine.explain(gone)).toMatchObject({ queueClass: "gone", priority: "Normal" });
  expect((await story.engine.message(bulk))?.queueClass).toBe("bulk");
  const { sites } = await story.engine.queueListing();
  expect(sites.map(({ site, queueClass, recipients }) => [site, queueClass, recipients])).toEqual([
    ["mx.inbox.test", "transactional", 1],
    ["mx.inbox.test", "gone", 1],
    ["mx.inbox.test", "bulk", 1],
  ]);
  await story.clock.advance(1 * minutes);
  expect(new Set(story.engine.report().queue.classes)).toEqual(
    new Set([
      { queueClass: "transactional", recipients: 1, oldestSeconds: 60 },
      { queueClass: "bulk", recipients: 1, oldestSeconds: 60 },
      { queueClass: "other", recipients: 1, oldestSeconds: 60 },
    ]),
  );
});
