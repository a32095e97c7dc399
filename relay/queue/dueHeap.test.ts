import * as fc from "fast-check";
import { expect, test } from "vitest";

import { DueHeap, type HeapNode } from "./dueHeap.ts";

test("what is due comes out by time, equal times in the order they went in", () => {
  const heap = new DueHeap<string>();
  heap.add(20, "late");
  heap.add(10, "first");
  heap.add(10, "second");
  expect(heap.nextAt).toBe(10);
  expect([heap.popDue(9), heap.popDue(10), heap.popDue(10), heap.popDue(10), heap.popDue(20)]).toEqual([
    undefined,
    "first",
    "second",
    undefined,
    "late",
  ]);
  expect(heap.nextAt).toBeNull();
});

test("under any order of adding, removing and popping it agrees with a sorted list", () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), at: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant("remove" as const), pick: fc.nat() }),
    fc.record({ kind: fc.constant("pop" as const), now: fc.integer({ min: 0, max: 60 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const heap = new DueHeap<number>();
      const model: HeapNode<number>[] = [];
      let next = 0;
      for (const step of actions) {
        if (step.kind === "add") model.push(heap.add(step.at, next++));
        if (step.kind === "remove" && model.length > 0) {
          const [node] = model.splice(step.pick % model.length, 1);
          if (node !== undefined) {
            heap.remove(node);
            heap.remove(node);
          }
        }
        let popped: readonly [number | undefined, number | undefined] = [undefined, undefined];
        if (step.kind === "pop") {
          model.sort((a, b) => a.at - b.at || a.order - b.order);
          const due = (model[0]?.at ?? Number.POSITIVE_INFINITY) <= step.now;
          popped = [heap.popDue(step.now), due ? model.shift()?.item : undefined];
        }
        expect(popped[0]).toBe(popped[1]);
        expect(heap.size).toBe(model.length);
        expect(heap.nextAt).toBe(model.length === 0 ? null : Math.min(...model.map(({ at }) => at)));
      }
    }),
  );
});
