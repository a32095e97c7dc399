/** The schedule of rows against a sorted list. */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { BacklogColumns, NO_ROW, rowStates } from "./backlogColumns.ts";
import { BacklogSchedule } from "./backlogSchedule.ts";

const waitingRow = fc.record({
  state: fc.constantFrom(rowStates.scheduled, rowStates.inLane),
  dueAt: fc.integer({ min: 0, max: 20 }),
  expiresAt: fc.integer({ min: 0, max: 30 }),
});
const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("add" as const), of: waitingRow }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("takeFirst" as const) }) },
);

/** Ids of up to 211 messages, which do not ascend with the order they are added in. */
const idOf = (n: number) => `01J${String((n * 151) % 211).padStart(23, "0")}`;

test("the first is the row that is due or expires first, of equals the older message, whatever comes and goes", () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 60, maxLength: 200, size: "max" }), (actions) => {
      const columns = new BacklogColumns();
      const schedule = new BacklogSchedule(columns);
      /** What is in the schedule, and the instant each matters at. */
      const model: { row: number; id: string; at: number }[] = [];
      const sorted = () => model.toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
      let next = 0;
      for (const step of actions) {
        if (step.kind === "add") {
          const { state, dueAt, expiresAt } = step.of;
          const id = idOf(next++);
          const about = { credential: null, sendingDomain: null, domain: "", several: false, recipients: 1 };
          const row = columns.add({ ...about, id, dueAt, expiresAt }, null);
          columns.state[row] = state;
          schedule.add(row);
          // In its lane a message can only expire.
          model.push({ row, id, at: state === rowStates.inLane ? expiresAt : Math.min(dueAt, expiresAt) });
        }
        const gone = step.kind === "remove" ? model[step.pick % model.length] : sorted()[0];
        if (step.kind !== "add" && gone !== undefined) {
          model.splice(model.indexOf(gone), 1);
          schedule.remove(gone.row);
          schedule.remove(gone.row);
          columns.remove(gone.row);
        }
        expect(schedule.first).toBe(sorted()[0]?.row ?? NO_ROW);
        expect(schedule.nextAt).toBe(sorted()[0]?.at ?? Number.POSITIVE_INFINITY);
      }
    }),
    { numRuns: 40 },
  );
});
