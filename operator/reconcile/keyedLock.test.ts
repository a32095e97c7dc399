import { expect, test } from "vitest";

import { KeyedLock } from "./keyedLock.ts";

function gate() {
  let open: () => void = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("who shares a name waits, in order; who does not goes on", async () => {
  const lock = new KeyedLock();
  const [first, second] = [gate(), gate()];
  const log: string[] = [];
  const a = lock.run(["x"], async () => {
    log.push("a");
    await first.passed;
  });
  const b = lock.run(["x", "y"], async () => {
    log.push("b");
    await second.passed;
  });
  const c = lock.run(["y"], async () => void log.push("c"));
  const d = lock.run(["z"], async () => void log.push("d"));
  await turn();
  expect(log).toEqual(["a", "d"]);

  first.open();
  await turn();
  expect(log).toEqual(["a", "d", "b"]);

  second.open();
  await Promise.all([a, b, c, d]);
  expect(log).toEqual(["a", "d", "b", "c"]);
});

test("overlapping names never deadlock, and a failure lets the next one in", async () => {
  const lock = new KeyedLock();
  const done = await Promise.allSettled([
    lock.run(["x", "y"], () => Promise.reject(new Error("defect"))),
    lock.run(["y", "x"], async () => "one"),
    lock.run(["x", "x"], async () => "two"),
    lock.run([], async () => "none"),
  ]);

  expect(done.map((each) => (each.status === "fulfilled" ? each.value : "failed"))).toEqual([
    "failed",
    "one",
    "two",
    "none",
  ]);
});
