import { expect, test } from "vitest";

import { findJsonMistake } from "./jsonPosition.ts";

test.each([
  ["", 1, 1, "nothing at all"],
  ["{", 1, 2, "more was to come"],
  ['{"a": 1,}', 1, 9, "a comma too many"],
  ['{"a": 1 "b": 2}', 1, 9, "a comma too few"],
  ["[1, 2", 1, 6, "an array left open"],
  ["[1}", 1, 3, "closed by the wrong bracket"],
  ["{a: 1}", 1, 2, "a key without quotes"],
  ['{"a" 1}', 1, 6, "no colon"],
  ['{\n  "a": oops\n}', 2, 8, "a word that is no value"],
  ['["\\x"]', 1, 2, "an escape that is none"],
  ['["a\nb"]', 1, 2, "a line end inside a string"],
  ["[01]", 1, 3, "a number with a leading zero"],
  ["{} {}", 1, 4, "two documents"],
  ['{"a": [1, {"b": null}], "c": tru}', 1, 30, "deep inside"],
])("%j goes wrong at %i:%i, %s", (text, line, column) => {
  expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
  expect(findJsonMistake(text)).toEqual({ line, column });
});
