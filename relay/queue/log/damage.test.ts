/**
 * A damaged byte in the logs, really flipped: what can be made whole is, what cannot is set aside and kept, and
 * nothing else suffers. The spool goes on, checkpoints and restarts among it.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { contentOf, fileStage, nthId, put } from "../../../test/contract/spool/harness.ts";
import type { FaultRule } from "../../../test/support/faultyFiles.ts";
import { recipient } from "../../../test/support/queuedMessage.ts";
import { recoverAll } from "../../../test/support/spool/recoverAll.ts";
import type { RecipientState } from "../../message.ts";
import { nodeFiles } from "../files.ts";
import { type Spool, SpoolError } from "../spool.ts";
import { readSpool } from "../rescue/readSpool.ts";
import { readAside } from "./aside.ts";

type FileStage = Awaited<ReturnType<typeof fileStage>>;
let stage: FileStage;
let spool: Spool;

/** Everything over 40 bytes has a file of its own: its envelope is in the log only. */
const limits = { inlineBytes: 40, checkpointBytes: 3000 };
const LARGE = "in a file of its own, for it is large: ".repeat(10);

beforeEach(async () => {
  stage = await fileStage(limits);
  spool = await stage.open();
  await spool.recover();
});
afterEach(() => stage.remove());

async function filesLike(pattern: RegExp): Promise<string[]> {
  return (await readdir(stage.directory())).filter((name) => pattern.test(name)).toSorted();
}

/** Flips a bit where `what` stands; says in how many files it was found. */
async function garble(pattern: RegExp, what: string): Promise<number> {
  let found = 0;
  for (const name of await filesLike(pattern)) {
    const path = join(stage.directory(), name);
    const bytes = await readFile(path);
    const at = bytes.indexOf(what);
    if (at < 0) continue;
    found++;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(path, bytes);
  }
  return found;
}

async function record(id: string, index: number, state: RecipientState, attempts = 1): Promise<void> {
  await spool.record([{ id, changes: [{ index, recipient: { state, attempts, last: null } }] }]);
}

/** Where `what` stands in the one file of that pattern, as a place that the disk cannot read. */
async function unreadable(pattern: RegExp, what: string): Promise<FaultRule> {
  const [name = ""] = await filesLike(pattern);
  const at = (await readFile(join(stage.directory(), name))).indexOf(what);
  expect(at).toBeGreaterThan(0);
  return { operation: "read", path: new RegExp(name), code: "EIO", bytes: [at, at + what.length] };
}

/** Mail comes and goes until a checkpoint stands for what is there now. */
async function untilCheckpoint(): Promise<void> {
  const before = await filesLike(/^checkpoint-/);
  for (let n = 500; n < 540; n++) {
    await put(spool, nthId(n), "x");
    await record(nthId(n), 0, { kind: "delivered", at: 1 });
  }
  await vi.waitFor(async () => {
    // The one before it is deleted after the new one has its name.
    const after = await filesLike(/^checkpoint-/);
    expect(after).toEqual([expect.stringMatching(/log$/)]);
    expect(after).not.toEqual(before);
  });
}

const to = (address: string) => ({ recipients: [recipient({ address })] });

