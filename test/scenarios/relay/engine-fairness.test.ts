/** No site, domain or customer starves the rest, however long its queue and however dead its servers. */
import { expect, test } from "vitest";

import { aConfig, hours, minutes, QueueDriver, seconds } from "../../support/queueDriver.ts";
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
  await story.send({ to: "first@tarpit.test" });
  story.peers.on("@tarpit.test", "hang");
  for (let index = 0; index < 100; index++) await story.send({ to: `u${index}@tarpit.test` });
  await story.send({ to: "one@alive.test" });
  await story.settle();

  expect(story.peers.running).toBe(10);
  expect(story.peers.delivered).toEqual(["first@tarpit.test", "one@alive.test"]);
});

test("a site that nothing has gone well with gets two connections, and all of them once something has", async () => {
  const story = await QueueDriver.open();
  story.peers.hold();
  const ids: string[] = [];
  for (let index = 0; index < 40; index++) ids.push(await story.send({ to: `u${index}@new.test` }));

  expect(story.peers.running).toBe(2);
  expect(await story.why(ids.at(-1) ?? "")).toEqual({
    kind: "ConnectionLimit",
    text: "all 2 connections of address a to site mx.new.test are in use: the first messages to a site have to go well before it gets more",
    until: null,
  });
  story.peers.release();
  story.peers.hold();
  await story.settle();
  expect(story.peers.running).toBe(10);
});

test("tarpits hold up strangers for half a minute at most, and nobody who has answered lately", async () => {
  const limits = { transactions: 10, slowTransactions: 60, slowAfterMs: 30 * seconds };
  const story = await QueueDriver.open({ limits });
  await story.send({ to: "first@known.test", credential: "other" });
  story.apply(aConfig({ paused: true }));
  for (let site = 0; site < 30; site++) {
    story.peers.on(`@pit${site}.test`, site % 2 === 0 ? "hang" : "trickle");
    for (let index = 0; index < 10; index++) await story.send({ to: `u${index}@pit${site}.test` });
  }
  story.apply(aConfig());
  await story.settle();
  const secondsTo = async (address: string, credential: string) => {
    const began = story.clock.now();
    await story.send({ to: address, credential });
    while (!story.peers.delivered.includes(address) && story.clock.now() - began < 1 * hours)
      await story.clock.advance(1 * seconds);
    return (story.clock.now() - began) / seconds;
  };

  // The dumper's own mail, another customer's, and a site that nobody has written to before.
  const known = [await secondsTo("a@known.test", "app"), await secondsTo("b@known.test", "other")];
  const stranger = await secondsTo("c@new.test", "other");
  await story.clock.advance(10 * minutes);
  const later = await secondsTo("d@newer.test", "other");

  console.info(
    `30 tarpits: a known site after ${known.join(" and ")} s (bound 0), a new one after ${stranger} s, ten minutes later ${later} s (bound 30)`,
  );
  expect(known).toEqual([0, 0]);
  expect(stranger).toBeLessThanOrEqual(30);
  expect(later).toBeLessThanOrEqual(30);
  expect(story.peers.running).toBeLessThanOrEqual(60);
});

test("while every place is taken, a message says so", async () => {
  const limits = { transactions: 4, slowTransactions: 1, slowAfterMs: 30 * seconds };
  const story = await QueueDriver.open({ limits });
  story.peers.on("@pit.test", "hang").on("@pot.test", "hang");
  for (let index = 0; index < 2; index++) {
    for (const site of ["pit", "pot"]) await story.send({ to: `u${index}@${site}.test` });
  }
  await story.clock.advance(31 * seconds);
  const id = await story.send({ to: "one@alive.test" });

  expect(await story.why(id)).toEqual({
    kind: "Due",
    text: "in turn: 1 ready for this site, 0 under way; all 2 transactions to sites that have not answered lately are in use, and 1 slow ones",
    until: null,
  });
  expect(story.peers.running).toBe(3);
});

const shapes = [
  { where: "to one site", domainOf: () => "inbox.test", to: "inbox.test" },
  { where: "to a site each", domainOf: (index: number) => `d${index}.test`, to: "d499.test" },
  { where: "to a site each", domainOf: (index: number) => `d${index}.test`, to: "new.test" },
  { where: "to forty sites", domainOf: (index: number) => `d${index % 40}.test`, to: "d39.test" },
];
test.each(shapes)(
  "a credential that dumps 500 messages $where keeps another's message to $to waiting for a few",
  async ({ where, domainOf, to }) => {
    const transactions = 4;
    const config = aConfig({ paused: true });
    const story = await QueueDriver.open({ config, limits: { transactions } });
    for (let index = 0; index < 500; index++) {
      await story.send({ to: `dump${index}@${domainOf(index)}`, credential: "dumper" });
    }
    await story.send({ to: `one@${to}`, credential: "other" });

    story.apply({ ...config, paused: false });
    while (!story.peers.delivered.includes(`one@${to}`)) await story.settle();

    // Those that may be under way when it comes, and one turn of the other credential.
    const bound = transactions + 1;
    const place = story.peers.delivered.indexOf(`one@${to}`);
    console.info(`500 messages ${where}, one to ${to}: behind ${place} of them (bound ${bound})`);
    expect(place).toBeLessThanOrEqual(bound);
  },
);

test("with many credentials, each message waits for one of every other", async () => {
  const story = await QueueDriver.open({ config: aConfig({ paused: true }), limits: { transactions: 4 } });
  for (let customer = 0; customer < 30; customer++) {
    for (let index = 0; index < 20; index++) {
      await story.send({ to: `m${customer}@d${index}.test`, credential: `customer${customer}` });
    }
  }
  await story.send({ to: "late@d3.test", credential: "late" });

  story.apply(aConfig());
  while (story.peers.delivered.length < 601) await story.settle();

  const place = story.peers.delivered.indexOf("late@d3.test");
  console.info(`30 customers with 20 each, one message of another: behind ${place} (bound ${30 + 4})`);
  expect(place).toBeLessThanOrEqual(30 + 4);
});

test("lookups take turns too: five hundred domains of one credential delay nobody else's", async () => {
  const story = await QueueDriver.open({ limits: { resolutions: 4 } });
  story.dns.hold();
  for (let index = 0; index < 500; index++) {
    await story.send({ to: `u@d${index}.test`, credential: "dumper" });
  }
  await story.send({ to: "one@living.test", credential: "other" });
  story.dns.release();
  await story.settle();

  const place = story.dns.asked.indexOf("living.test");
  console.info(`500 domains to look up, one more of another credential: behind ${place} (bound ${4 + 1})`);
  expect(place).toBeLessThanOrEqual(4 + 1);
});
