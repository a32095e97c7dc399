import { expect, test } from "vitest";

import type { Health } from "./health.ts";
import { addDays } from "./days.ts";
import { type Ramp, rampOf } from "./profile.ts";
import { allowanceRows, dayCaps, permilleOfRows, type WarmupStatus } from "./rows.ts";
import { type Decision, nextWarmup, type WarmupStep } from "./warmupPlan.ts";

const at = (text: string) => Date.parse(text);
const standard = rampOf({ ramp: "Standard" }) as Ramp;
const healthy: Health = { kind: "healthy" };

interface Given {
  readonly now?: string;
  readonly previous?: WarmupStatus | null;
  readonly ramp?: Ramp;
  readonly used?: Readonly<Record<string, number>>;
  readonly health?: Health;
}

function step({
  now = "2026-11-24T00:00:05Z",
  previous = null,
  ramp = standard,
  used = {},
  health = healthy,
}: Given) {
  return nextWarmup({ now: at(now), previous, ramp, health, usedOn: (day) => used[day] ?? 0 });
}

function stage(overrides: Partial<WarmupStatus> = {}): WarmupStatus {
  return {
    stage: 3,
    stages: 14,
    startedOn: "2026-11-20",
    stageSince: "2026-11-23",
    day: "2026-11-23",
    dayLimit: 1000,
    usedToday: 0,
    tomorrowLimit: 2000,
    nextStage: "",
    ...overrides,
  };
}

const warmupOf = (result: WarmupStep): WarmupStatus => {
  if (result.kind !== "warming") throw new Error("it is warm");
  return result.warmup;
};
const decided = (result: WarmupStep): readonly string[] =>
  result.decisions.map(({ decision, reason }: Decision) => `${decision}: ${reason}`);

test("a new address starts on the first stage", () => {
  const result = step({ now: "2026-11-23T12:00:00Z" });

  expect(decided(result)).toEqual(["Started: Standard ramp: 200 recipients on the first day."]);
  expect(warmupOf(result)).toEqual({
    stage: 1,
    stages: 14,
    startedOn: "2026-11-23",
    stageSince: "2026-11-23",
    day: "2026-11-23",
    dayLimit: 200,
    usedToday: 0,
    tomorrowLimit: 500,
    nextStage: "500 a day tomorrow if 90 % used and healthy",
  });
});

test("90 % of the stage used and healthy is one stage up", () => {
  const result = step({ previous: stage(), used: { "2026-11-23": 900 } });

  expect(decided(result)).toEqual([
    "Advanced: 90 % of stage 3 used (900 of 1,000); stage 4 allows 2,000 a day.",
  ]);
  expect(warmupOf(result)).toMatchObject({ stage: 4, dayLimit: 2000, stageSince: "2026-11-24" });
});

test("less than 90 % holds, with the number", () => {
  const result = step({ previous: stage(), used: { "2026-11-23": 719 } });

  expect(decided(result)).toEqual(["Held: 71 % of stage 3 used (719 of 1,000); 90 % needed."]);
  expect(warmupOf(result)).toMatchObject({
    stage: 3,
    dayLimit: 1000,
    stageSince: "2026-11-23",
    day: "2026-11-24",
  });
});

test("an unhealthy address holds however much it used, and tomorrow stays as today", () => {
  const health: Health = { kind: "hold", reason: "google: 6.2 % blocked in 2 days; at most 5 %" };
  const result = step({ previous: stage(), used: { "2026-11-23": 1000 }, health });

  expect(decided(result)).toEqual(["Held: google: 6.2 % blocked in 2 days; at most 5 %."]);
  expect(warmupOf(result)).toMatchObject({
    stage: 3,
    tomorrowLimit: 1000,
    nextStage: "holds: google: 6.2 % blocked in 2 days; at most 5 %",
  });
});

test("looking again on the same day decides nothing", () => {
  const first = step({ previous: stage(), used: { "2026-11-23": 950 } });
  const again = step({ now: "2026-11-24T15:00:00Z", previous: warmupOf(first), used: { "2026-11-23": 950 } });

  expect(decided(again)).toEqual([]);
  expect(warmupOf(again)).toEqual(warmupOf(first));
});

