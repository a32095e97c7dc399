/** Places of envelopes against lists, over random histories of messages, updates and checkpoints. */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { EnvelopePlaces } from "./envelopePlaces.ts";
import type { LogPlace } from "./logFiles.ts";

const SLOTS = 4;
const slot = fc.nat(SLOTS - 1);
const action = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("put" as const), slot }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("add" as const), slot, isAll: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget" as const), slot }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("begin" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("relocate" as const), slot }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), isWhole: fc.boolean() }) },
);

test("each envelope lies where its records were put last, or in the checkpoint that wrote them together", () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 40, maxLength: 200, size: "max" }), (actions) => {
      const places = new EnvelopePlaces();
      places.grow(SLOTS);
      /** The message record and its updates, of every slot that is in use. */
      const model = new Map<number, LogPlace[]>();
      /** What a checkpoint that is being written has: its offset, and how much of the envelope it stands for. */
      let checkpoint: Map<number, { readonly offset: number; readonly covers: LogPlace[] }> | null = null;
      let offset = 0;
      for (const step of actions) {
        offset++;
        const known = "slot" in step ? model.get(step.slot) : undefined;
        switch (step.kind) {
          case "put":
            places.forget(step.slot);
            checkpoint?.delete(step.slot);
            places.put(step.slot, 2, offset);
            model.set(step.slot, [{ file: 2, offset }]);
            break;
          case "add":
            if (known === undefined) break;
            places.add(step.slot, 2, offset, step.isAll);
            known.splice(step.isAll ? 1 : known.length, Infinity, { file: 2, offset });
            break;
          case "forget":
            places.forget(step.slot);
            checkpoint?.delete(step.slot);
            model.delete(step.slot);
            break;
          case "begin":
            if (checkpoint !== null) break;
            places.beginRelocation(SLOTS);
            checkpoint = new Map();
            break;
          case "relocate":
            if (checkpoint === null || known === undefined) break;
            places.relocate(step.slot, offset, places.chainOf(step.slot));
            checkpoint.set(step.slot, { offset, covers: [...known] });
            break;
          case "end":
            if (checkpoint === null) break;
            places.endRelocation(step.isWhole ? 3 : null);
            for (const [at, { offset: start, covers }] of step.isWhole ? checkpoint : []) {
              const [, ...updates] = model.get(at) ?? [];
              model.set(at, [
                { file: 3, offset: start },
                ...updates.filter((each) => !covers.includes(each)),
              ]);
            }
            checkpoint = null;
        }
        for (const [at, expected] of model) expect(places.of(at)).toEqual(expected);
        // No more are kept than there are: none is lost, neither of a message that is gone nor of one written anew.
        const updates = [...model.values()].reduce((sum, { length }) => sum + length - 1, 0);
        expect(places.chained).toBe(updates);
      }
    }),
    { numRuns: 60 },
  );
});

test("a record that was pending is found in the log that has it now", () => {
  const places = new EnvelopePlaces();
  places.grow(SLOTS);
  places.put(0, 1, 7);
  places.add(0, 1, 8, false);
  places.add(0, 1, 9, false);

  places.placed(0, 8, 4, 100);
  places.placed(0, 7, 4, 60);

  expect(places.of(0)).toEqual([
    { file: 4, offset: 60 },
    { file: 4, offset: 100 },
    { file: 1, offset: 9 },
  ]);
});
