/** What only the file spool can show: syncs that are shared, files that lost their trust, damage, the disk given back. */
import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { contentOf, fileStage, nthId, put } from "../../test/contract/spool/harness.ts";
import { queuedMessage } from "../../test/support/queuedMessage.ts";
import { silentLog } from "../kit/log.ts";
import { openFileSpool } from "./fileSpool.ts";
import { type Spool, SpoolError } from "./spool.ts";
import { recoverAll } from "../../test/support/spool/recoverAll.ts";

type FileStage = Awaited<ReturnType<typeof fileStage>>;
let stage: FileStage;
let spool: Spool;

async function start(options: Parameters<typeof fileStage>[0] = {}): Promise<void> {
  stage = await fileStage(options);
  spool = await stage.open();
  await spool.recover();
}

async function restart(): Promise<string[]> {
  spool = await stage.openAfterKill();
  return (await recoverAll(spool)).messages.map((message) => message.id);
}

async function finish(id: string): Promise<void> {
  const state = { kind: "delivered", at: 1 } as const;
  await spool.record([{ id, changes: [{ index: 0, recipient: { state, attempts: 1, last: null } }] }]);
}

async function filesLike(pattern: RegExp): Promise<string[]> {
  const names = await readdir(stage.directory());
  return names.filter((name) => pattern.test(name)).toSorted();
}

beforeEach(() => start());
afterEach(() => stage.remove());

describe("group commit", () => {
  test("twenty commits at once share one sync", async () => {
    const writers = await Promise.all(Array.from({ length: 20 }, (_, n) => spool.begin(nthId(n))));
    for (const writer of writers) await writer.write(Buffer.from("content"));
    const before = { ...stage.files.counts };
    await Promise.all(writers.map((writer) => writer.commit(queuedMessage({ id: writer.id, sizeBytes: 7 }))));

    expect(stage.files.counts.datasync - before.datasync).toBe(1);
  });

  test("a sync precedes every answer, and one of the folder for a new file", async () => {
    stage.files.journal.length = 0;
    const folders = stage.files.counts.syncFolder;
    await put(spool, nthId(1), "one");
    const first = stage.files.journal.map(({ operation, path }) => `${operation} ${path.slice(-3)}`);
    expect(first.toSorted()).toEqual(["datasync seg", "write seg", "write seg"]);
    expect(stage.files.counts.syncFolder).toBe(folders + 1);

    stage.files.journal.length = 0;
    await put(spool, nthId(2), "two");
    expect(stage.files.journal.length).toBe(2);
    expect(stage.files.counts.syncFolder).toBe(folders + 1);
  });

  test("a large message is written as it comes, and synced before its envelope", async () => {
    const writer = await spool.begin(nthId(1));
    const chunk = Buffer.alloc(100_000, "x");
    stage.files.journal.length = 0;
    for (let n = 0; n < 10; n++) await writer.write(chunk);
    const path = join(stage.directory(), `${nthId(1)}.msg`);
    expect((await stat(path)).size).toBeGreaterThan(900_000);
    await writer.commit(queuedMessage({ id: nthId(1), sizeBytes: 1_000_000 }));

    const syncs = stage.files.journal.filter(({ operation }) => operation === "datasync");
    expect(syncs.map(({ path }) => path.slice(-3))).toEqual(["msg", "log"]);
    expect((await contentOf(spool, nthId(1))).length).toBe(1_000_000);
  });

  test("content that was just committed is at hand until its first attempt is recorded, a large message's never", async () => {
    for (const id of [nthId(1), nthId(2)]) await put(spool, id, "content");
    const large = await spool.begin(nthId(3));
    await large.write(Buffer.alloc(1_000_000, "x"));
    await large.commit(queuedMessage({ id: nthId(3), sizeBytes: 1_000_000 }));
    const atHand = (n: number) => {
      const pieces = spool.atHand(nthId(n));
      return pieces === null ? null : Buffer.concat(pieces).toString();
    };
    expect([1, 2, 3].map(atHand)).toEqual(["content", "content", null]);

    const recipient = { state: { kind: "waiting", dueAt: 9 }, attempts: 1, last: null } as const;
    await spool.record([{ id: nthId(1), changes: [{ index: 0, recipient }] }]);
    expect([1, 2].map(atHand)).toEqual([null, "content"]);
  });

  test("four hundred small messages that wait leave room at hand for the next: each counts for what it takes", async () => {
    for (let n = 0; n < 400; n++) await put(spool, nthId(n), "content");
    await put(spool, nthId(400), "x".repeat(10_240));
    expect(spool.atHand(nthId(399))).not.toBeNull();
    expect(spool.atHand(nthId(400))).not.toBeNull();
  });

  test("memory for waiting content is bounded over all messages", async () => {
    await stage.remove();
    await start({ inlineBytes: 10_000_000, bufferedBytes: 300_000 });
    const writers = await Promise.all(Array.from({ length: 5 }, (_, n) => spool.begin(nthId(n))));
    for (const writer of writers) await writer.write(Buffer.alloc(100_000));

    expect((await filesLike(/\.msg$/)).length).toBe(2);
    await Promise.all(writers.map((writer) => writer.abort()));
    expect(await filesLike(/\.msg$/)).toEqual([]);
  });
});

