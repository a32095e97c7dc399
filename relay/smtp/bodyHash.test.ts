import { createHash } from "node:crypto";

import * as fc from "fast-check";
import { expect, test } from "vitest";

import { createBodyHash } from "./bodyHash.ts";

const sha256 = (text: string | Uint8Array) => createHash("sha256").update(text).digest("base64");

function hashOf(...chunks: readonly (string | Uint8Array)[]): string {
  const hash = createBodyHash();
  for (const chunk of chunks) hash.update(Buffer.from(chunk as string));
  return hash.digest();
}

/** RFC 6376 §3.4.4 as it reads, for whole bodies. */
function canonical(body: string): string {
  const lines = body
    .split("\r\n")
    .map((line) => line.replaceAll(/[ \t]+/g, " ").replace(/ $/, ""))
    .join("\r\n")
    .replace(/(\r\n)+$/, "");
  return lines === "" ? "" : `${lines}\r\n`;
}

test.each([
  { body: "", same: "", because: "an empty body is hashed as nothing, not as CRLF" },
  { body: "\r\n\r\n", same: "", because: "empty lines at the end are ignored" },
  { body: " \t\r\n \r\n", same: "", because: "so are lines of white space" },
  { body: " C \r\nD \t E\r\n\r\n\r\n", same: " C\r\nD E\r\n", because: "the example of RFC 6376 §3.4.5" },
  { body: "a", same: "a\r\n", because: "a last line without its end gets one" },
  { body: "a \t", same: "a\r\n", because: "and loses its white space" },
  { body: "\r\n\r\na\r\n", same: "\r\n\r\na\r\n", because: "empty lines before text stay" },
])("$because", ({ body, same }) => {
  expect(hashOf(body)).toBe(sha256(same));
});

test("the hash is that of RFC 6376, wherever the body is cut", () => {
  const piece = fc.constantFrom("\r\n", "\r\n\r\n", " ", "\t", "a", "text", "é", " \r\n", "\r\n ");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const body = Buffer.from(pieces.join(""));
      const expected = sha256(Buffer.from(canonical(body.toString("latin1")), "latin1"));

      for (let cut = 0; cut <= body.length; cut++) {
        expect(hashOf(body.subarray(0, cut), body.subarray(cut))).toBe(expected);
      }
      expect(hashOf(...Array.from(body, (byte) => Uint8Array.of(byte)))).toBe(expected);
    }),
    { numRuns: 300 },
  );
});

test("a long body passes through in pieces, millions of empty lines included", () => {
  const lines = Buffer.from("\r\n".repeat(500_000));
  const text = Buffer.from("some  text \r\n".repeat(5000));

  expect(hashOf(text, lines, lines)).toBe(sha256("some text\r\n".repeat(5000)));
  expect(hashOf(text, lines, text)).toBe(
    sha256("some text\r\n".repeat(5000) + "\r\n".repeat(500_000) + "some text\r\n".repeat(5000)),
  );
});

test("a bare CR or LF counts as text, so that no two bodies share a hash by it", () => {
  expect(hashOf("a\rb\r\n")).toBe(sha256("a\rb\r\n"));
  expect(hashOf("a\nb")).toBe(sha256("a\nb\r\n"));
  expect(hashOf("a\r", "\r\n")).toBe(sha256("a\r\r\n"));
});

test("an ended hash takes nothing more, and those after it are their own", () => {
  const ended = createBodyHash();
  ended.update(Buffer.from("first\r\n"));
  expect(ended.digest()).toBe(sha256("first\r\n"));

  const [one, other] = [createBodyHash(), createBodyHash()];
  one.update(Buffer.from("one\r\n"));
  other.update(Buffer.from("other\r\n"));
  expect(() => ended.update(Buffer.from("late"))).toThrow(/has ended/);
  expect(() => ended.digest()).toThrow(/has ended/);
  expect([one.digest(), other.digest()]).toEqual([sha256("one\r\n"), sha256("other\r\n")]);
});
