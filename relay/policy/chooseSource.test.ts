import * as fc from "fast-check";
import { expect, test } from "vitest";

import { type Candidate, chooseSource } from "./chooseSource.ts";

const candidate = (name: string, part: Partial<Candidate> = {}): Candidate => ({
  name,
  pausedBecause: null,
  suspendedUntil: null,
  connectionsInUse: 0,
  connections: 5,
  exhaustedUntil: null,
  usedPart: null,
  ...part,
});
const choose = (
  candidates: readonly Candidate[],
  preferred: string | null = null,
  dayFraction = 0.5,
  draw = 0,
) => chooseSource(candidates, preferred, dayFraction, draw);

test("the address that used the least part of its day goes first", () => {
  expect(choose([candidate("a", { usedPart: 0.4 }), candidate("b", { usedPart: 0.2 })])).toEqual({
    kind: "chosen",
    name: "b",
  });
});

test("an address without limit goes as the day goes: behind one that lags, before one that leads", () => {
  const warm = candidate("warm");
  expect(choose([warm, candidate("new", { usedPart: 0.3 })], null, 0.5)).toMatchObject({ name: "new" });
  expect(choose([warm, candidate("new", { usedPart: 0.6 })], null, 0.5)).toMatchObject({ name: "warm" });
});

test("equals are drawn", () => {
  const equals = [candidate("a"), candidate("b"), candidate("c")];
  expect([0, 0.34, 0.99].map((draw) => choose(equals, null, 0, draw))).toEqual([
    { kind: "chosen", name: "a" },
    { kind: "chosen", name: "b" },
    { kind: "chosen", name: "c" },
  ]);
});

test("the preferred address is taken when it can be, waited for when busy, left when it cannot send", () => {
  const other = candidate("b", { usedPart: 0 });
  expect(choose([candidate("a", { usedPart: 0.9 }), other], "a")).toEqual({ kind: "chosen", name: "a" });
  expect(choose([candidate("a", { connectionsInUse: 5 }), other], "a")).toEqual({ kind: "busy", name: "a" });
  expect(choose([candidate("a", { suspendedUntil: 9 }), other], "a")).toEqual({ kind: "chosen", name: "b" });
  expect(choose([other], "gone")).toEqual({ kind: "chosen", name: "b" });
});

test("when nothing can start, what ends first is named; of two on one address the later binds it", () => {
  const paused = candidate("p", { pausedBecause: "PTR is missing" });
  expect(choose([candidate("a", { suspendedUntil: 50 }), candidate("b", { exhaustedUntil: 90 })])).toEqual({
    kind: "suspended",
    name: "a",
    until: 50,
  });
  expect(choose([paused, candidate("a", { suspendedUntil: 50, exhaustedUntil: 90 })])).toEqual({
    kind: "exhausted",
    name: "a",
    until: 90,
  });
  expect(choose([candidate("a", { suspendedUntil: 50 }), candidate("b", { connectionsInUse: 5 })])).toEqual({
    kind: "busy",
    name: "b",
  });
  expect(choose([paused])).toEqual({ kind: "paused", name: "p", because: "PTR is missing" });
  expect(choose([])).toEqual({ kind: "none" });
});

test("only an address that may send is ever chosen, and one is chosen whenever there is one", () => {
  const some = fc.record({
    name: fc.constantFrom("a", "b", "c", "d"),
    pausedBecause: fc.option(fc.constant("why")),
    suspendedUntil: fc.option(fc.integer({ min: 1, max: 100 })),
    connectionsInUse: fc.integer({ min: 0, max: 3 }),
    connections: fc.integer({ min: 1, max: 3 }),
    exhaustedUntil: fc.option(fc.integer({ min: 1, max: 100 })),
    usedPart: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  });
  const draw = fc.double({ min: 0, max: 0.999_999, noNaN: true });
  fc.assert(
    fc.property(
      fc.uniqueArray(some, { selector: ({ name }) => name }),
      draw,
      draw,
      (candidates, day, dice) => {
        const able = candidates.filter(
          (one) =>
            one.pausedBecause === null &&
            one.suspendedUntil === null &&
            one.exhaustedUntil === null &&
            one.connectionsInUse < one.connections,
        );
        const choice = chooseSource(candidates, null, day, dice);
        expect(choice.kind === "chosen").toBe(able.length > 0);
        const chosen = choice.kind === "chosen" ? [choice.name] : [];
        expect(able.map(({ name }) => name)).toEqual(expect.arrayContaining(chosen));
      },
    ),
  );
});
