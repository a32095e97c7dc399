import { expect, test } from "vitest";

import { Roster } from "./roster.ts";

const all = (roster: Roster<string>) => {
  const taken: string[] = [];
  for (let next = roster.next(); next !== undefined; next = roster.next()) taken.push(next);
  return taken;
};

test("tenants take turns, whatever the number of their things", () => {
  const roster = new Roster<string>();
  for (const thing of ["a1", "a2", "a3", "a4"]) roster.list(thing, 1, "a");
  roster.list("b1", 1, "b");
  expect(all(roster)).toEqual(["a1", "b1", "a2", "a3", "a4"]);
  expect(roster.size).toBe(0);
});

test("a thing that a smaller tenant needs too goes on his turn", () => {
  const roster = new Roster<string>();
  for (const thing of ["a1", "a2", "a3", "shared"]) roster.list(thing, 1, "a");
  roster.list("shared", 1, "b");
  expect(all(roster)).toEqual(["a1", "shared", "a2", "a3"]);
});

test("a thing that a larger tenant needs too stays where it goes sooner", () => {
  const roster = new Roster<string>();
  roster.list("shared", 1, "b");
  for (const thing of ["a1", "a2", "a3", "shared"]) roster.list(thing, 1, "a");
  expect(all(roster)).toEqual(["shared", "a1", "a2", "a3"]);
});

test("a thing that something urgent needs is urgent, and stays so", () => {
  const roster = new Roster<string>();
  for (const thing of ["a1", "a2", "shared"]) roster.list(thing, 2, "a");
  roster.list("shared", 0, "a");
  roster.list("shared", 2, "b");
  expect(all(roster)).toEqual(["shared", "a1", "a2"]);
});

test("what was dropped does not go", () => {
  const roster = new Roster<string>();
  roster.list("a1", 1, "a");
  roster.list("a2", 1, "a");
  roster.drop("a1");
  roster.drop("a1");
  expect(all(roster)).toEqual(["a2"]);
});
