import { expect, test } from "vitest";

import { type Slot, Slots } from "./slots.ts";

const limits = { quick: 4, slow: 3, slowAfterMs: 30_000 };

function full(slots: Slots, now: number): Slot[] {
  const taken: Slot[] = [];
  while (slots.hasRoom(now)) taken.push(slots.take(now, true));
  return taken;
}

test("there is room for so many, and again when one ends", () => {
  const slots = new Slots(limits);
  const [first] = full(slots, 0);
  expect(slots.quick).toBe(4);
  if (first !== undefined) slots.free(first);
  expect(slots.hasRoom(10)).toBe(true);
});

test("sites that have not answered lately have half of it", () => {
  const slots = new Slots(limits);
  const first = slots.take(0, false);
  slots.take(0, false);
  expect([slots.hasRoom(1), slots.hasRoomForUnproven(1)]).toEqual([true, false]);
  expect(full(slots, 1)).toHaveLength(2);
  slots.free(first);
  expect(slots.hasRoomForUnproven(1)).toBe(true);
});

test("one that lasts gives its place to another, and says when", () => {
  const slots = new Slots(limits);
  slots.take(0, false);
  expect(slots.nextAt).toBeNull();
  slots.take(5000, false);
  expect(slots.nextAt).toBe(30_000);
  expect(slots.hasRoomForUnproven(29_999)).toBe(false);
  expect(slots.hasRoomForUnproven(30_000)).toBe(true);
  expect([slots.quick, slots.unproven, slots.slow]).toEqual([1, 1, 1]);
});

test("the slow ones have a bound too; beyond it they keep their places until one ends", () => {
  const slots = new Slots(limits);
  const taken = [...full(slots, 0), ...full(slots, 30_000)];
  expect([slots.quick, slots.slow]).toEqual([4, 3]);
  expect(slots.hasRoom(10_000_000)).toBe(false);
  expect(slots.nextAt).toBeNull();

  const [oldest] = taken;
  if (oldest !== undefined) slots.free(oldest);
  expect(slots.hasRoom(10_000_000)).toBe(true);
  expect([slots.quick, slots.slow]).toEqual([3, 3]);
});
