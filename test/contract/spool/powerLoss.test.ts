/**
 * Power loss at every kind of instant, on a file system that forgets what was not synced: several lives on
 * one folder, each ending at a random operation. What was promised is there with its bytes, what was
 * finished is gone, and what was refused does not come back, once the spool has begun a new log.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as fc from "fast-check";
import { expect, test } from "vitest";

import { silentLog } from "../../../relay/kit/log.ts";
import type { Random } from "../../../relay/kit/random.ts";
import { openFileSpool } from "../../../relay/queue/fileSpool.ts";
import type { Spool } from "../../../relay/queue/spool.ts";
import { FakeClock } from "../../support/fakeClock.ts";
import { PowerLossFiles } from "../../support/powerLossFiles.ts";
import { queuedMessage } from "../../support/queuedMessage.ts";
import { seededRandom } from "../../support/seededRandom.ts";
import { contentOf, nthId } from "./harness.ts";
import { type RecoveredAll, recoverAll } from "../../support/spool/recoverAll.ts";

type Fate = "accepted" | "unknown" | "finishing" | "finished" | "refused";

interface Book {
  readonly fates: Map<string, Fate>;
  readonly contents: Map<string, string>;
  /** Promised use of the one counter, and what was asked for at most. */
  usage: { promised: number; asked: number };
  next: number;
}

/** Lives until the files die: accepts and finishes at random, several at a time. */
async function live(spool: Spool, book: Book, random: Random, isDead: () => boolean): Promise<void> {
  /** Refused, and not yet cut off by the header of the next log: a death now may bring them back (ADR 0002). */
  const refusing = new Set<string>();
  const mend = async () => {
    await spool.probe();
    if (isDead() || spool.health.state !== "Ok") return;
    for (const id of refusing) book.fates.set(id, "refused");
    refusing.clear();
  };
  const accept = async () => {
    const id = nthId(book.next++);
    const content = `${id} `.repeat(Math.floor(random.draw() ** 3 * 40));
    book.contents.set(id, content);
    const writer = await spool.begin(id);
    for (let at = 0; at < content.length; at += 300)
      await writer.write(Buffer.from(content.slice(at, at + 300)));
    book.fates.set(id, "unknown");
    try {
      await writer.commit(queuedMessage({ id, sizeBytes: content.length }));
      book.fates.set(id, "accepted");
    } catch (error) {
      await writer.abort();
      if (!isDead()) refusing.add(id);
      throw error;
    }
  };
  const finish = async () => {
    const ids = [...book.fates].filter(([, fate]) => fate === "accepted").map(([id]) => id);
    const id = ids[Math.floor(random.draw() * ids.length)];
    if (id === undefined) return;
    book.fates.set(id, "finishing");
    const state = { kind: "delivered", at: 1 } as const;
    await spool.record([{ id, changes: [{ index: 0, recipient: { state, attempts: 1, last: null } }] }]);
    book.fates.set(id, "finished");
  };
  const use = async () => {
    const taken = ++book.usage.asked;
    await spool.recordUsage([{ counter: "a", taken }]);
    book.usage.promised = Math.max(book.usage.promised, taken);
  };
  const session = async () => {
    for (let step = 0; step < 40 && !isDead(); step++) {
      const choice = random.draw();
      try {
        await (choice < 0.5 ? accept() : choice < 0.9 ? finish() : use());
      } catch {
        if (!isDead()) await mend();
      }
    }
  };
  await Promise.all([session(), session(), session()]);
}

async function check(recovered: RecoveredAll, spool: Spool, book: Book): Promise<void> {
  const found = recovered.messages.map((message) => message.id);
  const here = new Set(found);
  expect(here.size).toBe(found.length);
  for (const [id, fate] of book.fates) {
    const allowed = {
      accepted: [true],
      unknown: [true, false],
      finishing: [true, false],
      finished: [false],
      refused: [false],
    };
    expect({ id, fate, here: allowed[fate].includes(here.has(id)) }).toEqual({ id, fate, here: true });
    if (fate === "unknown" || fate === "finishing")
      book.fates.set(id, here.has(id) ? "accepted" : "finished");
  }
  expect(found.filter((id) => !book.fates.has(id))).toEqual([]);
  for (const id of found) expect(await contentOf(spool, id)).toBe(book.contents.get(id));
  const taken = recovered.usage[0]?.taken ?? 0;
  expect(taken).toBeGreaterThanOrEqual(book.usage.promised);
  expect(taken).toBeLessThanOrEqual(book.usage.asked);
}

/** Tells how many messages it followed. */
async function story(options: {
  seed: number;
  lives: readonly number[];
  faults: readonly number[];
}): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), "spool-power-"));
  const random = seededRandom(options.seed);
  const clock = new FakeClock();
  const book: Book = { fates: new Map(), contents: new Map(), usage: { promised: 0, asked: 0 }, next: 0 };
  let files = new PowerLossFiles();
  const open = () =>
    openFileSpool({
      directory,
      clock,
      log: silentLog,
      files,
      options: {
        reserveBytes: 0,
        patienceMs: 0,
        segmentBytes: 400,
        checkpointBytes: 1500,
        compactionSlackBytes: 0,
        inlineBytes: 500,
        batchBytes: 2000,
      },
    });
  try {
    for (const operations of options.lives) {
      const spool = await open();
      let dead = false;
      await check(await recoverAll(spool), spool, book);
      for (const fault of options.faults) files.faultAt(fault, "fail");
      files.faultAt(operations, "die");
      const last = files.operations + operations;
      await live(spool, book, random, () => (dead ||= files.operations >= last));
      files = files.powerLoss(() => random.draw());
      await spool.close();
    }
    const spool = await open();
    await check(await recoverAll(spool), spool, book);
    await spool.close();
    return book.fates.size;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const life = fc.integer({ min: 1, max: 250 });

test("through power losses at any operation, promises hold", { timeout: 120_000 }, async () => {
  let checked = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(life, { minLength: 1, maxLength: 4 }), async (seed, lives) => {
      checked += await story({ seed, lives, faults: [] });
    }),
    { numRuns: 100 },
  );

  expect(checked).toBeGreaterThan(500);
});

test("so they do when writes and syncs fail now and then", { timeout: 120_000 }, async () => {
  const faults = fc.array(fc.integer({ min: 1, max: 150 }), { maxLength: 4 });
  let checked = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.array(life, { minLength: 1, maxLength: 3 }),
      faults,
      async (seed, lives, faults) => {
        checked += await story({ seed, lives, faults });
      },
    ),
    { numRuns: 100 },
  );

  expect(checked).toBeGreaterThan(300);
});