describe("an envelope that is damaged while the relay runs", () => {
  test("is set aside with its content; checkpoints succeed, and no other message suffers", async () => {
    await put(spool, nthId(1), LARGE, to("one@inbox.test"));
    await put(spool, nthId(2), LARGE, to("two@inbox.test"));
    await put(spool, nthId(3), "small", to("three@inbox.test"));
    expect(await garble(/^metadata-/, "one@inbox.test")).toBe(1);
    await untilCheckpoint();

    expect(spool.setAside).toMatchObject([
      {
        id: nthId(1),
        sizeBytes: LARGE.length,
        reason: expect.stringMatching(/byte \d+ of metadata-.*damaged/),
      },
    ]);
    expect(await filesLike(/^metadata-0000000001/)).toEqual([]);
    const [first, second, third] = await spool.load([nthId(1), nthId(2), nthId(3)]);
    expect(first).toBeNull();
    expect(second).toMatchObject({ recipients: [{ address: "two@inbox.test" }] });
    expect(third).toMatchObject({ recipients: [{ address: "three@inbox.test" }] });
    expect(await contentOf(spool, nthId(2))).toBe(LARGE);

    // After a restart it is known still, and nothing is damaged any more.
    spool = await stage.openAfterKill();
    const { messages, damagedBytes } = await recoverAll(spool);
    expect(messages.map(({ id }) => id)).toEqual([nthId(2), nthId(3)]);
    expect(damagedBytes).toBe(0);
    expect(spool.setAside.map(({ id }) => id)).toEqual([nthId(1)]);
    const file = await readAside(nodeFiles, join(stage.directory(), `${nthId(1)}.aside`), nthId(1));
    expect(file.isWhole).toBe(true);
    expect(file.envelope.toString("latin1")).toContain("ne@inbox.test");
    const content: Buffer[] = [];
    for await (const block of file.content()) if (!(block instanceof Error)) content.push(block);
    expect(Buffer.concat(content).toString()).toBe(LARGE);
  });

  test("is set aside as well when its turn comes before any checkpoint", async () => {
    await put(spool, nthId(1), LARGE, to("one@inbox.test"));
    await put(spool, nthId(2), LARGE, to("two@inbox.test"));
    expect(await garble(/^metadata-/, "one@inbox.test")).toBe(1);

    const [first, second] = await spool.load([nthId(1), nthId(2)]);
    expect(first).toBeInstanceOf(SpoolError);
    expect(second).toMatchObject({ id: nthId(2) });
    await vi.waitFor(() => expect(spool.setAside.map(({ id }) => id)).toEqual([nthId(1)]));
    await vi.waitFor(async () => expect(await spool.load([nthId(1)])).toEqual([null]));
    // Its content is in the file that keeps it, and no longer in its own.
    await vi.waitFor(async () => expect(await filesLike(/\.msg$/)).toEqual([`${nthId(2)}.msg`]));
  });

  test("is taken from the journal of its segment, and who got the message already gets it no more", async () => {
    const recipients = ["one@inbox.test", "two@inbox.test"].map((address) => recipient({ address }));
    await put(spool, nthId(1), "small", { recipients });
    await record(nthId(1), 0, { kind: "delivered", at: 5 });
    await untilCheckpoint();
    expect(await garble(/^checkpoint-/, "one@inbox.test")).toBe(1);

    const [message] = await spool.load([nthId(1)]);
    expect(message).toMatchObject({
      recipients: [
        { address: "one@inbox.test", state: { kind: "delivered" } },
        { address: "two@inbox.test", state: { kind: "waiting" } },
      ],
    });
    await untilCheckpoint();
    expect(spool.setAside).toEqual([]);
    spool = await stage.openAfterKill();
    const { messages, damagedBytes } = await recoverAll(spool);
    expect(messages).toEqual([message]);
    expect(damagedBytes).toBe(0);
  });

  test("costs an update only what that update said, but for who is final", async () => {
    const recipients = ["one@inbox.test", "two@inbox.test"].map((address) => recipient({ address }));
    await put(spool, nthId(1), LARGE, { recipients });
    const said = { at: 1, source: null, host: null, code: 450, enhanced: null, text: "not now", rule: "x" };
    await spool.record([
      {
        id: nthId(1),
        changes: [
          { index: 0, recipient: { state: { kind: "delivered", at: 5 }, attempts: 1, last: said } },
          { index: 1, recipient: { state: { kind: "waiting", dueAt: 9 }, attempts: 1, last: said } },
        ],
      },
    ]);
    expect(await garble(/^metadata-/, "not now")).toBe(1);

    expect(await spool.load([nthId(1)])).toMatchObject([
      {
        recipients: [{ state: { kind: "delivered" } }, { state: { kind: "waiting", dueAt: 0 }, attempts: 0 }],
      },
    ]);
    await untilCheckpoint();
    expect(spool.setAside).toEqual([]);
  });
});

