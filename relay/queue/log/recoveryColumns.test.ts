import * as fc from "fast-check";
import { expect, test } from "vitest";

import { IdTable } from "../idTable.ts";
import { byAge } from "./recoveryColumns.ts";

const idOf = (age: number) => `01K${String(age).padStart(23, "0")}`;

/** Slots in the order in which ids with these numbers were added, without those that were taken out again. */
function tableOf(ages: readonly number[], removed: readonly number[]): IdTable {
  const ids = new IdTable(() => {});
  for (const age of ages) ids.add(idOf(age));
  for (const age of removed) {
    const slot = ids.find(idOf(age));
    if (slot !== -1) ids.remove(slot);
  }
  return ids;
}

const agesIn = (ids: IdTable) => [...byAge(ids, ids.end)].map((slot) => Number(ids.idOf(slot).slice(3)));

test("messages are told by their age: in order, with a few that stray, backwards, and with gaps", () => {
  expect(agesIn(tableOf([], []))).toEqual([]);
  expect(agesIn(tableOf([1, 2, 3, 4], []))).toEqual([1, 2, 3, 4]);
  // The slot of the oldest was given to the newest; one in the middle was, too; the last strays.
  expect(agesIn(tableOf([9, 1, 2, 3], []))).toEqual([1, 2, 3, 9]);
  expect(agesIn(tableOf([1, 2, 9, 8, 3, 4], []))).toEqual([1, 2, 3, 4, 8, 9]);
  expect(agesIn(tableOf([2, 3, 4, 1], []))).toEqual([1, 2, 3, 4]);
  expect(agesIn(tableOf([5, 4, 3, 2, 1], []))).toEqual([1, 2, 3, 4, 5]);
  expect(agesIn(tableOf([1, 2, 3, 4, 5], [1, 4]))).toEqual([2, 3, 5]);
});

test("whatever the order of slots, each message is told once and by its age", () => {
  const age = fc.integer({ min: 0, max: 500 });
  fc.assert(
    fc.property(
      fc.uniqueArray(age, { maxLength: 200 }),
      fc.array(age, { maxLength: 50 }),
      (ages, removed) => {
        const left = ages.filter((each) => !removed.includes(each));
        expect(agesIn(tableOf(ages, removed))).toEqual(left.toSorted((a, b) => a - b));
      },
    ),
  );
});
