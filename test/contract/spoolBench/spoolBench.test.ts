/** The spool bench, with a handful of messages: every engine does all of the work, and every number is there. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { expect, test } from "vitest";

import type { Spread } from "../../bench/spread.ts";
import { findProgram } from "../../support/peers/debian.ts";

const main = join(import.meta.dirname, "../../bench/spool/main.ts");
const names = ["own", "own-urgent", "lmdb", "sqlite", "sqlite-main"];

test("a tiny run measures every engine at every work, and says nothing of what it did not measure", async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--no-warnings", main, "--scale", "0.0001", "--repetitions", "1", "--json"],
    { timeout: 170_000 },
  );
  const { life, recovery, large } = JSON.parse(stdout) as {
    life: {
      engine: string;
      inFlight: number;
      phases: Record<string, { perSecond: Spread; syncs: number | null }>;
    }[];
    recovery: { engine: string; messages: Spread }[];
    large: { engine: string; putSeconds: Spread }[];
  };
  expect(life.map(({ engine, inFlight }) => `${engine} ${inFlight}`)).toEqual(
    names.flatMap((name) => [1, 20, 100].map((inFlight) => `${name} ${inFlight}`)),
  );
  // All ten are found after the kill.
  expect(recovery.map(({ engine, messages }) => [engine, messages.median])).toEqual(
    names.map((name) => [name, 10]),
  );
  expect(large.filter(({ putSeconds }) => putSeconds.low > 0).map(({ engine }) => engine)).toEqual(names);
  // An engine that does not sync is not compared: one message at a time is one sync at least.
  const counts = (least: number) => findProgram("strace") !== undefined && least;
  for (const { engine, inFlight, phases } of life) {
    for (const name of ["put", "record", "remove"]) {
      const { syncs = null, perSecond } = phases[name] ?? {};
      const least = counts(inFlight === 1 ? 1 : 0.1);
      const isCounted = least === false ? syncs === null : syncs !== null && syncs >= least;
      expect({ engine, inFlight, name, isCounted, isFast: (perSecond?.low ?? 0) > 0 }).toEqual({
        ...{ engine, inFlight, name, isCounted: true, isFast: true },
      });
    }
  }
}, 180_000);