describe("an envelope that the disk cannot read while the relay runs", () => {
  test("is set aside with its content, checkpoints succeed, its log is kept, and its neighbours do not suffer", async () => {
    await put(spool, nthId(1), LARGE, to("one@inbox.test"));
    await put(spool, nthId(2), LARGE, to("two@inbox.test"));
    await put(spool, nthId(3), LARGE, to("three@inbox.test"));
    stage.files.fail(await unreadable(/^metadata-/, "two@inbox.test"));
    const [first, second, third] = await spool.load([nthId(1), nthId(2), nthId(3)]);
    expect(first).toMatchObject({ recipients: [{ address: "one@inbox.test" }] });
    expect(second).toBeInstanceOf(SpoolError);
    expect(third).toMatchObject({ recipients: [{ address: "three@inbox.test" }] });
    await untilCheckpoint();

    expect(spool.setAside).toMatchObject([
      { id: nthId(2), reason: expect.stringMatching(/byte \d+ of metadata-.*cannot be read from the disk/) },
    ]);
    expect(await filesLike(/^metadata-.*damaged$/)).toEqual(["metadata-0000000001.log.damaged"]);
    const file = await readAside(nodeFiles, join(stage.directory(), `${nthId(2)}.aside`), nthId(2));
    expect(file.isWhole).toBe(true);
    spool = await stage.openAfterKill();
    const { messages, damagedBytes } = await recoverAll(spool);
    expect(messages.map(({ id }) => id)).toEqual([nthId(1), nthId(3)]);
    expect(damagedBytes).toBe(0);
  });

  test("is taken from the journal of its segment, and a checkpoint writes it anew", async () => {
    await put(spool, nthId(1), "small", to("one@inbox.test"));
    await untilCheckpoint();
    stage.files.fail(await unreadable(/^checkpoint-/, "one@inbox.test"));
    expect(await spool.load([nthId(1)])).toMatchObject([{ recipients: [{ address: "one@inbox.test" }] }]);
    await untilCheckpoint();
    stage.files.mend();
    expect(spool.setAside).toEqual([]);
    expect(await filesLike(/damaged$/)).toEqual([]);
    expect(await spool.load([nthId(1)])).toMatchObject([{ recipients: [{ address: "one@inbox.test" }] }]);
  });

  test.each(["read", "open"] as const)(
    "stays queued when the disk cannot %s its content either: that is a fault of the store",
    async (operation) => {
      await put(spool, nthId(1), LARGE, to("one@inbox.test"));
      stage.files.fail(await unreadable(/^metadata-/, "one@inbox.test"), {
        ...{ operation, path: /\.msg$/, code: "EIO" },
      });
      expect((await spool.load([nthId(1)]))[0]).toBeInstanceOf(SpoolError);
      for (let n = 500; n < 540; n++) await put(spool, nthId(n), "x");
      await spool.close();
      expect(await filesLike(/^checkpoint-|\.aside/)).toEqual([]);

      stage.files.mend();
      spool = await stage.open();
      await spool.recover();
      expect(await spool.load([nthId(1)])).toMatchObject([{ recipients: [{ address: "one@inbox.test" }] }]);
    },
  );

  test("is no matter of one message when the bad places run on: nothing is set aside, and all is there with the disk", async () => {
    const padding = "r".repeat(200);
    const ids = Array.from({ length: 300 }, (_, n) => nthId(n + 1));
    for (const id of ids) await put(spool, id, LARGE, to(`${padding}${id}@inbox.test`));
    stage.files.fail({ operation: "read", path: /(?:checkpoint|metadata)-/, code: "EIO" });
    await expect(spool.load(ids)).rejects.toThrow(/input\/output error/);
    await spool.close();
    expect(spool.setAside).toEqual([]);

    stage.files.mend();
    spool = await stage.open();
    await spool.recover();
    const messages = await spool.load(ids);
    expect(messages.map((message) => (message instanceof SpoolError ? null : message?.id))).toEqual(ids);
  });
});

