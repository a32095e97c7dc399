import * as fc from "fast-check";
import { expect, test } from "vitest";

import { assignAddresses } from "./assignAddresses.ts";
import { assignBoundAddresses, type PodAddresses } from "./boundAddresses.ts";

type Holders = Readonly<Record<string, readonly string[]>>;
const facts = (has: Readonly<Record<string, string>>): PodAddresses =>
  new Map(Object.entries(has).map(([pod, names]) => [pod, new Set(names)]));

const lettersOf = (text: string) => text.split("");
/** Addresses and pods are single letters; pods in capitals. */
function assign(
  addresses: string,
  pods: string,
  has: Readonly<Record<string, string>>,
  before: Holders = {},
  silent = "",
) {
  const assigned = assignBoundAddresses(
    lettersOf(addresses),
    lettersOf(pods),
    facts(has),
    new Map(Object.entries(before)),
    new Set(lettersOf(silent)),
  );
  return Object.fromEntries([...assigned].map(([address, parts]) => [address, [...parts.keys()].join("")]));
}
const holders = (assigned: Readonly<Record<string, string>>): Holders =>
  Object.fromEntries(Object.entries(assigned).map(([address, pods]) => [address, lettersOf(pods)]));

test("where no pod says what it has, ordinals part the addresses", () => {
  expect(assign("abc", "PQ", {})).toEqual({ a: "P", b: "P", c: "Q" });
});

test("an address goes to the pod that has it", () => {
  expect(assign("abc", "PQR", { P: "b", Q: "c", R: "a" })).toEqual({ a: "R", b: "P", c: "Q" });
});

test("an address that no pod has stays where ordinals put it", () => {
  expect(assign("ab", "PQ", { P: "", Q: "a" })).toEqual({ a: "Q", b: "Q" });
  expect(assign("ab", "PQ", { P: "a", Q: "" })).toEqual({ a: "P", b: "Q" });
});

test("a pod that has none of them sends from none", () => {
  expect(assign("ab", "PQR", { P: "", Q: "a", R: "b" })).toEqual({ a: "Q", b: "R" });
});

test("the pod that sends from an address keeps it when another one comes to have it as well", () => {
  const before = { a: ["Q"], b: ["Q"] };
  // Ordinals want a with P, and c keeps P from having nothing.
  expect(assign("abc", "PQ", { P: "ac", Q: "abc" }, { ...before, c: ["P"] })).toEqual({
    a: "Q",
    b: "Q",
    c: "P",
  });
});

test("a pod that has nothing to send from takes an address from the one with most, or shares one", () => {
  expect(assign("ab", "PQ", { P: "ab", Q: "a" }, { a: ["P"], b: ["P"] })).toEqual({ a: "Q", b: "P" });
  expect(assign("a", "PQ", { P: "a", Q: "a" }, { a: ["P"] })).toEqual({ a: "PQ" });
  expect(assign("ab", "PQR", { P: "a", Q: "b", R: "b" })).toEqual({ a: "P", b: "QR" });
});

test("a pod that has not started takes no address from one that has it, and gets its part when it has", () => {
  const before = { a: ["P"], b: ["P"] };
  expect(assign("ab", "PQ", { P: "ab" }, before)).toEqual({ a: "P", b: "P" });
  expect(assign("ab", "PQ", { P: "ab", Q: "ab" }, before)).toEqual({ a: "P", b: "Q" });
});

test("a pod of which nothing is known keeps what ordinals gave it, though another pod has it", () => {
  expect(assign("ab", "PQ", { Q: "ab" }, { a: ["P"], b: ["Q"] })).toEqual({ a: "P", b: "Q" });
});

test("nothing is taken from a silent pod for one that joins, or that is to have it alone", () => {
  const everywhere = { P: "ab", Q: "ab" };
  expect(assign("ab", "PQ", everywhere, { a: ["P"], b: ["P"] }, "P")).toEqual({ a: "P", b: "P" });
  expect(assign("ab", "PQ", everywhere, { a: ["P"], b: ["P"] })).toEqual({ a: "P", b: "Q" });

  // P shares with Q what ordinals want with Q alone.
  expect(assign("ab", "PQ", everywhere, { a: ["P"], b: ["P", "Q"] }, "P")).toEqual({ a: "P", b: "PQ" });
  expect(assign("ab", "PQ", everywhere, { a: ["P"], b: ["P", "Q"] })).toEqual({ a: "P", b: "Q" });
});

const letters = (text: string, most: number) =>
  fc.integer({ min: 1, max: most }).map((count) => lettersOf(text.slice(0, count)));
