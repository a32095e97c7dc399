import * as fc from "fast-check";
import { expect, test } from "vitest";

import { DotStuffing } from "./dotStuffing.ts";

function wire(chunks: readonly string[]): string {
  const stuffing = new DotStuffing();
  const pieces = chunks.flatMap((chunk) => stuffing.stuff(Buffer.from(chunk, "latin1")));
  return Buffer.concat([...pieces, stuffing.end()]).toString("latin1");
}

test.each([
  {
    chunks: [".\r\n..\r\na.b\r\n"],
    expected: "..\r\n...\r\na.b\r\n.\r\n",
    because: "each line's first dot is doubled",
  },
  { chunks: ["a\r\n", ".b\r\n"], expected: "a\r\n..b\r\n.\r\n", because: "a line may begin with a chunk" },
  {
    chunks: ["a\r", "\n", ".b"],
    expected: "a\r\n..b\r\n.\r\n",
    because: "a line end may be split, and a last one is added",
  },
  { chunks: [], expected: ".\r\n", because: "no content is the end alone" },
  { chunks: [""], expected: ".\r\n", because: "an empty chunk is nothing" },
  {
    chunks: ["a\n.\nb\r\n"],
    expected: "a\n..\nb\r\n.\r\n",
    because: "a bare LF never makes an end of data for anyone",
  },
  { chunks: ["a\n"], expected: "a\n\r\n.\r\n", because: "a bare LF does not end a line" },
])("$because", ({ chunks, expected }) => {
  expect(wire(chunks)).toBe(expected);
});

test("however content is cut, what a receiver unstuffs is what was sent, and ends at one place only", () => {
  const content = fc
    .array(fc.constantFrom(".", "\r\n", "a", ".."), { maxLength: 40 })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(content, fc.array(fc.nat(40), { maxLength: 5 }), (text, cuts) => {
      const at = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
      const sent = wire(at.slice(1).map((end, index) => text.slice(at[index], end)));

      const end = `\r\n${sent}`.indexOf("\r\n.\r\n");
      expect(end).toBe(sent.length - 3);
      const whole = text === "" || text.endsWith("\r\n") ? text : `${text}\r\n`;
      expect(sent.slice(0, -3).replaceAll(/(^|\r\n)\./g, "$1")).toBe(whole);
    }),
  );
});
