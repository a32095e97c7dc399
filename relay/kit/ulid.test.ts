import * as fc from "fast-check";
import { expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { createUlids, isUlid, ulidTime } from "./ulid.ts";

const fixed = (byte: number) => ({ draw: () => 0, bytes: (n: number) => new Uint8Array(n).fill(byte) });

test("a ULID is the time and the chance in Crockford's base 32", () => {
  // Known pair of the ULID specification: 1469918176385 is 01ARYZ6S41.
  const next = createUlids({ clock: new FakeClock(1_469_918_176_385), random: fixed(0) });

  expect(next()).toBe("01ARYZ6S410000000000000000");
  expect(createUlids({ clock: new FakeClock(2 ** 48 - 1), random: fixed(0xff) })()).toBe(
    "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
  );
});

test("ids ascend within a millisecond, over milliseconds, and when the clock is set back", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 200 }), fc.nat(), (steps, seed) => {
      let now = 1_000_000;
      const next = createUlids({
        clock: { now: () => now, after: () => () => {} },
        random: seededRandom(seed),
      });
      const ids = steps.map((step) => {
        now += step;
        return next();
      });

      expect(ids).toEqual([...new Set(ids)].toSorted());
      expect(ids.every(isUlid)).toBe(true);
    }),
  );
});

test("a count that is full goes on in the next millisecond", () => {
  const next = createUlids({ clock: new FakeClock(5), random: fixed(0xff) });

  expect([next(), next()].map(ulidTime)).toEqual([5, 6]);
});

test("the time of an id can be read back; what is no ULID is refused", () => {
  const next = createUlids({ clock: new FakeClock("2026-11-23T12:00:00Z"), random: seededRandom(7) });

  expect(ulidTime(next())).toBe(Date.parse("2026-11-23T12:00:00Z"));
  expect(() => ulidTime("not an id")).toThrow(/Cannot read the time of "not an id"/);
  expect(
    ["", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARYZ6S41000000000000000U", "01aryz6s410000000000000000"].map(
      isUlid,
    ),
  ).toEqual([false, false, false, false]);
});
