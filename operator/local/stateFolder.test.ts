import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, expect, test } from "vitest";

import { identify } from "./processes.ts";
import { lockStateFolder, StateFolder } from "./stateFolder.ts";

const folders: string[] = [];
function temporary(): string {
  const path = mkdtempSync(join(tmpdir(), "state-"));
  folders.push(path);
  return path;
}
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

test("a second one on the same folder is refused by naming who runs there", () => {
  const state = new StateFolder(temporary());
  const lock = lockStateFolder(state);

  expect(() => lockStateFolder(state)).toThrow(`process ${process.pid} runs on it`);

  lock.release();
  lockStateFolder(state).release();
  expect(readdirSync(state.root)).toEqual([]);
});

test("a lock left by a process that has ended is taken over, also when its number lives again", () => {
  const state = new StateFolder(temporary());
  const me = identify(process.pid);
  writeFileSync(
    join(state.root, "lock"),
    JSON.stringify({ pid: process.pid, startedAt: `not ${me?.startedAt}` }),
  );

  const lock = lockStateFolder(state);

  expect(readdirSync(state.root)).toEqual(["lock"]);
  lock.release();
});

test("a broken lock file stops nobody", () => {
  const state = new StateFolder(temporary());
  writeFileSync(join(state.root, "lock"), "");

  lockStateFolder(state).release();
  expect(readdirSync(state.root)).toEqual([]);
});

test("a folder that cannot be made is named with what to do", () => {
  const file = join(temporary(), "file");
  writeFileSync(file, "");

  expect(() => lockStateFolder(new StateFolder(join(file, "state")))).toThrow(
    /Cannot use the state folder .*: ENOTDIR\. Name another one with --state\./,
  );
});

test("objects of other namespaces never share a folder with one of the default namespace", () => {
  const state = new StateFolder("/s");

  expect(state.pod("default", "mail-0")).toBe("/s/pods/mail-0");
  expect(state.pod("team", "mail-0")).toBe("/s/pods/team_mail-0");
});
