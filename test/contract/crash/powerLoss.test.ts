/**
 * The preloaded disk itself, by a program that does one thing and no more: what was synced is there after the
 * power loss whatever chance says, what was not is gone for some seed, and a failed sync keeps nothing.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { expect, test } from "vitest";

import { type DiskModel, type Faults, openDisk } from "../../crash/disk/disk.ts";
import { seededRandom } from "../../support/seededRandom.ts";

/** Enough for each of the few outcomes to come up; the seeds are fixed, so that it is always the same. */
const SEEDS = 16;

/** What the folder holds after `script` and a power loss, by seed, each as "name=content" in one line. */
async function leftBy(script: string, model: DiskModel, faults: Faults = {}): Promise<Set<string>> {
  const folder = await mkdtemp(join(tmpdir(), "crash-disk-"));
  const spool = join(folder, "spool");
  const left = new Set<string>();
  try {
    await using disk = await openDisk({ folder, folders: [spool], model });
    for (let seed = 1; seed <= SEEDS; seed++) {
      await rm(spool, { recursive: true, force: true });
      await mkdir(spool);
      await disk.setFaults(faults);
      const program = `const fs = require("node:fs"); process.chdir(${JSON.stringify(spool)});
        const put = (name, text) => { const f = fs.openSync(name, "w"); fs.writeSync(f, text); return f; };
        const syncFolder = () => { const f = fs.openSync(".", "r"); fs.fsyncSync(f); fs.closeSync(f); };
        ${script}`;
      await promisify(execFile)(process.execPath, ["-e", program], { env: { ...process.env, ...disk.env } });
      await disk.losePower(seededRandom(seed));
      const names = (await readdir(spool)).toSorted((a, b) => a.localeCompare(b));
      const files = await Promise.all(
        names.map(async (name) => `${name}=${await readFile(join(spool, name), "latin1")}`),
      );
      left.add(files.join(" "));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return left;
}

test("what is synced, name and all, is always there", { timeout: 120_000 }, async () => {
  expect(await leftBy(`fs.fsyncSync(put("a", "one")); syncFolder();`, "strict")).toEqual(new Set(["a=one"]));
});

test("without a sync a file may be there, be gone, or be empty", { timeout: 120_000 }, async () => {
  const left = await leftBy(`put("a", "one");`, "strict");
  expect(left).toContain("");
  expect(left).toContain("a=");
  expect(left).toContain("a=one");
});

test(
  "a name needs its folder's sync on a strict disk, and only the file's on a journalled one",
  { timeout: 120_000 },
  async () => {
    const script = `fs.fsyncSync(put("a", "one"));`;
    expect(await leftBy(script, "strict")).toEqual(new Set(["", "a=one"]));
    expect(await leftBy(script, "journalled")).toEqual(new Set(["a=one"]));
  },
);

test("what was overwritten or cut without a sync may come back", { timeout: 120_000 }, async () => {
  const left = await leftBy(
    `fs.fsyncSync(put("a", "one")); syncFolder(); const f = fs.openSync("a", "r+"); fs.writeSync(f, "two", 0); fs.ftruncateSync(f, 2);`,
    "strict",
  );
  expect(left).toContain("a=one");
  expect(left).toContain("a=tw");
});

test("a deleted or renamed file may come back until its folder is synced", { timeout: 120_000 }, async () => {
  const script = `fs.fsyncSync(put("a", "one")); fs.fsyncSync(put("b", "two")); syncFolder(); fs.unlinkSync("a"); fs.renameSync("b", "c");`;
  const left = await leftBy(script, "journalled");
  expect(left).toContain("a=one b=two");
  expect(left).toContain("c=two");
  expect(await leftBy(`${script} syncFolder();`, "strict")).toEqual(new Set(["c=two"]));
});

test(
  "a failed sync keeps nothing, and neither does a later one that succeeds",
  { timeout: 120_000 },
  async () => {
    const script = `syncFolder(); const f = put("a", "one"); syncFolder(); try { fs.fsyncSync(f); process.exit(3); } catch {} fs.fsyncSync(f);`;
    // The first two syncs are the folder's.
    expect(await leftBy(script, "strict", { failSyncAt: 3 })).toContain("a=");
  },
);

test(
  "a full disk takes what fits and then says so, a read-only one takes nothing",
  { timeout: 120_000 },
  async () => {
    const full = `try { put("a", "x".repeat(4096)); } catch (e) { process.exit(e.code === "ENOSPC" ? 0 : 4); }
    const f = fs.openSync("a", "r+"); let code; try { fs.writeSync(f, "y"); } catch (e) { code = e.code; } if (code !== "ENOSPC") process.exit(5);`;
    await leftBy(full, "strict", { roomKiB: 1 });
    const readOnly = `let code; try { put("a", "one"); } catch (e) { code = e.code; } if (code !== "EROFS") process.exit(5);`;
    expect(await leftBy(readOnly, "strict", { writeError: "EROFS" })).toEqual(new Set([""]));
  },
);
