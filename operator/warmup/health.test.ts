import { expect, test } from "vitest";

import type { Counter } from "../../relay/contract/report.ts";
import { judgeHealth, rate, resultsOf, worstRating } from "./health.ts";

function counter(provider: string, delivered: number, bounced: number, blocked: number): Counter {
  return { source: "default/a", provider, day: "2026-11-23", delivered, deferred: 5000, bounced, blocked };
}

test("fewer than a hundred results say nothing", () => {
  expect(judgeHealth([counter("google", 0, 50, 49)])).toEqual({ kind: "healthy" });
  expect(rate(resultsOf([counter("google", 0, 50, 49)]))).toBe("Unknown");
});

test.each([
  { delivered: 950, bounced: 0, blocked: 50, health: "healthy", because: "5 % blocked is the limit" },
  {
    delivered: 939,
    bounced: 0,
    blocked: 61,
    health: "6.1 % blocked in 2 days; at most 5 %",
    because: "over 5 %",
  },
  { delivered: 980, bounced: 20, blocked: 0, health: "healthy", because: "2 % bounced is the limit" },
  {
    delivered: 970,
    bounced: 30,
    blocked: 0,
    health: "3 % bounced in 2 days; at most 2 %",
    because: "over 2 %",
  },
])("$because: $health", ({ delivered, bounced, blocked, health }) => {
  const verdict = judgeHealth([counter("google", delivered, bounced, blocked)]);

  expect(verdict.kind === "hold" ? verdict.reason : verdict.kind).toBe(health);
});

test("one provider holds an address that is well elsewhere", () => {
  const verdict = judgeHealth([counter("google", 10_000, 0, 0), counter("microsoft", 100, 0, 20)]);

  expect(verdict).toEqual({ kind: "hold", reason: "microsoft: 16.7 % blocked in 2 days; at most 5 %" });
});

test("ratings go by the worst of blocked and bounced", () => {
  const rating = (bounced: number, blocked: number) =>
    rate(resultsOf([counter("google", 1000 - bounced - blocked, bounced, blocked)]));

  expect([rating(5, 5), rating(25, 0), rating(0, 60), rating(60, 0), rating(0, 100)]).toEqual([
    "Good",
    "Fair",
    "Fair",
    "Poor",
    "Poor",
  ]);
  expect(worstRating(["Good", "Unknown", "Fair"])).toBe("Fair");
});
