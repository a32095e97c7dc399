import * as fc from "fast-check";
import { expect, test } from "vitest";

import { fieldsNamed, parseHeader } from "./header.ts";

const parse = (text: string) => parseHeader(Buffer.from(text));

test("fields come in order, with name, raw bytes and unfolded value", () => {
  const header = parse("Subject: a\r\n  folded\r\n\tline\r\nFROM:x@example.com \r\n\r\nbody: no\r\n");

  expect(
    header.fields.map(({ name, key, value, raw }) => ({ name, key, value, raw: raw.toString() })),
  ).toEqual([
    {
      name: "Subject",
      key: "subject",
      value: "a  folded\tline",
      raw: "Subject: a\r\n  folded\r\n\tline\r\n",
    },
    { name: "FROM", key: "from", value: "x@example.com", raw: "FROM:x@example.com \r\n" },
  ]);
  expect(header.defects).toEqual([]);
  expect(header.fieldBytes).toBe(50);
});

test("names are compared without case, and space before the colon is no part of them", () => {
  const header = parse("To: a\r\nTO \t: b\r\ncc: c\r\n\r\n");

  expect(fieldsNamed(header, "tO").map((field) => field.value)).toEqual(["a", "b"]);
});

test.each([
  {
    text: " folded from nowhere\r\nA: b\r\n",
    defect: { kind: "LeadingFold", line: 1 },
    because: "fold first",
  },
  { text: "A: b\r\nnonsense\r\nC: d\r\n", defect: { kind: "NoField", line: 2 }, because: "no colon" },
  { text: "A: b\r\n c\r\n: d\r\n", defect: { kind: "NoField", line: 3 }, because: "no name" },
  { text: "From me Mon 12:00\r\nA: b\r\n", defect: { kind: "NoField", line: 1 }, because: "mbox line" },
  { text: "Sübject: x\r\nA: b\r\n", defect: { kind: "NoField", line: 1 }, because: "8-bit name" },
])(
  "a malformed line is a defect with its number, and the others stay fields: $because",
  ({ text, defect }) => {
    const header = parse(text);

    expect(header.defects).toEqual([defect]);
    expect(header.fields.filter((field) => field.name !== "").length).toBeGreaterThanOrEqual(1);
  },
);

test("values are read as UTF-8; bytes that are none do not throw", () => {
  expect(parse("Subject: grüße\r\n").fields[0]?.value).toBe("grüße");
  expect(parseHeader(Buffer.from([0x41, 0x3a, 0xff, 0x0d, 0x0a])).fields[0]?.value).toBe("\ufffd");
});

test("the number of fields is bounded", () => {
  const header = parseHeader(Buffer.from("A: b\r\n".repeat(10)), { mostFields: 4 });

  expect(header.fields.length).toBe(4);
  expect(header.defects).toEqual([{ kind: "TooManyFields", line: 5 }]);
});

test("whatever the bytes, the raws of the fields are the block, and nothing throws", () => {
  const piece = fc.constantFrom("\r\n", "\n", "\r", " ", "\t", ":", "A", "From: x", "é", "\0");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const block = Buffer.from(pieces.join(""));
      const header = parseHeader(block);

      expect(Buffer.concat(header.fields.map((field) => field.raw))).toEqual(
        block.subarray(0, header.fieldBytes),
      );
    }),
  );
});
