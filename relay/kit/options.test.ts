import { expect, test } from "vitest";

import { readOptions } from "./options.ts";

const options = {
  state: { type: "string", short: "s" },
  socket: { type: "string" },
  ids: { type: "boolean" },
} as const;

test("what was typed is read", () => {
  expect(readOptions({ args: ["-s", "here", "--ids", "queue"], allowPositionals: true, options })).toEqual({
    values: { state: "here", ids: true },
    positionals: ["queue"],
  });
});

test.each([
  [["--colour"], "Unknown option '--colour'"],
  [["--no.such"], "Unknown option '--no.such'"],
  [["--state"], "Option '-s, --state <value>' argument missing"],
  [["--state", "--socket"], "Option '--state' argument is ambiguous"],
  [["--ids=3"], "Option '--ids' does not take an argument"],
  [["queue"], "Unexpected argument 'queue'"],
])("of %j one sentence says what is wrong", (args, fault) => {
  expect(readOptions({ args, options })).toEqual({ fault });
});

test("options that are declared wrong are a bug, not the user's", () => {
  expect(() => readOptions({ args: [], options: { state: { type: "text" as "string" } } })).toThrow(
    TypeError,
  );
});