test("four hundred are set aside for a disk that cannot read them, and no more: the rest stays queued until it can", async () => {
  await stage.remove();
  stage = await fileStage({ inlineBytes: 40 });
  spool = await stage.open();
  await spool.recover();
  // Every other one, so that no run of bad places gives the disk away.
  const ids = Array.from({ length: 840 }, (_, n) => nthId(n + 1));
  for (const id of ids) await put(spool, id, LARGE, to(`${id}@inbox.test`));
  const bad = ids.filter((_, n) => n % 2 === 1);
  const [name = ""] = await filesLike(/^metadata-/);
  const log = await readFile(join(stage.directory(), name));
  for (const id of bad) {
    const at = log.indexOf(`${id}@inbox.test`);
    stage.files.fail({ operation: "read", path: /^.*metadata-/, code: "EIO", bytes: [at, at + 1] });
  }
  for (const id of bad) await spool.load([id]);
  await vi.waitFor(() => expect(spool.setAside).toHaveLength(400));
  await spool.load(bad.slice(-1));
  await spool.close();
  expect(spool.setAside).toHaveLength(400);

  stage.files.mend();
  spool = await stage.open();
  const queued = (await recoverAll(spool)).messages.map(({ id }) => id);
  expect(queued).toHaveLength(440);
  expect(queued).toContain(bad.at(-1));
});

describe("a start", () => {
  beforeEach(async () => {
    // A log of several pages: what the disk cannot read is a page at least.
    await stage.remove();
    stage = await fileStage({ ...limits, checkpointBytes: 20_000 });
    spool = await stage.open();
    await spool.recover();
  });

  test("goes around a place that the disk cannot read: the others' mail is there, and what was lost is said and kept", async () => {
    await put(spool, nthId(1), LARGE, to("one@inbox.test"));
    for (let n = 2; n < 40; n++) await put(spool, nthId(n), LARGE, to(`${n}${"x".repeat(200)}@inbox.test`));
    stage.files.fail(await unreadable(/^metadata-/, "one@inbox.test"));
    spool = await stage.openAfterKill();
    const { messages, damagedBytes, tornBytes } = await recoverAll(spool);
    const ids = messages.map(({ id }) => id);
    expect(ids).toContain(nthId(39));
    expect(ids).not.toContain(nthId(1));
    expect(damagedBytes).toBeGreaterThan(0);
    expect(tornBytes).toBe(0);

    const seen = await readSpool({ directory: stage.directory(), files: stage.files, progress: () => {} });
    expect(seen.ids).toEqual(ids);
    expect(seen.damage).toContainEqual(
      expect.objectContaining({ fact: expect.stringContaining("cannot be read from the disk (EIO)") }),
    );

    await untilCheckpoint();
    await spool.close();
    expect(await filesLike(/^metadata-.*damaged$/)).toHaveLength(1);
    expect(await filesLike(/\.msg$/)).toHaveLength(39);
  });

  test("takes the end of a log that the disk cannot read for damage, not for what a kill leaves", async () => {
    await put(spool, nthId(1), LARGE, to("one@inbox.test"));
    stage.files.fail(await unreadable(/^metadata-/, "one@inbox.test"));
    spool = await stage.openAfterKill();
    expect((await recoverAll(spool)).damagedBytes).toBeGreaterThan(0);
  });

  test("goes around such a place at the end of a checkpoint, where that says how much it holds", async () => {
    for (let n = 1; n < 60; n++) await put(spool, nthId(n), LARGE, to(`${n}${"x".repeat(200)}@inbox.test`));
    await vi.waitFor(async () =>
      expect(await filesLike(/^checkpoint-/)).toEqual([expect.stringMatching(/log$/)]),
    );
    stage.files.fail(await unreadable(/^checkpoint-/, '"messages":'));
    spool = await stage.openAfterKill();
    const { messages, damagedBytes } = await recoverAll(spool);
    expect(messages.map(({ id }) => id)).toContain(nthId(1));
    expect(damagedBytes).toBeGreaterThan(0);
  });

  test("goes around such a place among the batches that are in a segment only", async () => {
    await stage.remove();
    stage = await fileStage();
    spool = await stage.open();
    await spool.recover();
    for (let n = 1; n < 60; n++) await put(spool, nthId(n), "x".repeat(400), to(`${n}@inbox.test`));
    stage.files.fail(await unreadable(/^content-/, nthId(20)));
    spool = await stage.openAfterKill();
    const { messages, damagedBytes } = await recoverAll(spool);
    const ids = messages.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining([nthId(1), nthId(59)]));
    expect(ids).not.toContain(nthId(20));
    expect(damagedBytes).toBeGreaterThan(0);
  });

  test("doubts no content of the last batch because the disk cannot read it", async () => {
    await stage.remove();
    stage = await fileStage();
    spool = await stage.open();
    await spool.recover();
    await put(spool, nthId(1), `${"x".repeat(10_000)}middle${"x".repeat(10_000)}`);
    stage.files.fail(await unreadable(/^content-/, "middle"));
    spool = await stage.openAfterKill();
    expect((await recoverAll(spool)).messages.map(({ id }) => id)).toEqual([nthId(1)]);
  });

  test("does not take a disk that reads nothing for a spool with nothing in it", async () => {
    for (let n = 1; n < 400; n++) await put(spool, nthId(n), LARGE, to(`${n}${"x".repeat(200)}@inbox.test`));
    stage.files.fail({ operation: "read", path: /(?:checkpoint|metadata)-/, code: "EIO" });
    spool = await stage.openAfterKill();
    await expect(recoverAll(spool)).rejects.toThrow(/EIO/);
    stage.files.mend();
    spool = await stage.openAfterKill();
    expect((await recoverAll(spool)).messages).toHaveLength(399);
  });
});

