/**
 * The crash suite held against relays that are known to be careless: each must be caught for what it does, and
 * the sound one must pass. Without this a suite that finds nothing would prove nothing.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { Deck } from "../../crash/deck.ts";
import type { DiskModel } from "../../crash/disk/disk.ts";
import type { Totals } from "../../crash/ledger.ts";
import { runRound } from "../../crash/round.ts";
import { byCommand, type TargetKind } from "../../crash/targets.ts";
import type { Manner } from "../../crash/tinyRelay.ts";
import { freePort } from "../../support/peers/program.ts";
import { seededRandom } from "../../support/seededRandom.ts";

const program = join(import.meta.dirname, "../../crash/tinyRelay.ts");

function tiny(manner: Manner): TargetKind {
  return async (world) => {
    const spool = join(world.folder, "spool");
    await mkdir(spool);
    const port = await freePort();
    const words = [process.execPath, program, manner, port, world.sinkPort, spool];
    const target = await byCommand({
      command: `exec ${words.join(" ")}`,
      host: "127.0.0.1",
      port,
      spoolFolders: [spool],
    })(world);
    return { ...target, tellsRecords: true };
  };
}

async function verdictOn(manner: Manner, disk: DiskModel | "none", kills = 10): Promise<Totals> {
  const folder = await mkdtemp(join(tmpdir(), "crash-control-"));
  try {
    const { totals } = await runRound({
      kind: tiny(manner),
      kills,
      seed: 7,
      deck: new Deck(seededRandom(7), false),
      folder,
      shared: folder,
      senderDomain: "example.test",
      recipientDomain: "inbox.test",
      settleMs: 0,
      later: 0,
      never: 0,
      patienceMs: 4000,
      sickness: false,
      ...(disk === "none" ? {} : { disk }),
      onKill: () => {},
    });
    expect(totals.accepted).toBeGreaterThan(20);
    return totals;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const clean = { lost: 0, damaged: 0, duplicatesBeyondInFlight: 0 };

test.concurrent("a sound relay passes, with and without power loss", { timeout: 120_000 }, async () => {
  expect(await verdictOn("sound", "none")).toMatchObject(clean);
  expect(await verdictOn("sound", "strict")).toMatchObject(clean);
  expect(await verdictOn("sound", "journalled")).toMatchObject(clean);
});

test.concurrent(
  "a relay that answers before it syncs loses mail with the power, and only then",
  { timeout: 120_000 },
  async () => {
    expect((await verdictOn("answers-first", "strict")).lost).toBeGreaterThan(0);
    expect((await verdictOn("answers-first", "journalled")).lost).toBeGreaterThan(0);
  },
);

test.concurrent(
  "a relay that never syncs its folder loses mail where the disk promises no names",
  { timeout: 120_000 },
  async () => {
    expect((await verdictOn("forgets-folder", "strict")).lost).toBeGreaterThan(0);
    // ext4 and XFS keep a new file's name with the file's sync: what such relays live on.
    expect(await verdictOn("forgets-folder", "journalled")).toMatchObject({ lost: 0 });
  },
);

test.concurrent(
  "a relay that keeps mail in memory loses it to a mere kill",
  { timeout: 120_000 },
  async () => {
    expect((await verdictOn("keeps-in-memory", "none")).lost).toBeGreaterThan(0);
  },
);

test.concurrent(
  "a relay that forgets what it delivered is caught for duplicates that no kill explains",
  { timeout: 120_000 },
  async () => {
    const { duplicatesBeyondInFlight, lost } = await verdictOn("forgets-delivery", "none");
    expect(duplicatesBeyondInFlight).toBeGreaterThan(0);
    expect(lost).toBe(0);
  },
);

test.concurrent("a relay that spoils a byte is caught", { timeout: 120_000 }, async () => {
  expect((await verdictOn("spoils-content", "none")).damaged).toBeGreaterThan(0);
});