describe("a failed sync", () => {
  test.each(["datasync", "write"] as const)(
    "of content (%s): no promise, no trust in that file again, and the message stays away",
    async (operation) => {
      await put(spool, nthId(1), "before");
      const path = /content-/;
      // Not even the tail can be cut off: the batch stays on the disk.
      stage.files.fail({ operation, path, code: "EIO" }, { operation: "truncate", path: /./, code: "EIO" });
      await expect(put(spool, nthId(2), "during")).rejects.toThrow(/input\/output error \(EIO\)/);
      const distrusted = stage.files.journal.filter((entry) => path.test(entry.path)).at(-1)?.path;
      stage.files.mend();
      stage.files.journal.length = 0;
      expect(await spool.probe()).toEqual({ state: "Ok" });
      await put(spool, nthId(3), "after");

      expect(stage.files.journal.map((entry) => entry.path)).not.toContain(distrusted);
      expect(await restart()).toEqual([nthId(1), nthId(3)]);
      expect(await contentOf(spool, nthId(1))).toBe("before");
    },
  );

  test.each(["datasync", "write"] as const)(
    "of metadata alone (%s): no promise, no trust in that file again, and nothing of before is lost",
    async (operation) => {
      // In the journal of its segment only: the log that fails was to get it with the next records.
      await put(spool, nthId(1), "before");
      await put(spool, nthId(2), "and another");
      const path = /metadata-/;
      stage.files.fail({ operation, path, code: "EIO" }, { operation: "truncate", path: /./, code: "EIO" });
      await expect(finish(nthId(1))).rejects.toThrow(/input\/output error \(EIO\)/);
      const distrusted = stage.files.journal.filter((entry) => path.test(entry.path)).at(-1)?.path;
      stage.files.mend();
      stage.files.journal.length = 0;
      expect(await spool.probe()).toEqual({ state: "Ok" });
      await finish(nthId(2));
      await put(spool, nthId(3), "after");

      expect(stage.files.journal.map((entry) => entry.path)).not.toContain(distrusted);
      expect(await restart()).toEqual([nthId(1), nthId(3)]);
      expect(await contentOf(spool, nthId(1))).toBe("before");
    },
  );

  test("fails every commit of its batch and what was waiting behind it", async () => {
    const writers = await Promise.all(Array.from({ length: 5 }, (_, n) => spool.begin(nthId(n))));
    stage.files.fail({ operation: "datasync", path: /content-/, code: "EIO" });
    const results = await Promise.allSettled(
      writers.map((writer) => writer.commit(queuedMessage({ id: writer.id, sizeBytes: 0 }))),
    );

    for (const result of results)
      expect(result.status === "rejected" && result.reason).toBeInstanceOf(SpoolError);
    stage.files.mend();
    await spool.probe();
    expect(await restart()).toEqual([]);
  });

  test("of a torn write leaves the part behind, and the next life does not stumble over it", async () => {
    await put(spool, nthId(1), "before");
    stage.files.fail(
      { operation: "write", path: /metadata-/, code: "EIO", tornAfterBytes: 60 },
      { operation: "truncate", path: /./, code: "EIO" },
    );
    await expect(spool.recordUsage([{ counter: "a", taken: 1 }])).rejects.toThrow(SpoolError);
    // Killed before anything could be repaired.
    stage.files.mend();
    spool = await stage.openAfterKill();
    const { messages, tornBytes } = await recoverAll(spool);

    expect(messages.map((message) => message.id)).toEqual([nthId(1)]);
    expect(tornBytes).toBeGreaterThan(0);
  });
});

