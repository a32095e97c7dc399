/**
 * Damage in a segment whose journals are in no log, as a kill leaves them: what lies behind it is recovered, the torn
 * end stays torn, and bytes of clients are no journals whatever they look like.
 */
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { contentOf, fileStage, nthId, put } from "../../../test/contract/spool/harness.ts";
import { queuedMessage, recipient } from "../../../test/support/queuedMessage.ts";
import { recoverAll } from "../../../test/support/spool/recoverAll.ts";
import type { Spool } from "../spool.ts";
import { encodeMetadata } from "./metadata.ts";
import { encodeJournal } from "./segmentJournal.ts";

const SEGMENT = "content-0000000001.seg";
let stage: Awaited<ReturnType<typeof fileStage>>;
let spool: Spool;

beforeEach(async () => {
  stage = await fileStage();
  spool = await stage.open();
  await spool.recover();
});
afterEach(() => stage.remove());

/** A batch each. */
async function accept(count: number): Promise<void> {
  for (let n = 1; n <= count; n++) {
    await put(spool, nthId(n), `body ${n}`, { recipients: [recipient({ address: `to-${n}@inbox.test` })] });
  }
}

/** The next life on a segment in which bytes were changed; ids that it finds, and what it says of the folder. */
async function nextLife(change: (bytes: Buffer) => Buffer) {
  const path = join(stage.directory(), SEGMENT);
  await writeFile(path, change(await readFile(path)));
  spool = await stage.openAfterKill();
  const { messages, tornBytes, damagedBytes } = await recoverAll(spool);
  return { ids: messages.map(({ id }) => id), tornBytes, damagedBytes };
}

/** One bit, where `what` stands for the first time. */
const flipped = (what: string) => (bytes: Buffer) => {
  const at = bytes.indexOf(what);
  expect(at).toBeGreaterThan(0);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
};

test("damage in a journal costs its batch, is told and written down, and later batches are recovered", async () => {
  await accept(4);
  const { ids, tornBytes, damagedBytes } = await nextLife(flipped("to-2@inbox.test"));
  expect(ids).toEqual([nthId(1), nthId(3), nthId(4)]);
  expect(tornBytes).toBe(0);
  expect(damagedBytes).toBeGreaterThan(0);
  expect(await contentOf(spool, nthId(4))).toBe("body 4");
  const book = JSON.parse(await readFile(join(stage.directory(), "damage.json"), "utf8")) as object;
  expect(book).toMatchObject({ bytes: damagedBytes, files: [SEGMENT] });

  // Its content may be all that is left: it stays, and the damage is told until somebody has looked.
  for (const n of [1, 3, 4]) {
    const changes = [
      { index: 0, recipient: { state: { kind: "delivered", at: 1 } as const, attempts: 1, last: null } },
    ];
    await spool.record([{ id: nthId(n), changes }]);
  }
  spool = await stage.openAfterKill();
  expect(await recoverAll(spool)).toMatchObject({ messages: [], damagedBytes });
  expect(await readdir(stage.directory())).toContain(SEGMENT);
});

test("damage in front of a message's content costs nothing but an alarm when a later batch follows", async () => {
  await accept(4);
  // The frame has the id in letters, journals have it in bits.
  const { ids, damagedBytes } = await nextLife(flipped(nthId(2)));
  expect(ids).toEqual([1, 2, 3, 4].map(nthId));
  expect(damagedBytes).toBeGreaterThan(0);
  expect(await contentOf(spool, nthId(2))).toBe("body 2");
});

test.each([
  ["its journal", "to-3@inbox.test"],
  ["the beginning of its content, which a failed write leaves with a sound journal", nthId(3)],
])("a last batch with damage in %s is a torn end, and does not come back", async (_, where) => {
  await accept(3);
  const { ids, tornBytes, damagedBytes } = await nextLife(flipped(where));
  expect(ids).toEqual([nthId(1), nthId(2)]);
  expect(tornBytes).toBeGreaterThan(0);
  expect(damagedBytes).toBe(0);
  expect(await readdir(stage.directory())).not.toContain("damage.json");
});

test("a segment that is cut anywhere in its last batch gives the batch before, and nothing of it is called damage", async () => {
  await accept(2);
  const whole = await readFile(join(stage.directory(), SEGMENT));
  const second = whole.indexOf(nthId(2));
  for (let cut = second; cut < whole.length; cut += 29) {
    const { ids, damagedBytes } = await nextLife(() => whole.subarray(0, cut));
    expect(ids.slice(0, 1)).toEqual([nthId(1)]);
    expect(damagedBytes).toBe(0);
  }
});

test("a client that mails what looks like a journal puts nothing into the queue, wherever damage is", async () => {
  const forged = queuedMessage({ id: nthId(77), sizeBytes: 4 });
  const batches = [
    [{ kind: "message", message: forged, content: { segment: 1, offset: 100 } }],
    [{ kind: "removed", id: nthId(1) }],
    [{ kind: "moved", id: nthId(1), content: { segment: 1, offset: 100 } }],
  ] as const;
  const body = batches.flatMap((batch) =>
    encodeJournal([{ kind: "batch", number: 2 } as const, ...batch].map(encodeMetadata), 1),
  );
  await put(spool, nthId(1), "body 1");
  const writer = await spool.begin(nthId(2));
  for (const part of body) await writer.write(part);
  await writer.commit(queuedMessage({ id: nthId(2), sizeBytes: Buffer.concat(body).length }));
  await put(spool, nthId(3), "body 3");

  const { ids, damagedBytes } = await nextLife(flipped(nthId(2)));
  expect(ids).toEqual([nthId(1), nthId(2), nthId(3)]);
  expect(damagedBytes).toBeGreaterThan(0);
  expect(await contentOf(spool, nthId(1))).toBe("body 1");
});
