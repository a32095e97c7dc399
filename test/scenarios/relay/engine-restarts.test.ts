/** Stops, kill -9 and starts: what is kept, what is given back, and that no cap is ever exceeded. */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { aConfig, aSource, days, hours, minutes, QueueDriver, row } from "../../support/queueDriver.ts";
import { refused } from "../../support/scriptedDeliverer.ts";

const limited = (limit: number, name = "a") =>
  aConfig({ sources: [aSource({ name, allowance: [row("2026-11-23", limit), row("2026-11-24", limit)] })] });

test("after kill -9 every recipient that was not recorded comes back, with its attempts and due time", async () => {
  const story = await QueueDriver.open();
  story.peers.on("later@inbox.test", refused("450 4.2.0 later"));
  const id = await story.send({ to: ["now@inbox.test", "later@inbox.test"] });
  story.peers.hold();
  const flying = await story.send({ to: "flying@inbox.test" });

  story.crash();
  story.peers.release();
  await story.start();

  expect((await story.engine.explain(id))?.waiting).toMatchObject([
    { address: "later@inbox.test", attempts: 1, rule: { kind: "Retry" }, last: { code: 450 } },
  ]);
  // In flight at the kill: delivered once more, which is the bound on duplicates.
  expect(await story.engine.explain(flying)).toBeNull();
  expect(story.peers.delivered.filter((address) => address === "now@inbox.test")).toHaveLength(1);
  expect(story.peers.delivered.filter((address) => address === "flying@inbox.test")).toHaveLength(2);
});

test("a stop lets what is in flight end, starts nothing, and leaves no timer behind", async () => {
  const story = await QueueDriver.open();
  story.peers.hold();
  await story.send({ to: "flying@inbox.test" });

  const stopping = story.stop(30);
  await story.settle();
  story.peers.release();
  await story.settle();
  await stopping;

  expect(story.peers.delivered).toEqual(["flying@inbox.test"]);
  expect(story.disk.contents.size).toBe(0);
  expect(story.clock.pending).toBe(0);
});

test("a stop between a refusal and its notice sends that notice once", async () => {
  const story = await QueueDriver.open();
  story.peers.on("gone@inbox.test", refused("550 5.1.1 no such user"));
  story.peers.hold();
  await story.send({ to: "gone@inbox.test" });

  story.peers.release();
  const stopping = story.stop(30);
  await story.settle();
  await stopping;
  await story.start();
  await story.settle();

  expect(story.notices).toHaveLength(1);
  expect(story.peers.delivered).toEqual(["sender@example.test"]);
});

test("a stop breaks off what outlasts the grace and gives it back untouched", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@tarpit.test", "hang", { times: 1 });
  const id = await story.send({ to: "one@tarpit.test" });

  const stopping = story.stop(30);
  await story.clock.advance(31_000);
  await stopping;
  expect(story.clock.pending).toBe(0);

  await story.start();
  expect(story.peers.delivered).toEqual(["one@tarpit.test"]);
  expect(await story.engine.explain(id)).toBeNull();
});

test("a clean stop keeps the exact use of an allowance, kill -9 at most writes off a small lease", async () => {
  const story = await QueueDriver.open({ config: limited(100) });
  for (let sent = 0; sent < 7; sent++) await story.send({ to: `u${sent}@inbox.test` });

  await story.stop();
  await story.start();
  expect(story.used()).toEqual({ "a total 2026-11-23": 7, "a other 2026-11-23": 7 });

  await story.send({ to: "u7@inbox.test" });
  story.crash();
  await story.start();
  const used = story.used()["a total 2026-11-23"] ?? 0;
  expect(used).toBeGreaterThanOrEqual(8);
  // A twentieth of the limit.
  expect(used).toBeLessThanOrEqual(8 + 5);

  await story.stop();
  await story.start();
  expect(story.used()["a total 2026-11-23"]).toBe(used);
});

