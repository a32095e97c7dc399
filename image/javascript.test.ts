import { expect, test } from "vitest";

import { javascriptPath, toJavascript } from "./javascript.ts";

test("types are blanked, so that every line and column stays where it was", () => {
  const source = [
    'import type { Instant } from "./message.ts";',
    'import { type Log, silentLog } from "../kit/log.ts";',
    "export const later = (at: Instant, by = 5): Instant => at + by;",
    'const lazily = await import("./main.ts");',
  ].join("\n");

  const made = toJavascript(source, "relay/later.ts");

  expect(made.length).toBe(source.length);
  expect(made.split("\n").map((line) => line.trimEnd())).toEqual([
    "",
    'import {           silentLog } from "../kit/log.js";',
    "export const later = (at         , by = 5)          => at + by;",
    'const lazily = await import("./main.js");',
  ]);
});

test("a name of a file that is no import stays as it is", () => {
  const source = 'const hint = "see relay/main.ts";\nexport { run } from "node:test";';

  expect(toJavascript(source, "a.ts")).toBe(source);
  expect(javascriptPath("relay/main.ts")).toBe("relay/main.js");
  expect(javascriptPath("commands/smtp-relay.mjs")).toBe("commands/smtp-relay.mjs");
});

test("what is more than types is refused, and the file is named", () => {
  expect(() => toJavascript("enum Colour { Red }", "relay/colour.ts")).toThrow(
    /Cannot make JavaScript of relay\/colour\.ts:1: .*enum/,
  );
});
