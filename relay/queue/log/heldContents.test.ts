import { expect, test } from "vitest";

import { HeldContents } from "./heldContents.ts";

const KIB = 1024;
const content = (kib: number) => [Buffer.alloc(kib * KIB)];

test("what was held longest is let go when more comes than memory is given for", () => {
  const held = new HeldContents(10 * KIB);
  for (const [id, kib] of [
    ["a", 4],
    ["b", 4],
    ["c", 4],
  ] as const)
    held.hold(id, content(kib));

  expect([held.get("a"), held.get("b")?.length, held.get("c")?.length]).toEqual([null, 1, 1]);
  expect(held.bytes).toBe(8 * KIB);
});

test("a message larger than the memory is not held at all", () => {
  const held = new HeldContents(10 * KIB);
  held.hold("a", content(11));

  expect(held.get("a")).toBe(null);
  expect(held.bytes).toBe(0);
});

test("a small view counts with all the memory it keeps", () => {
  const held = new HeldContents(10 * KIB);
  held.hold("a", [Buffer.alloc(8 * KIB).subarray(0, 10)]);

  expect(held.bytes).toBe(8 * KIB);
});

test("what is released twice, or never held, costs nothing", () => {
  const held = new HeldContents(10 * KIB);
  held.hold("a", content(1));
  held.release("a");
  held.release("a");
  held.release("b");

  expect(held.bytes).toBe(0);
});
