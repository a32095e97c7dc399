import { expect, test } from "vitest";

import { Roster } from "./roster.ts";

const all = (roster: Roster<string>) => {
  const taken: string[] = [];
  for (let next = roster.next(); next !== undefined; next = roster.next()) {
    taken.push(`${next.item} for ${next.tenant}`);
  }
  return taken;
};

test("tenants take turns, whatever the number of their things", () => {
  const roster = new Roster<string>();
  for (const thing of ["one", "two", "three"]) roster.list(thing, 1, "a");
  roster.list("four", 1, "b");
  expect(all(roster)).toEqual(["one for a", "four for b", "two for a", "three for a"]);
});

test("a thing that several need goes on the turn of each", () => {
  const roster = new Roster<string>();
  for (const thing of ["one", "two", "shared"]) roster.list(thing, 1, "a");
  roster.list("shared", 1, "b");
  expect(all(roster)).toEqual(["one for a", "shared for b", "two for a", "shared for a"]);
});

test("a thing stands under a tenant once, and higher priority goes first", () => {
  const roster = new Roster<string>();
  roster.list("one", 2, "a");
  roster.list("one", 2, "a");
  roster.list("two", 0, "a");
  expect(all(roster)).toEqual(["two for a", "one for a"]);
});