test("in the last hour tomorrow's row keeps today's limit unless the stage was used", () => {
  const eve = { now: "2026-11-23T23:10:00Z", previous: stage() };

  expect(warmupOf(step({ ...eve, used: { "2026-11-23": 850 } })).tomorrowLimit).toBe(1000);
  expect(warmupOf(step({ ...eve, used: { "2026-11-23": 950 } })).tomorrowLimit).toBe(2000);
});

test("after days away each day is judged by its own use", () => {
  const result = step({
    now: "2026-11-26T08:00:00Z",
    previous: stage(),
    used: { "2026-11-23": 1000, "2026-11-24": 1990, "2026-11-25": 100 },
  });

  expect(result.decisions.map(({ decision }) => decision)).toEqual(["Advanced", "Advanced", "Held"]);
  expect(warmupOf(result)).toMatchObject({ stage: 5, dayLimit: 5000, stageSince: "2026-11-25" });
});

test("what relays rightly sent under rows made before is not too much afterwards", () => {
  const used = { "2026-11-23": 500, "2026-11-24": 500, "2026-11-25": 4100 };
  const result = step({ now: "2026-11-25T08:00:00Z", previous: stage(), used });

  expect(warmupOf(result)).toMatchObject({ stage: 5, dayLimit: 5000, usedToday: 4100 });
});

test("the last stage used up is warm", () => {
  const ramp = rampOf({ ramp: "Custom", dailyLimits: [10, 20] }) as Ramp;
  const previous = stage({ stage: 2, stages: 2, dayLimit: 20 });
  const result = step({ previous, ramp, used: { "2026-11-23": 20 } });

  expect(result.kind).toBe("warm");
  expect(decided(result)).toEqual(["Warm: 100 % of stage 2 used (20 of 20), the last one."]);
});

test("another ramp goes on where it allows no more than the address is used to", () => {
  const conservative = rampOf({ ramp: "Conservative" }) as Ramp;
  const result = step({ now: "2026-11-23T12:00:00Z", previous: stage(), ramp: conservative });

  expect(warmupOf(result)).toMatchObject({ stage: 5, dayLimit: 860, stages: 21 });
});

test("rows hold today at the stage, and each day ahead one stage further", () => {
  const caps = dayCaps(stage(), standard);

  expect(caps.map(({ day, total }) => [day, total])).toEqual([
    ["2026-11-23", 1000],
    ["2026-11-24", 2000],
    ["2026-11-25", 5000],
    ["2026-11-26", 10_000],
    ["2026-11-27", 20_000],
    ["2026-11-28", 40_000],
    ["2026-11-29", 50_000],
    ["2026-11-30", 75_000],
  ]);
  expect(caps[0]?.providers).toMatchObject({ google: 400, microsoft: 250, yahoo: 150, apple: 100 });
});

test("while it holds, the day after tomorrow is one stage further than tomorrow", () => {
  const caps = dayCaps(stage({ tomorrowLimit: 1000 }), standard);

  expect(caps.slice(0, 3).map(({ total }) => total)).toEqual([1000, 1000, 2000]);
});

test("rows of a part are rounded down and give the part back", () => {
  const caps = dayCaps(stage({ dayLimit: 200, tomorrowLimit: 500, stage: 1 }), standard);
  const rows = allowanceRows(caps, 333);

  expect(rows[0]).toEqual({
    day: "2026-11-23",
    total: 66,
    providers: {
      google: 26,
      microsoft: 16,
      office365: 16,
      yahoo: 9,
      apple: 6,
      orange: 3,
      sfr: 3,
      laposte: 3,
      free: 3,
    },
  });
  for (const permille of [0, 1, 250, 333, 334, 500, 999, 1000]) {
    for (const today of ["2026-11-23", "2026-11-26", addDays("2026-11-23", 30)]) {
      expect(permilleOfRows(allowanceRows(caps, permille), caps, today)).toBeLessThanOrEqual(permille);
    }
  }
  expect(permilleOfRows([], caps, "2026-11-23")).toBe(1000);
});
