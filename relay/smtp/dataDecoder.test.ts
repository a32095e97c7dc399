import * as fc from "fast-check";
import { expect, test } from "vitest";

import { DataDecoder } from "./dataDecoder.ts";

/** What a decoder makes of `wire`, cut after each of `cuts`. */
function decode(wire: string, cuts: readonly number[] = []) {
  const bytes = Buffer.from(wire, "latin1");
  const decoder = new DataDecoder();
  const pieces: Buffer[] = [];
  let start = 0;
  for (const cut of [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  )) {
    const used = decoder.feed(bytes.subarray(start, cut), (piece) => pieces.push(piece));
    if (used !== -1) {
      return { content: text(pieces), rest: bytes.toString("latin1", start + used), fault: decoder.fault };
    }
    start = cut;
  }
  return { content: text(pieces), rest: undefined, fault: decoder.fault };
}
const text = (pieces: readonly Buffer[]) => Buffer.concat(pieces).toString("latin1");

test("the content ends at CRLF.CRLF and what follows is left for the next command", () => {
  expect(decode("a\r\nb\r\n.\r\nQUIT\r\n")).toEqual({
    content: "a\r\nb\r\n",
    rest: "QUIT\r\n",
    fault: undefined,
  });
  expect(decode(".\r\n")).toEqual({ content: "", rest: "", fault: undefined });
});

test("one dot is taken from lines that begin with dots", () => {
  expect(decode("..\r\n..a\r\n.b\r\nc.\r\n...\r\n.\r\n").content).toBe(".\r\n.a\r\nb\r\nc.\r\n..\r\n");
});

test("without the end there is no end, however much comes", () => {
  expect(decode("a\r\n.\r").rest).toBeUndefined();
  expect(decode(".").rest).toBeUndefined();
  expect(decode("a\r\n.a\r\n").rest).toBeUndefined();
});

/** Each is an end of data to some server that was, and must be one message and a fault here. */
const smuggling: readonly [string, string, string][] = [
  ["LF . LF", "\n.\n", "BareLf"],
  ["LF . CRLF", "\n.\r\n", "BareLf"],
  ["CRLF . LF", "\r\n.\n", "BareLf"],
  ["CR . CR", "\r.\r", "BareCr"],
  ["CR . CRLF", "\r.\r\n", "BareCr"],
  ["CRLF . CR", "\r\n.\r", "BareCr"],
  ["LF . CR LF with CR first", "\r\r\n.\r\r\n", "BareCr"],
  ["CRLF NUL . CRLF", "\r\n\0.\r\n", "Nul"],
  ["CRLF . NUL CRLF", "\r\n.\0\r\n", "Nul"],
];
test.each(smuggling)("%s does not end the message", (_, end, fault) => {
  const wire = `Subject: a\r\n\r\nbody${end}MAIL FROM:<x@example.com>\r\n.\r\nQUIT\r\n`;

  const decoded = decode(wire);

  expect(decoded.rest).toBe("QUIT\r\n");
  expect(decoded.fault?.kind).toBe(fault);
  expect([3, 4]).toContain(decoded.fault?.line);
});

test("a line of 998 bytes passes, one of 999 does not, stuffing not counted", () => {
  const line = "x".repeat(998);

  expect(decode(`${line}\r\n.\r\n`).fault).toBeUndefined();
  expect(decode(`..${"x".repeat(997)}\r\n.\r\n`).fault).toBeUndefined();
  expect(decode(`a\r\n${line}x\r\n.\r\n`).fault).toEqual({ kind: "LongLine", line: 2 });
  expect(decode("y".repeat(5000)).fault).toEqual({ kind: "LongLine", line: 1 });
});

test("how the bytes are cut changes nothing", () => {
  const byte = fc.constantFrom("\r", "\n", ".", "\0", "a", "\r\n", "\r\n.\r\n", ".".repeat(3));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 40 }), fc.array(fc.nat(80), { maxLength: 20 }), (parts, cuts) => {
      const whole = decode(parts.join(""));
      const cut = decode(parts.join(""), cuts);
      // What was emitted before a fault depends on the cuts, and is thrown away anyway.
      const seen = (decoded: typeof cut) =>
        decoded.fault === undefined ? decoded : { ...decoded, content: "" };
      expect(seen(cut)).toEqual(seen(whole));
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test("stuffing and decoding gives back any text of proper lines", () => {
  const line = fc.constantFrom("", ".", "..", "a", ".b", "Subject: x");
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
      const stuffed = lines.map((entry) => `${entry.startsWith(".") ? "." : ""}${entry}\r\n`).join("");
      expect(decode(`${stuffed}.\r\n`)).toEqual({
        content: lines.map((entry) => `${entry}\r\n`).join(""),
        rest: "",
        fault: undefined,
      });
    }),
    { seed: 2, numRuns: 1000 },
  );
});
