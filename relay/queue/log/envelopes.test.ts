/**
 * The index in columns and the envelopes on the disk against the same spool in memory, over random histories of
 * messages, updates, checkpoints and restarts: whatever happened, both tell the same of every message.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { queuedMessage, recipient } from "../../../test/support/queuedMessage.ts";
import { recoverAll } from "../../../test/support/spool/recoverAll.ts";
import { fileStage, nthId } from "../../../test/contract/spool/harness.ts";
import type { QueuedMessage, RecipientState } from "../../message.ts";
import { createMemoryDisk, createMemorySpool } from "../memorySpool.ts";
import type { Spool } from "../spool.ts";

type Step =
  | { readonly kind: "put"; readonly recipients: number }
  | { readonly kind: "update"; readonly message: number; readonly index: number; readonly fate: number }
  | { readonly kind: "look" }
  | { readonly kind: "restart" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("put" as const), recipients: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("update" as const),
      ...{ message: fc.nat(1000), index: fc.nat(1000), fate: fc.nat(3) },
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "look" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
);

const fates: readonly RecipientState[] = [
  { kind: "waiting", dueAt: 7 },
  { kind: "waiting", dueAt: 99 },
  { kind: "delivered", at: 5 },
  { kind: "bounced", at: 6, reason: "Expired" },
];

test("columns and disk tell what the memory tells, through updates, checkpoints and restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120 }), async (steps) => {
      // A checkpoint every few batches, and often one while others are written.
      const stage = await fileStage({ checkpointBytes: 1000, segmentBytes: 2000, compactionSlackBytes: 500 });
      const disk = createMemoryDisk();
      const memory = () => createMemorySpool({ clock: stage.clock, disk });
      let spools: readonly Spool[] = [await stage.open(), memory()];
      for (const spool of spools) await spool.recover();
      const sizes = new Map<string, number>();
      let next = 0;
      const compare = async () => {
        const ids = [...sizes.keys()];
        const [files, model] = await Promise.all(spools.map((spool) => spool.load(ids)));
        expect(files).toEqual(model);
      };
      for (const each of steps) {
        switch (each.kind) {
          case "put": {
            const id = nthId(next++);
            sizes.set(id, each.recipients);
            const recipients = Array.from({ length: each.recipients }, (_, n) =>
              recipient({ address: `r${n}@d${next % 3}.test`, state: { kind: "waiting", dueAt: n } }),
            );
            const message: QueuedMessage = queuedMessage({ id, sizeBytes: 4, recipients });
            for (const spool of spools) {
              const writer = await spool.begin(id);
              await writer.write(Buffer.from("body"));
              await writer.commit(message);
            }
            break;
          }
          case "update": {
            const id = [...sizes.keys()][each.message % Math.max(1, sizes.size)];
            if (id === undefined) break;
            const index = each.index % (sizes.get(id) ?? 1);
            const state = fates[each.fate] ?? { kind: "waiting", dueAt: 0 };
            const changes = [{ index, recipient: { state, attempts: each.message, last: null } }];
            for (const spool of spools) await spool.record([{ id, changes }]);
            break;
          }
          case "look":
            await compare();
            break;
          case "restart": {
            spools = [await stage.openAfterKill(), memory()];
            await compareRecovered(spools);
          }
        }
      }
      await compare();
      await stage.remove();
    }),
    { numRuns: 25 },
  );
}, 120_000);

async function compareRecovered(spools: readonly Spool[]): Promise<void> {
  const [files, model] = await Promise.all(spools.map(recoverAll));
  expect(files?.messages.toSorted(byId)).toEqual(model?.messages.toSorted(byId));
}

function byId(a: QueuedMessage, b: QueuedMessage): number {
  return a.id < b.id ? -1 : 1;
}
