import { expect, test } from "vitest";

import { createGroupCommit } from "./groupCommit.ts";

/** A flush that the test ends by hand, batch by batch. */
function heldFlush() {
  const batches: string[][] = [];
  const ends: ((error?: Error) => void)[] = [];
  const flush = (items: readonly string[]) => {
    batches.push([...items]);
    return new Promise<void>((resolve, reject) => {
      ends.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  };
  const end = async (error?: Error) => {
    ends.shift()?.(error);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { batches, flush, end };
}

test("what arrives during a flush shares the next one, in order", async () => {
  const { batches, flush, end } = heldFlush();
  const commits = createGroupCommit({ flush, batchBytes: 1000 });
  const first = commits.submit("a", 1);
  await Promise.resolve();
  await Promise.resolve();
  const others = ["b", "c", "d"].map((item) => commits.submit(item, 1));
  await end();
  await first;
  await end();
  await Promise.all(others);

  expect(batches).toEqual([["a"], ["b", "c", "d"]]);
});

test("what one event of the loop submits goes together", async () => {
  const { batches, flush, end } = heldFlush();
  const commits = createGroupCommit({ flush, batchBytes: 1000 });
  const all = Array.from({ length: 50 }, (_, n) => commits.submit(`${n}`, 1));
  await new Promise((resolve) => setImmediate(resolve));
  await end();
  await Promise.all(all);

  expect(batches.length).toBe(1);
});

test("a batch is closed before it grows too large, and a larger item goes alone", async () => {
  const batches: number[][] = [];
  const commits = createGroupCommit<number>({
    flush: async (items) => {
      batches.push([...items]);
    },
    batchBytes: 100,
  });
  await Promise.all([60, 40, 1, 500, 99].map((bytes) => commits.submit(bytes, bytes)));

  expect(batches).toEqual([[60, 40], [1], [500], [99]]);
});

test("a failed flush fails its batch only, and idle() waits for all of them", async () => {
  const { batches, flush, end } = heldFlush();
  const commits = createGroupCommit({ flush, batchBytes: 1 });
  const results = Promise.allSettled(["a", "b"].map((item) => commits.submit(item, 1)));
  let idle = false;
  const done = commits.idle().then(() => (idle = true));
  await new Promise((resolve) => setImmediate(resolve));
  await end(new Error("disk full"));
  expect(idle).toBe(false);
  await end();
  await done;

  expect((await results).map((result) => result.status)).toEqual(["rejected", "fulfilled"]);
  expect(batches).toEqual([["a"], ["b"]]);
  await commits.idle();
});