test("reputation counters survive a clean stop", async () => {
  const story = await QueueDriver.open();
  story.peers
    .on("@gone.test", refused("550 5.1.1 no such user"))
    .on("@blocked.test", refused("554 5.7.1 blocked"));
  await story.send({ to: ["one@inbox.test", "two@inbox.test"] });
  await story.send({ to: "three@gone.test", from: "" });
  await story.send({ to: "four@blocked.test", from: "" });
  const before = story.engine.report().counters;

  await story.stop();
  await story.start();

  expect(story.engine.report().counters).toEqual(before);
  expect(before).toEqual([
    { source: "a", provider: "other", day: "2026-11-23", delivered: 2, deferred: 0, bounced: 1, blocked: 1 },
  ]);
});

test("a message that expired while the relay was down bounces at the start", async () => {
  const story = await QueueDriver.open({ config: aConfig({ paused: true }) });
  await story.send({ to: "one@inbox.test" });
  await story.stop();

  await story.clock.advance(6 * days);
  await story.start();

  expect(story.notices[0]?.recipients[0]?.recipient.state).toMatchObject({
    kind: "bounced",
    reason: "Expired",
  });
  expect(story.engine.report().queue.messages).toBe(1);
  expect(story.peers.jobs).toHaveLength(0);
});

/** What happens in a life of the relay, in any order. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("send" as const), count: fc.integer({ min: 1, max: 9 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("refuse" as const), times: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("hold" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("release" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("stop" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("limit" as const), limit: fc.integer({ min: 1, max: 40 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), hours: fc.integer({ min: 1, max: 9 }) }),
  },
);

test("whatever happens, in any order, no day's deliveries exceed the largest limit of that day", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      const start = Date.parse("2026-11-23T12:00:00Z");
      const story = await QueueDriver.open({ config: limited(10) });
      const highest = new Map<string, number>([["2026-11-23", 10]]);
      let limit = 10;
      let sent = 0;
      const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10);
      const note = () =>
        highest.set(dayOf(story.clock.now()), Math.max(limit, highest.get(dayOf(story.clock.now())) ?? 0));
      for (const action of steps) {
        note();
        switch (action.kind) {
          case "send":
            await story.send({
              to: Array.from({ length: action.count }, () => `u${sent++}@inbox${sent % 3}.test`),
              from: "",
            });
            break;
          case "refuse":
            story.peers.on(".test", refused("450 4.2.0 later"), { times: action.times });
            break;
          case "hold":
            story.peers.hold();
            break;
          case "release":
            story.peers.release();
            await story.settle();
            break;
          case "crash":
            story.crash();
            story.peers.release();
            await story.start();
            break;
          case "stop": {
            const stopping = story.stop(1);
            await story.clock.advance(10_000);
            await stopping;
            story.peers.release();
            await story.start();
            break;
          }
          case "limit":
            limit = action.limit;
            note();
            story.apply(limited(limit));
            await story.settle();
            break;
          case "wait":
            for (let hour = 0; hour < action.hours; hour++) {
              note();
              await story.clock.advance(1 * hours);
              note();
            }
            break;
        }
      }
      story.peers.release();
      await story.settle();
      // Of the day a transaction started on; what was in flight at a kill was accepted by the peer as well.
      const byDay = new Map<string, number>();
      for (const { at, outcomes } of story.peers.ended) {
        const count = outcomes.filter(({ kind }) => kind === "delivered").length;
        byDay.set(dayOf(at), (byDay.get(dayOf(at)) ?? 0) + count);
      }
      for (const [day, count] of byDay)
        expect([day, count <= (highest.get(day) ?? limit)]).toEqual([day, true]);
      expect(story.clock.now()).toBeGreaterThanOrEqual(start);
      const stopping = story.stop(1);
      await story.clock.advance(1 * minutes);
      await stopping;
      expect(story.clock.pending).toBe(0);
    }),
    { numRuns: 40 },
  );
});
