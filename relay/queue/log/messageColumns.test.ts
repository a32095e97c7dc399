/** What the index tells the engine after a start, against lists, over random histories of a log. */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { queuedMessage, recipient } from "../../../test/support/queuedMessage.ts";
import { nthId } from "../../../test/contract/spool/harness.ts";
import type { RecipientState } from "../../message.ts";
import { MessageColumns } from "./messageColumns.ts";
import { encodeMetadata, type MetadataRecord } from "./metadata.ts";

const waitingState = fc.record({ kind: fc.constant("waiting" as const), dueAt: fc.nat(50) });
const state: fc.Arbitrary<RecipientState> = fc.oneof(
  { weight: 3, arbitrary: waitingState },
  { weight: 1, arbitrary: fc.constant({ kind: "delivered" as const, at: 5 }) },
);
const message = fc.nat(7);
const step = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("message" as const),
      ...{ message, states: fc.array(state, { minLength: 1, maxLength: 4 }) },
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("update" as const), message, index: fc.nat(3), state }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("removed" as const), message }) },
);

test("after a start each message is told once, oldest first, with the earliest time of those who wait", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 80, size: "max" }), (steps) => {
      const index = new MessageColumns();
      const apply = (record: MetadataRecord) => index.apply(encodeMetadata(record), 2, 0);
      const model = new Map<string, RecipientState[]>();
      for (const each of steps) {
        const id = nthId(each.message);
        const known = model.get(id);
        if (each.kind === "message") {
          const recipients = each.states.map((own, n) =>
            recipient({ address: `r${n}@inbox.test`, state: own }),
          );
          apply({ kind: "message", message: queuedMessage({ id, sizeBytes: 1, recipients }), content: null });
          model.set(id, [...each.states]);
        } else if (each.kind === "removed") {
          apply({ kind: "removed", id });
          model.delete(id);
        } else {
          const changed = { state: each.state, attempts: 1, last: null };
          apply({ kind: "update", id, changes: [{ index: each.index, recipient: changed }] });
          if (known !== undefined && each.index < known.length) known[each.index] = each.state;
        }
        // A message whose recipients are all final is gone, and later updates do not bring it back.
        if (model.get(id)?.every(({ kind }) => kind !== "waiting") === true) model.delete(id);
      }
      const expected = Array.from(model, ([id, states]) => {
        const dueTimes = states.flatMap((own) => (own.kind === "waiting" ? own.dueAt : []));
        return {
          ...{ id, dueAt: Math.min(...dueTimes), recipients: dueTimes.length },
          several: states.length > 1,
        };
      }).toSorted((a, b) => (a.id < b.id ? -1 : 1));

      expect(index.count).toBe(expected.length);
      expect(
        Array.from(index.waiting(), ({ id, dueAt, recipients, several }) => ({
          ...{ id, dueAt, recipients, several },
        })),
      ).toEqual(expected);
      expect([...index.waiting()]).toEqual([]);
    }),
  );
});
