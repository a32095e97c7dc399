import { expect, test } from "vitest";

import { spread } from "./spread.ts";

test("the middle of an odd number is one of them, of an even number between two, and order does not count", () => {
  expect(spread([3, 1, 2])).toEqual({ median: 2, low: 1, high: 3 });
  expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, low: 1, high: 4 });
});