describe("a full or read-only disk", () => {
  test("full in the middle of a batch: that message is refused, and what was delivered is still recorded", async () => {
    await put(spool, nthId(1), "before");
    stage.files.fail({ operation: "write", path: /content-/, code: "ENOSPC", tornAfterBytes: 10 });
    await expect(put(spool, nthId(2), "during")).rejects.toThrow(/no space is left on the device \(ENOSPC\)/);
    expect(spool.health).toMatchObject({ state: "Failed", full: true });
    await finish(nthId(1));
    stage.files.mend();
    await spool.probe();
    await put(spool, nthId(3), "after");

    expect(spool.health).toEqual({ state: "Ok" });
    expect(await restart()).toEqual([nthId(3)]);
  });

  test("full under a large message: that one is refused, and leaves no file", async () => {
    const writer = await spool.begin(nthId(1));
    stage.files.fail({ operation: "write", path: /\.msg$/, code: "ENOSPC" });
    await expect(writer.write(Buffer.alloc(300_000))).rejects.toThrow(SpoolError);
    await expect(writer.write(Buffer.alloc(10))).rejects.toThrow(SpoolError);
    await expect(writer.commit(queuedMessage({ id: nthId(1), sizeBytes: 300_010 }))).rejects.toThrow(
      SpoolError,
    );
    await writer.abort();

    expect(await filesLike(/\.msg$/)).toEqual([]);
    expect(spool.health).toMatchObject({ full: true });
  });

  test("nearly full: the reason names what is free and what is kept", async () => {
    await stage.remove();
    await start({ reserveBytes: 2 ** 60 });

    await expect(spool.begin(nthId(1))).rejects.toThrow(
      /nearly full: \d+ MiB are free, 1099511627776 MiB are kept/,
    );
  });

  test("read-only at the start: the queue can be seen, and a probe brings writing back", async () => {
    await put(spool, nthId(1), "before");
    stage.files.failWrites("EROFS");
    expect(await restart()).toEqual([nthId(1)]);
    expect(spool.health).toMatchObject({ state: "Failed", reason: "the file system is read-only (EROFS)" });
    expect(await contentOf(spool, nthId(1))).toBe("before");
    await expect(spool.begin(nthId(2))).rejects.toThrow(/read-only/);
    expect(await spool.probe()).toMatchObject({ state: "Failed" });
    stage.files.mend();
    expect(await spool.probe()).toEqual({ state: "Ok" });
    await put(spool, nthId(2), "after");

    expect(await restart()).toEqual([nthId(1), nthId(2)]);
  });
});

describe("damage", () => {
  async function garble(pattern: RegExp, at: (bytes: Buffer) => number): Promise<void> {
    const [name = ""] = await filesLike(pattern);
    const path = join(stage.directory(), name);
    const bytes = await readFile(path);
    const offset = at(bytes);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    await writeFile(path, bytes);
  }

  test("of content is an error that names message and block, and no damaged byte is handed out", async () => {
    await put(spool, nthId(1), "a".repeat(100_000));
    await put(spool, nthId(2), "sound");
    await garble(/\.seg$/, (bytes) => bytes.indexOf("aaa") + 80_000);

    await expect(contentOf(spool, nthId(1))).rejects.toThrow(
      /message 01J0+1: block 1 of its content is damaged/,
    );
    expect(await contentOf(spool, nthId(1), { start: 0, end: 60_000 })).toBe("a".repeat(60_000));
    expect(await contentOf(spool, nthId(2))).toBe("sound");
  });

  test("of content in the last batch, which nobody was promised: withdrawn, for good", async () => {
    await put(spool, nthId(1), "before");
    await put(spool, nthId(2), "never synced");
    // As a power loss leaves it that kept the log and lost the segment's last pages.
    await garble(/\.seg$/, (bytes) => bytes.indexOf("never synced"));

    expect(await restart()).toEqual([nthId(1)]);
    await put(spool, nthId(3), "after");
    expect(await restart()).toEqual([nthId(1), nthId(3)]);
  });

  test("of a clean stop is none: nothing is doubted after it", async () => {
    await put(spool, nthId(1), "content");
    await spool.close();
    await garble(/\.seg$/, (bytes) => bytes.indexOf("content"));
    spool = await stage.open();

    // Promised and damaged: it stays in sight, and reading it says why.
    expect((await recoverAll(spool)).messages.length).toBe(1);
    await expect(contentOf(spool, nthId(1))).rejects.toThrow(/damaged/);
  });
});

