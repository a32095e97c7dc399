/** Same source, same bytes: from another folder, by another user's settings, with a cache that knows no layer. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { cacheFolder } from "../../image/cacheFolder.ts";

const repository = join(import.meta.dirname, "../..");
const scratch = mkdtempSync(join(tmpdir(), "reproducible-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const source = ["--revision", "0123abc"];
const moment = { SOURCE_DATE_EPOCH: "1790000000" };

function build(
  tree: string,
  output: string,
  environment: NodeJS.ProcessEnv,
  umask: string,
): { digest: string; packedBytes: number } {
  const words = ["image/main.ts", "--json", "--take-served", ...source, "--output", output];
  const ended = spawnSync("/bin/sh", ["-c", `umask ${umask}; exec "$0" "$@"`, process.execPath, ...words], {
    cwd: tree,
    env: { ...process.env, ...moment, ...environment },
    encoding: "utf8",
  });
  if (ended.status !== 0) throw new Error(ended.stderr);
  return JSON.parse(ended.stdout) as { digest: string; packedBytes: number };
}

beforeAll(() => {
  // What Git would check out, and what is not committed yet.
  const listed = execFileSync("git", ["-C", repository, "ls-files", "-co", "--exclude-standard"], {
    encoding: "utf8",
  });
  for (const path of listed.trim().split("\n")) {
    mkdirSync(dirname(join(scratch, "copy", path)), { recursive: true });
    cpSync(join(repository, path), join(scratch, "copy", path), { force: true });
  }
  symlinkSync(join(repository, "node_modules"), join(scratch, "copy", "node_modules"));
  // Parts as they were fetched, and no layer that was packed before.
  const cache = join(scratch, "cache", "smtp-relay-operator", "image");
  mkdirSync(cache, { recursive: true });
  for (const part of ["debian", "npm"])
    symlinkSync(join(cacheFolder(process.env), "image", part), join(cache, part));
});

test("the archive and its list of contents are the same, byte by byte", () => {
  const here = join(scratch, "here.tar");
  const there = join(scratch, "there.tar");
  const first = build(repository, here, {}, "022");
  const second = build(
    join(scratch, "copy"),
    there,
    { XDG_CACHE_HOME: join(scratch, "cache"), TZ: "Pacific/Auckland", LC_ALL: "C", LANG: "tr_TR.UTF-8" },
    "077",
  );

  expect(second.digest).toBe(first.digest);
  expect(readFileSync(there).equals(readFileSync(here))).toBe(true);
  expect(readFileSync(`${there}.cdx.json`, "utf8")).toBe(readFileSync(`${here}.cdx.json`, "utf8"));
  expect(readFileSync(here).includes("2026-09-21")).toBe(true);
}, 300_000);

test("another moment is another image of the same layers", () => {
  const words = { SOURCE_DATE_EPOCH: "0" };
  const one = build(repository, join(scratch, "one.tar"), {}, "022");
  const other = build(repository, join(scratch, "other.tar"), words, "022");

  expect(other.digest).not.toBe(one.digest);
  expect(other).toMatchObject({ packedBytes: one.packedBytes });
}, 120_000);