test("logs that are found damaged at a start are kept, with all that may belong to what they held", async () => {
  await put(spool, nthId(1), LARGE, to("one@inbox.test"));
  await put(spool, nthId(2), LARGE, to("two@inbox.test"));
  await record(nthId(2), 0, { kind: "waiting", dueAt: 7 });
  await put(spool, nthId(3), "small", to("three@inbox.test"));
  expect(await garble(/^metadata-/, "one@inbox.test")).toBe(1);

  for (let life = 1; life <= 3; life++) {
    spool = await stage.openAfterKill();
    const { messages, damagedBytes } = await recoverAll(spool);
    expect(messages.map(({ id }) => id)).toEqual([nthId(2), nthId(3)]);
    expect(damagedBytes).toBeGreaterThan(0);
    await untilCheckpoint();
  }
  await record(nthId(3), 0, { kind: "delivered", at: 1 });
  await spool.close();
  expect(await filesLike(/^metadata-.*damaged$/)).toHaveLength(1);
  expect(await filesLike(/\.msg$/)).toEqual([`${nthId(1)}.msg`, `${nthId(2)}.msg`]);
  expect(await filesLike(/^content-0000000001/)).toHaveLength(1);

  // Somebody has looked: what nobody needs goes at the next start.
  for (const name of await filesLike(/^damage\.json$|\.damaged$/))
    await nodeFiles.remove(join(stage.directory(), name));
  spool = await stage.open();
  expect(await recoverAll(spool)).toMatchObject({ damagedBytes: 0 });
  await vi.waitFor(async () => expect(await filesLike(/\.msg$/)).toEqual([`${nthId(2)}.msg`]));
  expect(await filesLike(/^content-0000000001/)).toEqual([]);
});