describe("the disk is given back", () => {
  test("a segment whose messages are all final is deleted, a large message's file at once", async () => {
    await stage.remove();
    await start({ segmentBytes: 1400, inlineBytes: 2000 });
    for (let n = 0; n < 10; n++) await put(spool, nthId(n), "x".repeat(600));
    await put(spool, nthId(99), "y".repeat(3000));
    expect((await filesLike(/\.seg$/)).length).toBe(5);
    for (let n = 0; n < 8; n++) await finish(nthId(n));
    await finish(nthId(99));

    await vi.waitFor(async () => expect(await filesLike(/\.(seg|msg)$/)).toEqual(["content-0000000005.seg"]));
  });

  test("what waits in mostly dead segments is copied together, and stays readable all the while", async () => {
    await stage.remove();
    await start({ segmentBytes: 10_000, compactionSlackBytes: 5000 });
    const content = (n: number) => `message ${n} `.repeat(80);
    for (let n = 0; n < 100; n++) await put(spool, nthId(n), content(n));
    const reader = spool.read(nthId(0), { start: 0 });
    for (let n = 0; n < 100; n++) if (n % 20 !== 0) await finish(nthId(n));

    await vi.waitFor(async () => expect((await filesLike(/\.seg$/)).length).toBeLessThanOrEqual(3));
    expect(Buffer.concat(await reader.toArray()).toString()).toBe(content(0));
    for (const n of [0, 20, 40, 60, 80]) expect(await contentOf(spool, nthId(n))).toBe(content(n));
    expect(await restart()).toEqual([0, 20, 40, 60, 80].map(nthId));
    for (const n of [0, 20, 40, 60, 80]) expect(await contentOf(spool, nthId(n))).toBe(content(n));
  });

  test("the metadata log does not grow with what has gone through", async () => {
    await stage.remove();
    await start({ checkpointBytes: 20_000 });
    for (let n = 0; n < 300; n++) {
      await put(spool, nthId(n), "x");
      await finish(nthId(n));
    }
    await vi.waitFor(async () => {
      const names = await filesLike(/\.log$/);
      const sizes = await Promise.all(
        names.map(async (name) => (await stat(join(stage.directory(), name))).size),
      );
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(50_000);
    });
    expect(await restart()).toEqual([]);
  });

  test("files of messages that were never committed are swept at the next start", async () => {
    const writer = await spool.begin(nthId(1));
    await writer.write(Buffer.alloc(300_000));
    expect((await filesLike(/\.msg$/)).length).toBe(1);
    await restart();

    expect(await filesLike(/\.msg$/)).toEqual([]);
  });
});

/** Written by the release of that format: a message, one that was delivered, a large one, use of an allowance. */
const formatOne = join(import.meta.dirname, "../../test/support/spool/format1");

test("a spool of format 1, which had no journals, is read whole and goes on in this format", async () => {
  await spool.close();
  for (const name of await readdir(stage.directory())) await rm(join(stage.directory(), name));
  await cp(formatOne, stage.directory(), { recursive: true });

  expect(await restart()).toEqual([nthId(1), nthId(3)]);
  await put(spool, nthId(4), "four");
  await finish(nthId(1));
  expect(await restart()).toEqual([nthId(3), nthId(4)]);
  expect(await contentOf(spool, nthId(3))).toBe("three ".repeat(300));
  expect(await contentOf(spool, nthId(4))).toBe("four");
  spool = await stage.openAfterKill();
  const { usage } = await spool.recover();
  expect(usage).toEqual([{ counter: "a|google|2026-11-23", taken: 7 }]);
});

describe("the folder", () => {
  const again = (directory: string) =>
    openFileSpool({
      directory,
      clock: stage.clock,
      log: silentLog,
      options: { reserveBytes: 0, patienceMs: 0 },
    });

  test("is held by one process; a second is refused by name, until the first has closed", async () => {
    await expect(again(stage.directory())).rejects.toThrow(`process ${process.pid} on`);
    await spool.close();
    await (await again(stage.directory())).close();
  });

  test.each([
    { because: "its process is gone", change: { pid: 2 ** 22 + 1 } },
    { because: "its pid is another process by now", change: { startedAt: "1" } },
    { because: "the machine was booted since", change: { bootId: "another" } },
  ])("is taken over when the lock is stale: $because", async ({ change }) => {
    const path = join(stage.directory(), "lock");
    const owner = JSON.parse(await readFile(path, "utf8")) as object;
    await writeFile(path, JSON.stringify({ ...owner, ...change }));

    const successor = await again(stage.directory());
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual(owner);
    await successor.close();
  });

  test("of a newer format, or with a damaged birth certificate, is refused", async () => {
    await spool.close();
    const path = join(stage.directory(), "spool.json");
    await writeFile(path, JSON.stringify({ format: 5, createdAt: "2026-11-23T12:00:00Z" }));
    await expect(again(stage.directory())).rejects.toThrow(/format is version 5, this release knows up to 4/);
    await writeFile(path, "{");
    await expect(again(stage.directory())).rejects.toThrow(/spool.json is damaged/);
    await writeFile(path, JSON.stringify({ format: 2, createdAt: "2026-11-23T12:00:00Z" }));
    await (await again(stage.directory())).close();
  });

  test("that cannot be made is refused by path and reason", async () => {
    await expect(again(join(stage.directory(), "spool.json", "below"))).rejects.toThrow(
      /Cannot open the spool at .*spool.json\/below: .*(ENOTDIR|not a directory)/,
    );
  });

  test("is readable by its user only", async () => {
    await put(spool, nthId(1), "secret");
    for (const name of await filesLike(/\.(seg|log)$/)) {
      expect((await stat(join(stage.directory(), name))).mode & 0o077).toBe(0);
    }
  });
});

test("ids that are no ULIDs never become file names", async () => {
  await expect(spool.begin("../../etc/passwd")).rejects.toThrow(/no ULID/);
});
