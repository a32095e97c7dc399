import * as fc from "fast-check";
import { expect, test } from "vitest";

import { greylistDelaySeconds, LAST_CALL_MS, nextTry, retryDelaySeconds } from "./retrySchedule.ts";

const standard = { firstDelaySeconds: 300, longestDelaySeconds: 14_400 };
const middle = 0.5;

test("delays are 5, 10, 20, 40 min, 1, 2, 3 h, then every 4 h", () => {
  const minutes = Array.from(
    { length: 10 },
    (_, index) => retryDelaySeconds(standard, index + 1, middle) / 60,
  );
  expect(minutes).toEqual([5, 10, 20, 40, 60, 120, 180, 240, 240, 240]);
});

test("another first delay scales the ladder, the longest delay caps it", () => {
  const quick = { firstDelaySeconds: 3, longestDelaySeconds: 60 };
  const delays = Array.from({ length: 8 }, (_, index) => retryDelaySeconds(quick, index + 1, middle));
  expect(delays).toEqual([3, 6, 12, 24, 36, 60, 60, 60]);
});

test("greylisting is answered after 5 to 6 min, then 15 and 30, never too early", () => {
  expect(greylistDelaySeconds(standard, 1, 0)).toBe(300);
  expect(greylistDelaySeconds(standard, 1, 0.999)).toBeLessThanOrEqual(360);
  expect(greylistDelaySeconds(standard, 2, 0)).toBe(900);
  expect(greylistDelaySeconds(standard, 3, 0)).toBe(1800);
  expect(greylistDelaySeconds(standard, 4, middle)).toBe(2400);
});

test("the last try is brought forward to a minute before expiry, and only once", () => {
  const expiresAt = 1_000_000;
  const lastCall = expiresAt - LAST_CALL_MS;
  expect(nextTry(expiresAt - 600_000, 14_400, expiresAt)).toEqual({ kind: "retry", at: lastCall });
  expect(nextTry(lastCall, 14_400, expiresAt)).toEqual({ kind: "expired" });
  expect(nextTry(expiresAt + 1, 300, expiresAt)).toEqual({ kind: "expired" });
});

test("a try is in the future, before expiry, and within 15 % of the ladder or the last call", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      fc.integer({ min: 0, max: 500_000_000 }),
      fc.integer({ min: 1, max: 3600 }),
      fc.integer({ min: 1, max: 100_000 }),
      (attempts, draw, leftMs, firstDelaySeconds, longestDelaySeconds) => {
        const policy = { firstDelaySeconds, longestDelaySeconds };
        const now = 1_790_000_000_000;
        const delay = retryDelaySeconds(policy, attempts, draw);
        expect(delay).toBeGreaterThan(0);
        expect(delay).toBeLessThanOrEqual(longestDelaySeconds * 1.15);
        const next = nextTry(now, delay, now + leftMs);
        if (next.kind === "expired") return;
        expect(next.at).toBeGreaterThan(now);
        expect(next.at).toBeLessThan(now + leftMs);
        expect(next.at).toBeLessThanOrEqual(now + Math.round(delay * 1000));
      },
    ),
  );
});

test("delays never shrink with the number of attempts", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 3600 }), (attempts, first) => {
      const policy = { firstDelaySeconds: first, longestDelaySeconds: 14_400 };
      expect(retryDelaySeconds(policy, attempts + 1, middle)).toBeGreaterThanOrEqual(
        retryDelaySeconds(policy, attempts, middle),
      );
    }),
  );
});

test("a short delay with a fraction of a millisecond is a delay, not the end", () => {
  const now = 1_790_000_000_000;
  expect(nextTry(now, 0.9574, now + 432_000_000)).toEqual({ kind: "retry", at: now + 957 });
});