const places = fc
  .record({
    addresses: letters("abcdefgh", 8),
    pods: letters("PQRSTUVW", 8),
    seed: fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 64, maxLength: 64 }),
    held: fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 8, maxLength: 8 }),
    silent: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    scarce: fc.integer({ min: 1, max: 15 }),
  })
  .map(({ addresses, pods, seed, held, silent, scarce }) => ({
    addresses,
    pods,
    known: new Map(
      pods.flatMap((pod, row): [string, Set<string>][] =>
        silent[row] === true
          ? []
          : [[pod, new Set(addresses.filter((_, column) => (seed[row * 8 + column] ?? 0) < scarce))]],
      ),
    ),
    before: new Map(
      addresses.flatMap((address, index): [string, string[]][] => {
        const pod = pods[held[index] ?? 0];
        return pod === undefined ? [] : [[address, [pod]]];
      }),
    ),
  }));

test("an address some pod has is never with a pod that lacks it, and each one is given whole", () => {
  fc.assert(
    fc.property(places, ({ addresses, pods, known, before }) => {
      const assigned = [...assignBoundAddresses(addresses, pods, known, before)];
      const wholes = assigned.map(([, parts]) => [...parts.values()].reduce((sum, part) => sum + part, 0));
      expect(wholes).toEqual(addresses.map(() => 1000));
      const isSomewhere = (address: string) => [...known.values()].some((has) => has.has(address));
      const misplaced = assigned.flatMap(([address, parts]) =>
        [...parts.keys()].filter((pod) => isSomewhere(address) && known.get(pod)?.has(address) === false),
      );
      expect(misplaced).toEqual([]);
    }),
  );
});

test("a pod that has one of the addresses sends from one", () => {
  fc.assert(
    fc.property(places, ({ addresses, pods, known, before }) => {
      const assigned = assignBoundAddresses(addresses, pods, known, before);
      const sends = (pod: string, has: ReadonlySet<string>) =>
        [...assigned].some(([address, parts]) => has.has(address) && parts.has(pod));
      const idle = [...known].filter(([pod, has]) => has.size > 0 && !sends(pod, has));
      expect(idle).toEqual([]);
    }),
  );
});

test("what was decided stays as it is while nothing changes", () => {
  fc.assert(
    fc.property(places, ({ addresses, pods, known, before }) => {
      const first = assignBoundAddresses(addresses, pods, known, before);
      const again = assignBoundAddresses(
        addresses,
        pods,
        known,
        new Map([...first].map(([address, parts]) => [address, [...parts.keys()]])),
      );
      const sets = (assigned: typeof first) =>
        [...assigned].map(([address, parts]) => [address, [...parts.keys()].toSorted()]);
      expect(sets(again)).toEqual(sets(first));
    }),
    { numRuns: 2000 },
  );
});

const everywhere = (addresses: readonly string[], pods: readonly string[]) =>
  Object.fromEntries(pods.map((pod) => [pod, addresses.join("")]));
const sorted = (assigned: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(assigned).map(([address, pods]) => [address, lettersOf(pods).toSorted()]),
  );

test("where every pod has every address, a pod that joins or leaves changes what ordinals change", () => {
  fc.assert(
    fc.property(
      letters("abcdefgh", 8),
      fc.integer({ min: 1, max: 7 }),
      fc.boolean(),
      (addresses, fewer, joins) => {
        const [from, to] = joins ? [fewer, fewer + 1] : [fewer + 1, fewer];
        const ordinals = (count: number) =>
          Object.fromEntries(
            [...assignAddresses(addresses, lettersOf("PQRSTUVW".slice(0, count)))].map(([address, parts]) => [
              address,
              [...parts.keys()].join(""),
            ]),
          );
        const pods = lettersOf("PQRSTUVW".slice(0, to));
        const now = assign(
          addresses.join(""),
          pods.join(""),
          everywhere(addresses, pods),
          holders(ordinals(from)),
        );
        expect(sorted(now)).toEqual(sorted(ordinals(to)));
      },
    ),
  );
});

test("where every pod has every address, they stay evenly spread however the relay is scaled", () => {
  fc.assert(
    fc.property(
      letters("abcdefgh", 8),
      fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 5 }),
      (addresses, counts) => {
        let before: Holders = {};
        for (const count of counts) {
          const pods = lettersOf("PQRSTUVW".slice(0, count));
          const now = assign(addresses.join(""), pods.join(""), everywhere(addresses, pods), before);
          before = holders(now);
          const loads = pods.map((pod) => Object.values(now).filter((those) => those.includes(pod)).length);
          expect(Math.min(...loads)).toBeGreaterThan(0);
          expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
        }
      },
    ),
  );
});
