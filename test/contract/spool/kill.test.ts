/**
 * kill -9 at random instants, life after life on the same folder: what was promised is there, with its
 * bytes; what was never asked for is not; what was finished stays so.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { expect, test } from "vitest";

import { systemClock } from "../../../relay/kit/clock.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { openFileSpool } from "../../../relay/queue/fileSpool.ts";
import { seededRandom } from "../../support/seededRandom.ts";
import { contentOf } from "./harness.ts";
import { recoverAll } from "../../support/spool/recoverAll.ts";

const KILLS = 15;
const SEED = 20_261_123;
const program = join(import.meta.dirname, "../../support/spool/writer.ts");

interface Ledger {
  /** Hash of the content by id. */
  readonly accepted: Map<string, string>;
  readonly tried: Set<string>;
  readonly finishing: Set<string>;
  readonly finished: Set<string>;
}

/** What a life found at its start, against all that was said before it. */
function check(found: readonly string[], { accepted, tried, finishing, finished }: Ledger): void {
  const here = new Set(found);
  expect(here.size).toBe(found.length);
  // Between "finishing" and "finished" either is right.
  expect([...accepted.keys()].filter((id) => !here.has(id) && !finishing.has(id))).toEqual([]);
  expect(found.filter((id) => !tried.has(id))).toEqual([]);
  expect(found.filter((id) => finished.has(id))).toEqual([]);
}

/** Runs one life and kills it after so many lines. Gives the ids it found at its start. */
async function live(
  directory: string,
  life: number,
  killAfterLines: number,
  ledger: Ledger,
): Promise<string[]> {
  const child = spawn(process.execPath, [program, directory, String(SEED), String(life)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
  const exited = once(child, "exit");
  let recovered: string[] | undefined;
  let lines = 0;
  // The kill falls between two writes of the child as often as within one: it is not told.
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, id = "", hash = ""] = line.split(" ");
    if (word === "recovered")
      recovered = line
        .split(" ")
        .slice(1)
        .filter((text) => text !== "");
    else if (word === "trying") ledger.tried.add(id);
    else if (word === "accepted") ledger.accepted.set(id, hash);
    else if (word === "finishing") ledger.finishing.add(id);
    else if (word === "finished") ledger.finished.add(id);
    if (++lines === killAfterLines) child.kill("SIGKILL");
  }
  const [, signal] = (await exited) as [number | null, string | null];
  if (signal !== "SIGKILL" || recovered === undefined)
    throw new Error(`life ${life} ended by itself: ${errors}`);
  return recovered;
}

test(`nothing is lost and nothing comes twice through ${KILLS} kills`, { timeout: 120_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), "spool-kill-"));
  const random = seededRandom(SEED);
  const ledger: Ledger = {
    accepted: new Map(),
    tried: new Set(),
    finishing: new Set(),
    finished: new Set(),
  };
  try {
    for (let life = 0; life < KILLS; life++) {
      const known = structuredClone(ledger);
      // Some die during recovery, some after hundreds of messages.
      const found = await live(directory, life, 1 + Math.floor(random.draw() ** 2 * 1000), ledger);
      check(found, known);
    }

    const spool = await openFileSpool({
      directory,
      clock: systemClock,
      log: silentLog,
      options: { reserveBytes: 0 },
    });
    const { messages } = await recoverAll(spool);
    check(
      messages.map((message) => message.id),
      ledger,
    );
    for (const { id, sizeBytes } of messages) {
      const content = await contentOf(spool, id);
      expect(content.length).toBe(sizeBytes);
      const hash = createHash("sha256").update(content, "latin1").digest("hex");
      expect(ledger.accepted.get(id) ?? hash).toBe(hash);
    }
    await spool.close();
    // The lives did something worth killing.
    expect(ledger.accepted.size).toBeGreaterThan(300);
    expect(ledger.finished.size).toBeGreaterThan(100);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
