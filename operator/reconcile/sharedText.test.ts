import { expect, test } from "vitest";

import { SharedText } from "./sharedText.ts";

test("a value stays what it was, whatever is in it", () => {
  const make = () => ({ a: ["x", 1, null, { b: "y".repeat(100), c: true }], d: {}, e: "x", f: undefined });
  const shared = new SharedText();

  expect(shared.within(make())).toEqual(make());
  expect(shared.within(make())).toEqual(make());
  expect(shared.within("x")).toBe("x");
  expect(shared.within(null)).toBeNull();
});

test("more texts than the tables hold are taken all the same", () => {
  const shared = new SharedText();
  const values = Array.from({ length: 10_000 }, (_, index) => ({
    short: `${index}`,
    long: `${index}`.padEnd(90),
  }));

  expect(values.map((value) => shared.within({ ...value }))).toEqual(values);
});
