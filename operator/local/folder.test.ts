import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { systemClock } from "../../relay/kit/clock.ts";
import { readFolder, watchFolder } from "./folder.ts";

let folder: string;
const stops: (() => void)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "manifests-"));
});
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  rmSync(folder, { recursive: true, force: true });
});

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

/** What the watcher was told of, as the text of a.yaml at each call. */
async function watched(): Promise<string[]> {
  const heard: string[] = [];
  const watching = await watchFolder({
    folder,
    clock: systemClock,
    onChange: async () => {
      const { files, refusals } = await readFolder(folder);
      heard.push(refusals[0]?.text ?? files.map(({ text }) => text).join(","));
    },
  });
  stops.push(() => watching.stop());
  return heard;
}
const within = { timeout: 5000, interval: 20 };

test("manifest files are read in the order of their names, everything else is left alone", async () => {
  for (const name of ["b.yml", "a.yaml", "c.json", ".hidden.yaml", "a.yaml~", "notes.txt"]) write(name, name);
  mkdirSync(join(folder, "folder.yaml"));

  expect((await readFolder(folder)).files.map(({ name }) => name)).toEqual(["a.yaml", "b.yml", "c.json"]);
});

test("a folder that is not there, an empty file and a giant one are refused by name", async () => {
  expect((await readFolder(join(folder, "none"))).refusals[0]?.text).toMatch(
    /Cannot read the folder .*none: ENOENT/,
  );

  write("empty.yaml", "\n");
  write("giant.yaml", "x".repeat(1_048_577));
  expect((await readFolder(folder)).refusals).toEqual([
    {
      place: { file: "empty.yaml", line: 1, column: null },
      text: expect.stringContaining("the file is empty"),
    },
    { place: { file: "giant.yaml", line: 1, column: null }, text: expect.stringContaining("1048577 bytes") },
  ]);
});

test("a save in place and a save by renaming are both noticed", async () => {
  write("a.yaml", "one");
  const heard = await watched();

  write("a.yaml", "two, in place");
  await vi.waitFor(() => expect(heard).toEqual(["two, in place"]), within);

  write("a.yaml.tmp", "three, renamed");
  renameSync(join(folder, "a.yaml.tmp"), join(folder, "a.yaml"));
  await vi.waitFor(() => expect(heard).toEqual(["two, in place", "three, renamed"]), within);
});

test("a file moved away and written anew within one save is one change, not a deletion", async () => {
  write("a.yaml", "one");
  const heard = await watched();

  renameSync(join(folder, "a.yaml"), join(folder, "a.yaml~"));
  await new Promise((resolve) => systemClock.after(200, () => resolve(undefined)));
  write("a.yaml", "two");

  await vi.waitFor(() => expect(heard).toEqual(["two"]), within);
});

test("a deleted file is noticed", async () => {
  write("a.yaml", "one");
  write("b.yaml", "rest");
  const heard = await watched();

  rmSync(join(folder, "a.yaml"));
  await vi.waitFor(() => expect(heard).toEqual(["rest"]), within);
});

test("a folder that is replaced by another of the same name is still followed", async () => {
  write("a.yaml", "one");
  const heard = await watched();

  renameSync(folder, `${folder}.old`);
  stops.push(() => rmSync(`${folder}.old`, { recursive: true, force: true }));
  mkdirSync(folder);
  write("a.yaml", "two");
  await vi.waitFor(() => expect(heard).toEqual(["two"]), within);

  write("a.yaml", "three");
  await vi.waitFor(() => expect(heard.at(-1)).toBe("three"), within);
});
