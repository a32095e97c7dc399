import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { systemClock } from "../../relay/kit/clock.ts";
import { followLogs, rotateLogs } from "./logs.ts";

let folder: string;
let stop = () => {};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "logs-"));
});
afterEach(() => {
  stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a full log is moved aside and emptied, so that its writer goes on in it", () => {
  const path = join(folder, "mail-0.log");
  writeFileSync(path, "x");
  truncateSync(path, 16 * 1024 * 1024);
  writeFileSync(join(folder, "mail-1.log"), "short");
  const before = statSync(path).ino;
  rotateLogs(folder);

  expect(statSync(`${path}.1`).size).toBe(16 * 1024 * 1024);
  expect(statSync(path)).toMatchObject({ size: 0, ino: before });
  expect(readFileSync(join(folder, "mail-1.log"), "utf8")).toBe("short");
});

test("new lines are shown with the pod's name, whole lines only, across a rotation", async () => {
  const path = join(folder, "mail-0.log");
  writeFileSync(path, "before\n");
  const lines: string[] = [];
  stop = followLogs(folder, systemClock, (line) => lines.push(line));
  appendFileSync(path, "one\nhal");
  await vi.waitFor(() => expect(lines).toEqual(["mail-0: one"]), { timeout: 5000 });

  appendFileSync(path, "f\n");
  writeFileSync(join(folder, "mail-1.log"), "new pod\n");
  await vi.waitFor(() => expect(lines).toEqual(["mail-0: one", "mail-0: half", "mail-1: new pod"]), {
    timeout: 5000,
  });

  truncateSync(path, 0);
  appendFileSync(path, "a\n");
  await vi.waitFor(() => expect(lines.at(-1)).toBe("mail-0: a"), { timeout: 5000 });
});
