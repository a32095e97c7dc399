/** Locked Debian packages by the real apt: refused when they are gone or are not what the lock says. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeEach, describe, expect, test } from "vitest";

import { debianPackages } from "../../image/parts/debian.ts";
import { type DebianLock, readLock } from "../../image/parts/debianLock.ts";
import { findProgram } from "../support/peers/debian.ts";

const apt = findProgram("apt-get");
if (apt === undefined) console.log("skipped: fetching locked packages needs apt-get");

const scratch = mkdtempSync(join(tmpdir(), "debian-lock-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const cache = join(scratch, "smtp-relay-operator/image/debian");
const environment = { XDG_CACHE_HOME: scratch };
const said: string[] = [];
const print = (line: string) => void said.push(line);
beforeEach(() => void (said.length = 0));

/** One small package of the lock, changed. */
function lockWith(change: { version?: string; sha256?: string }): DebianLock {
  const lock = readLock();
  const packages = lock.packages
    .filter(({ name }) => name === "libgcc-s1")
    .map((one) => {
      const file = `libgcc-s1_${change.version ?? one.version}_amd64.deb`;
      const amd64 = { file, sha256: change.sha256 ?? one.amd64.sha256 };
      return { ...one, version: change.version ?? one.version, amd64 };
    });
  return { ...lock, packages };
}
const get = async (lock: DebianLock, takeServed = false) =>
  await debianPackages({ architecture: "amd64", takeServed, print, lock, environment });
/** Before any Debian 12. */
const gone = lockWith({ version: "12.1.0-1" });

describe.skipIf(apt === undefined)("a locked package", () => {
  test("whose version is gone is refused, with the way to a new lock", async () => {
    await expect(get(gone)).rejects.toThrow(
      /^Cannot get libgcc-s1 12\.1\.0-1: Debian no longer serves it, but 12\.\S+\. npm run image -- --update-lock /,
    );
    expect(readdirSync(cache)).toEqual([]);
  });

  test("whose version is gone is replaced where that is wanted, and this is said", async () => {
    const [taken] = await get(gone, true);

    expect(taken?.version).toMatch(/^12\.2\./);
    expect(said.at(-1)).toMatch(/^libgcc-s1 12\.1\.0-1 is gone from Debian: 12\.2\.\S+ is taken/);
  });

  test("that is not what the lock says never gets into the cache", async () => {
    rmSync(cache, { recursive: true });
    await expect(get(lockWith({ sha256: "0".repeat(64) }))).rejects.toThrow(
      /^Cannot use libgcc-s1 .*: its SHA-256 must be 0{64}, what came has [0-9a-f]{64}\.$/,
    );
    expect(readdirSync(cache)).toEqual([]);
  });

  test("is asked for once; afterwards the cache has it", async () => {
    const [first] = await get(lockWith({}));
    expect(said).toHaveLength(1);
    said.length = 0;

    expect(await get(lockWith({}))).toEqual([first]);
    expect(said).toEqual([]);
  });
});
