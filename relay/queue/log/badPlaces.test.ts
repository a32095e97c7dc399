import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { FaultyFiles } from "../../../test/support/faultyFiles.ts";
import { aroundBadPlaces, type AroundBadPlaces } from "./badPlaces.ts";

const PAGE = 4096;
const content = Buffer.alloc(300 * PAGE, "m");
let folder: string;
let files: FaultyFiles;
let file: AroundBadPlaces;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bad-places-"));
  await writeFile(join(folder, "log"), content);
  files = new FaultyFiles();
  file = aroundBadPlaces(await files.open(join(folder, "log")));
});
afterEach(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

function spoil(...pages: readonly number[]): void {
  for (const page of pages) {
    files.fail({ operation: "read", path: /log$/, code: "EIO", bytes: [page * PAGE, (page + 1) * PAGE] });
  }
}

test("what lies in a page that the disk cannot read comes as zeros, the rest as it is, and it counts once", async () => {
  spoil(2, 7);
  const expected = Buffer.from(content);
  expected.fill(0, 2 * PAGE, 3 * PAGE).fill(0, 7 * PAGE, 8 * PAGE);
  for (const [length, position] of [
    [content.length, 0],
    [10_000, 5000],
    [100, 2 * PAGE + 1000],
    [9 * PAGE, 295 * PAGE],
  ] as const) {
    const read = await file.read(length, position);
    expect(read.equals(expected.subarray(position, position + length))).toBe(true);
  }
  expect(file.badBytes).toBe(2 * PAGE);
});

test("64 KiB in a row are a bad place, and more are a disk that is gone", async () => {
  spoil(...Array.from({ length: 16 }, (_, n) => 20 + n));
  await expect(file.read(content.length, 0)).resolves.toHaveLength(content.length);
  spoil(36);
  await expect(file.read(content.length, 0)).rejects.toThrow("EIO");
});

test("256 KiB of bad places are read around, however they lie, and no more", async () => {
  spoil(...Array.from({ length: 64 }, (_, n) => 4 * n));
  await expect(file.read(content.length, 0)).resolves.toHaveLength(content.length);
  spoil(290);
  await expect(file.read(content.length, 0)).rejects.toThrow("EIO");
});
