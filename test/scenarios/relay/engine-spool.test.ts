/** When the disk fails: nothing is sent twice, nothing is lost, people are told, and it goes on by itself. */
import { expect, test } from "vitest";

import { aConfig, aSource, days, minutes, QueueDriver, row, seconds } from "../../support/queueDriver.ts";
import { refused } from "../../support/scriptedDeliverer.ts";

test("while outcomes cannot be recorded nothing more is delivered; when they can, it goes on", async () => {
  const story = await QueueDriver.open();
  story.peers.hold();
  const first = await story.send({ to: "one@inbox.test" });
  const second = await story.send({ to: "two@elsewhere.test" });

  story.disk.failure = "no space left on device";
  story.peers.release();
  await story.settle();

  expect(story.peers.delivered).toEqual(["one@inbox.test", "two@elsewhere.test"]);
  expect(await story.why(first)).toMatchObject({
    kind: "SpoolFailed",
    text: expect.stringContaining("no space left on device"),
  });
  expect(story.engine.report().spool).toMatchObject({
    state: "Failed",
    reason: expect.stringContaining("no space left"),
  });

  await story.clock.advance(10 * minutes);
  expect(story.peers.jobs).toHaveLength(2);

  story.disk.failure = null;
  await story.clock.advance(1 * minutes);
  expect(await story.engine.explain(first)).toBeNull();
  expect(await story.engine.explain(second)).toBeNull();
  expect(story.peers.jobs).toHaveLength(2);
  expect(story.disk.contents.size).toBe(0);
  expect(story.engine.report().spool).toEqual({ state: "Ok", reason: "" });
});

test("units of an allowance that the disk did not promise are not spent", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 10)] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source], paused: true }) });
  const id = await story.send({ to: "one@inbox.test" });

  story.disk.failure = "read-only file system";
  story.apply(aConfig({ sources: [source] }));
  await story.settle();

  expect(story.peers.jobs).toHaveLength(0);
  expect(await story.why(id)).toMatchObject({ kind: "SpoolFailed" });
  expect(story.used()).toEqual({ "a total 2026-11-23": 0 });

  story.disk.failure = null;
  await story.clock.advance(1 * minutes);
  expect(story.peers.delivered).toEqual(["one@inbox.test"]);
  expect(story.used()["a total 2026-11-23"]).toBe(1);
});

test("on a full disk delivery goes on, and a bounce waits until its notice has room", async () => {
  const story = await QueueDriver.open();
  story.peers.on("gone@inbox.test", refused("550 5.1.1 no such user"));
  story.peers.hold();
  const id = await story.send({ to: ["gone@inbox.test", "fine@inbox.test"] });
  story.disk.full = true;
  story.peers.release();
  await story.settle();

  expect((await story.engine.message(id))?.recipients.map(({ state }) => state)).toEqual([
    "waiting",
    "delivered",
  ]);
  expect(story.peers.delivered).toEqual(["fine@inbox.test"]);
  expect((await story.why(id))?.text).toBe("refused or expired; the notice to its sender is being stored");

  story.disk.full = false;
  await story.spool.probe();
  await story.clock.advance(30 * seconds);
  expect(await story.engine.explain(id)).toBeNull();
  expect(story.peers.delivered).toEqual(["fine@inbox.test", "sender@example.test"]);
  expect(story.notices).toHaveLength(1);
});

test("a crash between a refusal and its notice loses neither", async () => {
  const story = await QueueDriver.open();
  story.peers.on("gone@inbox.test", refused("550 5.1.1 no such user"));
  story.peers.hold();
  await story.send({ to: "gone@inbox.test" });
  story.disk.full = true;
  story.peers.release();
  await story.settle();

  story.crash();
  story.disk.full = false;
  await story.start();
  await story.settle();

  expect(story.peers.delivered).toEqual(["sender@example.test"]);
  expect(story.disk.contents.size).toBe(0);
});

test("a stop with a dead disk ends in time, and the next life delivers", async () => {
  const story = await QueueDriver.open();
  story.peers.hold();
  await story.send({ to: "one@inbox.test" });
  story.disk.failure = "input/output error";
  story.peers.release();
  await story.settle();

  const stopping = story.engine.stop({ graceSeconds: 20 });
  await story.clock.advance(30 * seconds);
  await stopping;
  expect(story.clock.pending).toBe(0);
  story.crash();

  story.disk.failure = null;
  await story.start();
  // The outcome could not be written: this is the duplicate a dead disk may cost.
  expect(story.peers.delivered).toEqual(["one@inbox.test", "one@inbox.test"]);
});

test("expiry holds on a disk that failed meanwhile", async () => {
  const story = await QueueDriver.open({ config: aConfig({ paused: true }) });
  const id = await story.send({ to: "one@inbox.test", from: "" });
  story.disk.failure = "input/output error";
  await story.clock.advance(6 * days);
  expect((await story.why(id))?.kind).toBe("SpoolFailed");

  story.disk.failure = null;
  await story.clock.advance(2 * minutes);
  expect(await story.engine.explain(id)).toBeNull();
});
