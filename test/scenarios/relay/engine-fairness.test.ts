/** No site, domain or customer starves the rest, however long its queue and however dead its servers. */
import { expect, test } from "vitest";

import { aConfig, QueueDriver } from "../../support/queueDriver.ts";
import { refused, unreachable } from "../../support/scriptedDeliverer.ts";

const twoDomains = aConfig({
  paused: true,
  domains: [
    { domain: "example.test", state: "Active", reason: "", dkim: [] },
    { domain: "small.test", state: "Active", reason: "", dkim: [] },
  ],
});

test("a huge site does not keep a small one waiting: sites take turns", async () => {
  const story = await QueueDriver.open({ config: aConfig({ paused: true }), limits: { transactions: 4 } });
  for (let index = 0; index < 300; index++) await story.send({ to: `u${index}@huge.test` });
  for (let index = 0; index < 5; index++) await story.send({ to: `u${index}@small.test` });

  story.apply(aConfig());
  await story.settle();
  while (story.peers.delivered.length < 305) await story.settle();

  const places = story.peers.delivered.flatMap((address, place) =>
    address.endsWith("@small.test") ? [place] : [],
  );
  // In turns the fifth small one comes about tenth; the cap of four may shift it a little.
  expect(Math.max(...places)).toBeLessThan(20);
});

test("within a site, customers take turns: one mailing does not hold the others' mail", async () => {
  const story = await QueueDriver.open({ config: twoDomains, limits: { transactions: 2 } });
  for (let index = 0; index < 300; index++) await story.send({ to: `u${index}@inbox.test` });
  for (let index = 0; index < 5; index++) {
    await story.send({ to: `small${index}@inbox.test`, sendingDomain: "small.test" });
  }

  story.apply({ ...twoDomains, paused: false });
  while (story.peers.delivered.length < 305) await story.settle();

  const places = story.peers.delivered.flatMap((address, place) =>
    address.startsWith("small") ? [place] : [],
  );
  expect(Math.max(...places)).toBeLessThan(20);
});

test("dead and deferring sites do not hold the living", async () => {
  const story = await QueueDriver.open({ config: aConfig({ paused: true }), limits: { transactions: 10 } });
  for (let site = 0; site < 40; site++) {
    story.peers.on(`@dead${site}.test`, unreachable("connect", "timed out"));
    story.peers.on(`@grey${site}.test`, refused("450 4.2.0 later"));
    for (let index = 0; index < 10; index++) {
      await story.send({ to: [`u${index}@dead${site}.test`, `u${index}@grey${site}.test`] });
    }
  }
  for (let index = 0; index < 50; index++) await story.send({ to: `u${index}@alive.test` });

  story.apply(aConfig());
  for (let turn = 0; turn < 100; turn++) await story.settle();

  expect(story.peers.delivered).toHaveLength(50);
  // Each dead site was knocked at a few times, not once for each of its messages.
  const knocks = story.peers.jobs.filter(({ site }) => site.startsWith("mx.dead")).length;
  expect(knocks).toBeLessThanOrEqual(40 * 2);
});

test("a held connection of one site leaves the cap to the others", async () => {
  const story = await QueueDriver.open({ limits: { transactions: 12 } });
  story.peers.on("@tarpit.test", "hang");
  for (let index = 0; index < 100; index++) await story.send({ to: `u${index}@tarpit.test` });
  await story.send({ to: "one@alive.test" });
  await story.settle();

  expect(story.peers.running).toBe(10);
  expect(story.peers.delivered).toEqual(["one@alive.test"]);
});
