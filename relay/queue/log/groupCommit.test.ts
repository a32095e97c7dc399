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
    await turns();
  };
  return { batches, flush, end };
}

/** A few turns of the event loop: a flush begins at the end of one. */
async function turns(): Promise<void> {
  for (let count = 0; count < 3; count++) await new Promise((resolve) => setImmediate(resolve));
}

/** Patience that the test ends by hand. */
function patience() {
  const actions: (() => void)[] = [];
  return {
    begin: (action: () => void) => void actions.push(action),
    begun: () => actions.length,
    end: async () => {
      for (const action of actions.splice(0)) action();
      await turns();
    },
  };
}
const never = () => {};

test("what arrives during a flush shares the next one, in order", async () => {
  const { batches, flush, end } = heldFlush();
  const commits = createGroupCommit({ flush, batchBytes: 1000, patience: never });
  const first = commits.submit("a", 1);
  await turns();
  const others = ["b", "c", "d"].map((item) => commits.submit(item, 1));
  await end();
  await first;
  await end();
  await Promise.all(others);

  expect(batches).toEqual([["a"], ["b", "c", "d"]]);
});

test("what one event of the loop submits goes together", async () => {
  const { batches, flush, end } = heldFlush();
  const commits = createGroupCommit({ flush, batchBytes: 1000, patience: never });
  const all = Array.from({ length: 50 }, (_, n) => commits.submit(`${n}`, 1));
  await turns();
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
    patience: never,
  });
  await Promise.all([60, 40, 1, 500, 99].map((bytes) => commits.submit(bytes, bytes)));

  expect(batches).toEqual([[60, 40], [1], [500], [99]]);
});

test("a failed flush fails its batch only, and idle() waits for all of them", async () => {
  const { batches, flush, end } = heldFlush();
  const commits = createGroupCommit({ flush, batchBytes: 1, patience: never });
  const results = Promise.allSettled(["a", "b"].map((item) => commits.submit(item, 1)));
  let idle = false;
  const done = commits.idle().then(() => (idle = true));
  await turns();
  await end(new Error("disk full"));
  expect(idle).toBe(false);
  await end();
  await done;

  expect((await results).map((result) => result.status)).toEqual(["rejected", "fulfilled"]);
  expect(batches).toEqual([["a"], ["b"]]);
  await commits.idle();
});

test("a patient item rides with the next batch, and begins none", async () => {
  const { batches, flush, end } = heldFlush();
  const waits = patience();
  const commits = createGroupCommit({ flush, batchBytes: 1000, patience: waits.begin });
  const patient = commits.submit("p", 1, "patient");
  await turns();
  expect(batches).toEqual([]);
  const urgent = commits.submit("u", 1);
  await turns();
  await end();
  await Promise.all([patient, urgent]);

  expect(batches).toEqual([["p", "u"]]);
});

test("a patient item that nobody comes to ride with goes alone when its patience ends", async () => {
  const { batches, flush, end } = heldFlush();
  const waits = patience();
  const commits = createGroupCommit({ flush, batchBytes: 1000, patience: waits.begin });
  const both = [commits.submit("p", 1, "patient"), commits.submit("q", 1, "patient")];
  expect(waits.begun()).toBe(1);
  await waits.end();
  await end();
  await Promise.all(both);

  expect(batches).toEqual([["p", "q"]]);
});

test("a patient item that came during a flush waits again, and idle() does not", async () => {
  const { batches, flush, end } = heldFlush();
  const waits = patience();
  const commits = createGroupCommit({ flush, batchBytes: 1000, patience: waits.begin });
  const urgent = commits.submit("u", 1);
  await turns();
  const patient = commits.submit("p", 1, "patient");
  await end();
  await urgent;
  expect(batches).toEqual([["u"]]);
  const idle = commits.idle();
  await turns();
  await end();
  await idle;
  await patient;

  expect(batches).toEqual([["u"], ["p"]]);
});
