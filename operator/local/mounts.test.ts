import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, expect, test } from "vitest";

import { swapFiles } from "./mounts.ts";

const folders: string[] = [];
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "mounts-"));
  folders.push(path);
  return join(path, "config");
}
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

function files(entries: Record<string, string>): Map<string, Uint8Array> {
  return new Map(Object.entries(entries).map(([name, text]) => [name, Buffer.from(text)]));
}

test("the first mount shows every file under its plain name", () => {
  const at = folder();

  expect(swapFiles(at, files({ "relay.json": "{}", "tls.key": "key" }), "1")).toBe(true);

  expect(readFileSync(join(at, "relay.json"), "utf8")).toBe("{}");
  expect(readlinkSync(join(at, "tls.key"))).toBe("..data/tls.key");
});

test("a change swaps all files by the one link and leaves nothing of the former set", () => {
  const at = folder();
  swapFiles(at, files({ "relay.json": "1", "old.pem": "x" }), "1");

  expect(swapFiles(at, files({ "relay.json": "2", "new.pem": "y" }), "2")).toBe(true);

  expect(readlinkSync(join(at, "..data"))).toBe("..2");
  expect(readdirSync(at).toSorted()).toEqual(["..2", "..data", "new.pem", "relay.json"]);
  expect(readFileSync(join(at, "relay.json"), "utf8")).toBe("2");
});

test("the same files again are no change: the reader is not woken", () => {
  const at = folder();
  swapFiles(at, files({ "relay.json": "1" }), "1");

  expect(swapFiles(at, files({ "relay.json": "1" }), "2")).toBe(false);
  expect(readlinkSync(join(at, "..data"))).toBe("..1");
});

test("a key that would leave the folder is refused before anything is written", () => {
  const at = folder();

  expect(() => swapFiles(at, files({ "../escape": "x" }), "1")).toThrow('Cannot mount "../escape"');
  expect(readdirSync(at)).toEqual([]);
});
