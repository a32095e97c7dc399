import { expect, test } from "vitest";

import { cut, renderTable } from "./table.ts";

const columns = [
  { header: "SITE", shrinkTo: 8 },
  { header: "QUEUED", align: "right" },
  { header: "RULE", shrinkTo: 10 },
] as const;

test("columns are as wide as their longest cell, and numbers stand to the right", () => {
  const rows = [
    ["mx.partner.example", "97", "–"],
    ["gmail", "1090", "backoff"],
  ];

  expect(renderTable({ columns, rows, width: null })).toEqual([
    "SITE                 QUEUED   RULE",
    "mx.partner.example       97   –",
    "gmail                  1090   backoff",
  ]);
});

test("a table wider than the terminal takes from its widest columns and marks what was cut", () => {
  const rows = [["gmail-smtp-in.l.google.com", "1090", "backoff: 421 4.7.28 (rule google/rate-4.7.28)"]];

  const lines = renderTable({ columns, rows, width: 50 });

  expect(lines[1]).toBe("gmail-smtp-in.l.go…     1090   backoff: 421 4.7.2…");
  expect(lines.map((line) => line.length)).toEqual([35, 50]);
});

test("a column without a lower bound is never cut, even when the terminal is too narrow", () => {
  const lines = renderTable({ columns: [{ header: "ID" }], rows: [["01J9ZQWERTY"]], width: 4 });

  expect(lines).toEqual(["ID", "01J9ZQWERTY"]);
});

test("control characters of a stranger's text do not reach the terminal", () => {
  const lines = renderTable({
    columns: [{ header: "TEXT" }],
    rows: [["\u001b[31mred\r\nnext\u202etxt"]],
    width: null,
  });

  expect(lines[1]).toBe(" [31mred next txt");
});

test("cut() counts characters, not code units", () => {
  expect(cut("😀😀😀😀", 3)).toBe("😀😀…");
  expect(cut("abc", 3)).toBe("abc");
});
