import { expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { WorkQueue } from "./workQueue.ts";

/** A queue whose work ends when the test says so. */
function manual(concurrency = 1, lowWaits: () => boolean = () => false) {
  const clock = new FakeClock();
  const begun: string[] = [];
  const open = new Map<string, () => void>();
  const queue = new WorkQueue({
    clock,
    random: { draw: () => 0.5, bytes: () => new Uint8Array() },
    concurrency,
    lowWaits,
    work: (key) => {
      begun.push(key);
      return new Promise((resolve) => open.set(key, resolve));
    },
  });
  const finish = async (key: string) => {
    open.get(key)?.();
    await clock.advance(0);
  };
  return { clock, queue, begun, finish };
}

test("a key added many times is worked on once", async () => {
  const { clock, queue, begun } = manual(4);
  for (let round = 0; round < 5; round++) queue.add("a");
  queue.start();
  await clock.advance(0);

  expect(begun).toEqual(["a"]);
});

test("a key added while it is worked on comes again afterwards, never beside itself", async () => {
  const { clock, queue, begun, finish } = manual(4);
  queue.start();
  queue.add("a");
  await clock.advance(0);
  queue.add("a");
  queue.add("a");
  await clock.advance(0);
  expect(begun).toEqual(["a"]);

  await finish("a");
  expect(begun).toEqual(["a", "a"]);

  await finish("a");
  expect(begun).toEqual(["a", "a"]);
});

test("what a person changed overtakes a long first list", async () => {
  const { clock, queue, begun, finish } = manual();
  for (const key of ["l1", "l2", "l3"]) queue.add(key, "low");
  queue.start();
  queue.add("edit", "high");
  queue.add("l3", "high");
  await clock.advance(0);
  for (const key of ["l1", "edit", "l3"]) await finish(key);

  expect(begun).toEqual(["l1", "edit", "l3", "l2"]);
});

test("what someone edited goes before what a change elsewhere concerns", async () => {
  const { queue, begun, finish, clock } = manual();
  queue.start();
  queue.add("first");
  await clock.advance(0);
  for (const key of ["h1", "h2"]) queue.add(key, "high");
  queue.add("h2", "edited");
  queue.add("h2", "low");
  queue.add("first", "edited");
  queue.add("first", "high");
  for (const key of ["first", "h2", "first"]) await finish(key);

  expect(begun).toEqual(["first", "h2", "first", "h1"]);
});

test("low keys are not starved by a steady stream of high ones", async () => {
  const { clock, queue, begun, finish } = manual();
  queue.start();
  queue.add("low", "low");
  await clock.advance(0);
  queue.add("low", "low");
  await finish("low");
  for (let index = 0; index < 40 && begun.filter((key) => key === "low").length < 3; index++) {
    queue.add(`h${index}`);
    queue.add(`h${index}b`);
    queue.add("low", "low");
    for (const key of begun.slice(-1)) await finish(key);
  }

  expect(begun.filter((key) => key === "low").length).toBeGreaterThanOrEqual(3);
});

test("of several delayed wishes the earliest counts, and work fulfils them all", async () => {
  const { clock, queue, begun, finish } = manual();
  queue.start();
  queue.addAfter("a", 60_000);
  queue.addAfter("a", 10_000);
  queue.addAfter("a", 30_000);
  await clock.advance(9_999);
  expect(begun).toEqual([]);
  await clock.advance(1);
  expect(begun).toEqual(["a"]);
  await finish("a");
  await clock.advance(120_000);
  expect(begun).toEqual(["a"]);

  queue.addAfter("b", 5000);
  queue.add("b");
  await clock.advance(0);
  await finish("b");
  await clock.advance(60_000);
  expect(begun).toEqual(["a", "b"]);
});

test("failures wait 1 s, doubling to 5 minutes, until one pass succeeds", () => {
  const { queue } = manual();
  const delays = Array.from({ length: 11 }, () => queue.retry("a"));
  queue.forget("a");

  expect(delays.map((ms) => ms / 1000)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  expect(queue.retry("a")).toBe(1000);
  expect(queue.retry("b")).toBe(1000);
});

test("keys that failed together come back apart", () => {
  const queue = new WorkQueue({
    clock: new FakeClock(),
    random: seededRandom(7),
    concurrency: 1,
    work: async () => {},
  });
  const delays = Array.from({ length: 20 }, (_, index) => queue.retry(`key-${index}`));

  expect(new Set(delays).size).toBeGreaterThan(15);
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(800);
  expect(Math.max(...delays)).toBeLessThanOrEqual(1200);
});

test("a key that wakes itself without end is calmed to one pass a second", async () => {
  const clock = new FakeClock();
  let passes = 0;
  const queue: WorkQueue = new WorkQueue({
    clock,
    random: seededRandom(1),
    concurrency: 1,
    work: async (key) => {
      passes += 1;
      queue.add(key);
    },
  });
  queue.start();
  queue.add("loop");
  await clock.advance(60_000);
  await queue.stop();

  expect(passes).toBeGreaterThan(60);
  expect(passes).toBeLessThan(250);
});

test("a key whose object is gone is forgotten with all its wishes", async () => {
  const { clock, queue, begun } = manual();
  queue.start();
  queue.addAfter("a", 1000);
  queue.retry("a");
  queue.drop("a");
  await clock.advance(600_000);

  expect(begun).toEqual([]);
  expect(queue.retry("a")).toBe(1000);
});

test("no more keys are worked on at a time than asked for", async () => {
  const { clock, queue, begun, finish } = manual(2);
  queue.start();
  for (const key of ["a", "b", "c", "d"]) queue.add(key);
  await clock.advance(0);
  expect(begun).toEqual(["a", "b"]);

  await finish("b");
  expect(begun).toEqual(["a", "b", "c"]);
});

test("stop waits for the workers, drops what waits and leaves no timer", async () => {
  const { clock, queue, begun, finish } = manual();
  queue.start();
  queue.add("a");
  queue.add("b");
  queue.addAfter("c", 1000);
  await clock.advance(0);
  let stopped = false;
  const stopping = queue.stop().then(() => (stopped = true));
  await clock.advance(5000);
  expect(stopped).toBe(false);
  await finish("a");
  await stopping;
  queue.add("d");
  await clock.advance(5000);

  expect(begun).toEqual(["a"]);
  expect(clock.pending).toBe(0);
});

test("low keys wait while they are told to, the others do not", async () => {
  let waits = true;
  const { clock, queue, begun, finish } = manual(1, () => waits);
  queue.start();
  for (let round = 0; round < 10; round++) queue.add(`high ${round}`);
  queue.add("low", "low");
  queue.addAfter("later", 1000);
  await clock.advance(1000);
  for (let round = 0; round < 10; round++) await finish(`high ${round}`);
  expect([begun.length, queue.depth]).toEqual([10, 2]);

  waits = false;
  queue.wake();
  await clock.advance(0);
  expect(begun.slice(10)).toEqual(["low"]);
});
