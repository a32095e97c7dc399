import { expect, test } from "vitest";

import { HeldContents } from "./heldContents.ts";

const KIB = 1024;
const content = (kib: number) => [Buffer.alloc(kib * KIB)];

function heldOf(kib: number) {
  const time = { now: 0 };
  return { time, held: new HeldContents(kib * KIB, () => time.now) };
}

test("what comes when the memory is used up is not held; those who came before are next to be delivered", () => {
  const { held } = heldOf(10);
  for (const id of ["a", "b", "c"]) held.hold(id, content(4));

  expect([held.get("a")?.length, held.get("b")?.length, held.get("c")]).toEqual([1, 1, null]);
  expect(held.bytes).toBe(8 * KIB);
});

test("who has waited so long that something holds him up makes room for the next", () => {
  const { held, time } = heldOf(10);
  held.hold("a", content(4));
  time.now = 5000;
  held.hold("b", content(4));
  time.now = 11_000;
  held.hold("c", content(4));

  expect([held.get("a"), held.get("b")?.length, held.get("c")?.length]).toEqual([null, 1, 1]);
  expect(held.bytes).toBe(8 * KIB);
});

test("a message larger than the memory is not held at all", () => {
  const { held } = heldOf(10);
  held.hold("a", content(11));

  expect(held.get("a")).toBe(null);
  expect(held.bytes).toBe(0);
});

test("a small view counts with all the memory it keeps", () => {
  const { held } = heldOf(10);
  held.hold("a", [Buffer.alloc(8 * KIB).subarray(0, 10)]);

  expect(held.bytes).toBe(8 * KIB);
});

test("what is released twice, or never held, costs nothing", () => {
  const { held } = heldOf(10);
  held.hold("a", content(1));
  held.release("a");
  held.release("a");
  held.release("b");

  expect(held.bytes).toBe(0);
});
