import * as fc from "fast-check";
import { expect, test } from "vitest";

import { MOST_TURNS_BEFORE_LOW, type Rank, ranks, Shares } from "./shares.ts";

const [high = 0, normal = 1, low = 2] = ranks;

function turns(shares: Shares, count: number, has: (rank: Rank) => boolean): (Rank | null)[] {
  return Array.from({ length: count }, () => {
    const rank = shares.next(has);
    if (rank !== null) shares.took(rank);
    return rank;
  });
}
const partsOf = (taken: readonly (Rank | null)[]) =>
  ranks.map((rank) => taken.filter((each) => each === rank).length);

test("of 21 turns that all could use, High gets 16, Normal 4 and Low 1", () => {
  expect(partsOf(turns(new Shares(), 2100, () => true))).toEqual([1600, 400, 100]);
});

test("who has nothing leaves his part to the others", () => {
  expect(partsOf(turns(new Shares(), 500, (rank) => rank !== high))).toEqual([0, 400, 100]);
  expect(partsOf(turns(new Shares(), 10, (rank) => rank === low))).toEqual([0, 0, 10]);
  expect(new Shares().next(() => false)).toBeNull();
});

test("a burst of high priority goes at once, however much of the low went before", () => {
  const shares = new Shares();
  turns(shares, 10_000, (rank) => rank === low);
  shares.joined(high);
  expect(turns(shares, 5, (rank) => rank !== normal)).toEqual([high, high, high, high, high]);
});

test("who was away has no claim on what he missed", () => {
  const shares = new Shares();
  turns(shares, 10_000, (rank) => rank === high);
  shares.joined(low);
  expect(partsOf(turns(shares, 170, (rank) => rank !== normal))).toEqual([160, 0, 10]);
});

test("whatever comes and goes, nobody waits longer than the bound says", () => {
  const step = fc.record({
    rank: fc.constantFrom(...ranks),
    comes: fc.boolean(),
    turns: fc.nat({ max: 30 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const shares = new Shares();
      const has = new Set<Rank>([low]);
      let waited = 0;
      for (const { rank, comes, turns: count } of steps) {
        if (rank !== low) {
          if (comes && !has.has(rank)) shares.joined(rank);
          if (comes) has.add(rank);
          else has.delete(rank);
        }
        for (let turn = 0; turn < count; turn++) {
          const taken = shares.next((each) => has.has(each));
          if (taken === null) throw new Error("nobody's turn");
          shares.took(taken);
          waited = taken === low ? 0 : waited + 1;
          expect(waited).toBeLessThanOrEqual(MOST_TURNS_BEFORE_LOW);
        }
      }
    }),
  );
});
