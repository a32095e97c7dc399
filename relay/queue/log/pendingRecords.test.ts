import { expect, test } from "vitest";

import { encodeMetadata } from "./metadata.ts";
import { PendingRecords } from "./pendingRecords.ts";

const removed = (id: string) => encodeMetadata({ kind: "removed", id });
const A = removed("01J0000000000000000000000A");
const B = removed("01J0000000000000000000000B");
const C = removed("01J0000000000000000000000C");

test("a record is found by the number it was promised, and once it is written that number is nobody's", () => {
  const pending = new PendingRecords();
  const [first, second] = [pending.numberAt(0), pending.numberAt(1)];
  pending.add([A, B], 3, 1);
  expect([pending.get(first), pending.get(second)]).toEqual([A, B]);

  pending.written(2);
  expect(pending.get(first)).toBeUndefined();

  const third = pending.numberAt(0);
  pending.add([C], 4, 2);
  expect(pending.get(third)).toBe(C);
  expect([pending.get(first), pending.get(second)]).toEqual([undefined, undefined]);
});

test("journals are needed from the segment of the oldest pending batch on, until all is written", () => {
  const pending = new PendingRecords();
  expect(pending.needsJournalOf(9)).toBe(false);

  pending.add([A], 3, 1);
  pending.add([B], 5, 2);
  expect([2, 3, 4, 5].map((segment) => pending.needsJournalOf(segment))).toEqual([false, true, true, true]);
  expect({ records: pending.taken(), through: pending.through }).toEqual({ records: [A, B], through: 2 });

  pending.written(2);
  expect(pending.needsJournalOf(5)).toBe(false);
});
