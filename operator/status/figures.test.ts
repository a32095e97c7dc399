import { expect, test } from "vitest";

import { NOON } from "../../test/support/builders.ts";
import { ageText, figuresMove, movementOf, roundCount } from "./figures.ts";

test.each([
  { before: undefined, now: 0, movement: "atOnce", because: "it was never written" },
  { before: 0, now: 1, movement: "atOnce", because: "something is not nothing" },
  { before: 7, now: 0, movement: "atOnce", because: "nothing is not something" },
  { before: 1000, now: 1050, movement: "none", because: "5 % matter to nobody" },
  { before: 1000, now: 1200, movement: "inAMinute", because: "a fifth more matters" },
  { before: 5, now: 5, movement: "none", because: "nothing moved" },
] as const)("$before to $now moves $movement: $because", ({ before, now, movement }) => {
  expect(movementOf({ before, now, kind: "count" })).toBe(movement);
});

test("an age that grows by itself is written ever more rarely", () => {
  const written: number[] = [];
  let before = 38;
  for (let now = 38; now < 24 * 3600; now += 60) {
    if (movementOf({ before, now, kind: "age" }) !== "none") written.push((before = now));
  }

  expect(written.length).toBeLessThan(30);
});

test("figures move together, at most once a minute", () => {
  const at = (seconds: number) =>
    figuresMove(["none", "inAMinute"], "2026-11-23T12:00:00Z", NOON + seconds * 1000, 60);

  expect([at(15), at(59), at(60)]).toEqual([false, false, true]);
  expect(figuresMove(["atOnce"], "2026-11-23T12:00:00Z", NOON + 1000, 60)).toBe(true);
  expect(figuresMove(["none"], "2026-11-23T12:00:00Z", NOON + 3_600_000, 60)).toBe(false);
});

test("counts keep three digits, ages one unit", () => {
  expect([999, 1204, 12_345, 999_999].map(roundCount)).toEqual([999, 1200, 12_300, 1_000_000]);
  expect([38, 119, 120, 7199, 7200, 172_800].map(ageText)).toEqual(["38s", "119s", "2m", "119m", "2h", "2d"]);
});
