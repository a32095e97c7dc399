import { expect, test } from "vitest";

import { forgetOldest } from "./forgetOldest.ts";

test("a map within its bound keeps all", () => {
  const map = new Map([1, 2, 3].map((key) => [key, key]));
  forgetOldest(map, 3);
  expect([...map.keys()]).toEqual([1, 2, 3]);
});

test("a map beyond it loses its oldest, a sixteenth of the bound at a time", () => {
  const map = new Map(Array.from({ length: 33 }, (_, key) => [key, key]));
  forgetOldest(map, 32);
  expect([...map.keys()]).toEqual(Array.from({ length: 31 }, (_, n) => n + 2));
});

test("a small map, and one far beyond, come within their bounds", () => {
  const small = new Map([1, 2].map((key) => [key, key]));
  forgetOldest(small, 1);
  expect([...small.keys()]).toEqual([2]);

  const large = new Map(Array.from({ length: 100 }, (_, key) => [key, key]));
  forgetOldest(large, 10);
  expect([...large.keys()]).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
});
