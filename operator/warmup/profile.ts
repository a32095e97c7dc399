/**
 * Ramps as data: how many recipients a day an address may send to, stage by stage, and which part of that
 * may go to one provider. An address stays on a stage until it has used it and is healthy (warmupPlan.ts).
 *
 * Sources: SparkPost/Bird automated IP warm-up stages (Standard); Mailtrap's day table, ×1.3 a day from 300
 * (Conservative, computed and rounded to two digits as the table is). Provider parts are ours: the large
 * mailbox providers judge a new address by their own first impression of it, so that no day may go to one
 * of them alone. A provider that is not named has only the total.
 */
import type { IpPoolSpec } from "../../crds/ipPool.ts";

export interface Ramp {
  readonly name: "Standard" | "Conservative" | "Custom";
  /** Recipients a day, stage 1 first; never empty. */
  readonly dailyLimits: readonly number[];
  /** Percent of the day's limit one provider may take, by the relay's provider names. */
  readonly providerPercent: Readonly<Record<string, number>>;
  /** Where the numbers come from. */
  readonly source: string;
}

const providerPercent = {
  google: 40,
  microsoft: 25,
  office365: 25,
  yahoo: 15,
  apple: 10,
  orange: 5,
  sfr: 5,
  laposte: 5,
  free: 5,
} as const;

const standard: Ramp = {
  name: "Standard",
  dailyLimits: [
    200, 500, 1000, 2000, 5000, 10_000, 20_000, 40_000, 50_000, 75_000, 100_000, 150_000, 200_000, 250_000,
  ],
  providerPercent,
  source: "SparkPost/Bird automated IP warm-up, stages 1 to 14",
};

const conservative: Ramp = {
  name: "Conservative",
  dailyLimits: [
    300, 390, 510, 660, 860, 1100, 1400, 1900, 2400, 3200, 4100, 5400, 7000, 9100, 11_800, 15_400, 20_000,
    26_000, 33_700, 43_900, 57_000,
  ],
  providerPercent,
  source: "Mailtrap IP warm-up table, days 1 to 21",
};

/** The ramp a pool asks for; null: its addresses are warm already. */
export function rampOf(warmup: IpPoolSpec["warmup"]): Ramp | null {
  switch (warmup.ramp) {
    case "Standard":
      return standard;
    case "Conservative":
      return conservative;
    case "Custom": {
      const dailyLimits = warmup.dailyLimits ?? [];
      // A custom ramp is the owner's own judgement: no parts of ours within it. An empty one cannot be
      // climbed, and a rule of the API refuses it; were it to come through, the careful ramp holds.
      return dailyLimits.length === 0
        ? standard
        : { name: "Custom", dailyLimits, providerPercent: {}, source: "spec.warmup.dailyLimits" };
    }
    case "None":
      return null;
  }
}

/** Recipients a day on a stage (from 1); past the last stage the last one's. */
export function limitOfStage(ramp: Ramp, stage: number): number {
  const index = Math.min(Math.max(stage, 1), ramp.dailyLimits.length) - 1;
  return ramp.dailyLimits[index] ?? 0;
}

/** The parts of a day's limit that single providers may take. */
export function providerLimits(ramp: Ramp, dayLimit: number): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ramp.providerPercent).map(([provider, percent]) => [
      provider,
      Math.floor((dayLimit * percent) / 100),
    ]),
  );
}
