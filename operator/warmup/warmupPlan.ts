/**
 * Where an address stands on its ramp today, and why.
 *
 * Once a UTC day it goes at most one stage up: when it used 90 % of the stage and is healthy, else it holds.
 * The state lives in status, so applying a manifest again never resets a ramp. When the operator was away
 * for days, each of them is judged by what was used on it; for those days the relays followed the rows made
 * before, and what they sent today under such a row is not called too much afterwards.
 */
import type { Health } from "./health.ts";
import { addDays, daysBetween, isEve, utcDay } from "./days.ts";
import { limitOfStage, type Ramp } from "./profile.ts";
import { DAYS_AHEAD, type WarmupStatus } from "./rows.ts";

/** Part of a stage's daily limit that must have been used to go on, in percent. */
export const NEEDED_PERCENT = 90;

export interface WarmupView {
  readonly now: number;
  /** Null before the address was ever seen. */
  readonly previous: WarmupStatus | null;
  readonly ramp: Ramp;
  /** Recipients used on a UTC day, over all pods. */
  readonly usedOn: (day: string) => number;
  readonly health: Health;
}

export interface Decision {
  readonly decision: "Started" | "Advanced" | "Held" | "Warm";
  readonly reason: string;
}

export type WarmupStep =
  | { readonly kind: "warming"; readonly warmup: WarmupStatus; readonly decisions: readonly Decision[] }
  /** The last stage was used up and the address is healthy: no limit from now on. */
  | { readonly kind: "warm"; readonly decisions: readonly Decision[] };

export function nextWarmup(view: WarmupView): WarmupStep {
  const today = utcDay(view.now);
  const { previous, ramp } = view;
  if (previous === null) {
    const limit = limitOfStage(ramp, 1);
    return warming(view, { stage: 1, startedOn: today, stageSince: today }, [
      { decision: "Started", reason: `${ramp.name} ramp: ${count(limit)} recipients on the first day.` },
    ]);
  }
  const stage = stageOnRamp(previous, ramp);
  const stageSince = stage === previous.stage ? previous.stageSince : today;
  const place = { stage, startedOn: previous.startedOn, stageSince };
  if (previous.day >= today) return warming(view, place, [], previous.day);
  return climb(view, place, previous);
}

interface Place {
  readonly stage: number;
  readonly startedOn: string;
  readonly stageSince: string;
}

/** Judges each day since the last one, oldest first; the horizon of the rows bounds how many. */
function climb(view: WarmupView, from: Place, previous: WarmupStatus): WarmupStep {
  const { ramp, usedOn } = view;
  const today = utcDay(view.now);
  const elapsed = daysBetween(previous.day, today);
  const decisions: Decision[] = [];
  let { stage, stageSince } = from;
  for (let day = 0; day < Math.min(elapsed, DAYS_AHEAD + 1); day++) {
    const on = addDays(previous.day, day);
    const verdict = judgeDay(ramp, stage, usedOn(on), view.health);
    if (verdict.decision === "Warm") return { kind: "warm", decisions: [...decisions, verdict] };
    if (verdict.decision === "Advanced") {
      stage += 1;
      stageSince = addDays(on, 1);
    }
    decisions.push(verdict);
  }
  // The relays may have followed rows made before we were away: what they rightly sent is the stage.
  const promised = Math.min(from.stage + (elapsed > 1 ? elapsed : 0), ramp.dailyLimits.length);
  const usedToday = usedOn(today);
  while (stage < promised && usedToday > limitOfStage(ramp, stage)) {
    stage += 1;
    stageSince = today;
  }
  return warming(view, { ...from, stage, stageSince }, decisions);
}

function judgeDay(ramp: Ramp, stage: number, used: number, health: Health): Decision {
  const limit = limitOfStage(ramp, stage);
  const share = `${Math.floor((used * 100) / limit)} % of stage ${stage} used (${count(used)} of ${count(limit)})`;
  if (!usedEnough(used, limit)) {
    return { decision: "Held", reason: `${share}; ${NEEDED_PERCENT} % needed.` };
  }
  if (health.kind === "hold") return { decision: "Held", reason: `${health.reason}.` };
  return stage >= ramp.dailyLimits.length
    ? { decision: "Warm", reason: `${share}, the last one.` }
    : {
        decision: "Advanced",
        reason: `${share}; stage ${stage + 1} allows ${count(limitOfStage(ramp, stage + 1))} a day.`,
      };
}

function usedEnough(used: number, limit: number): boolean {
  return used * 100 >= limit * NEEDED_PERCENT;
}

function warming(
  view: WarmupView,
  place: Place,
  decisions: readonly Decision[],
  day = utcDay(view.now),
): WarmupStep {
  const { ramp, health } = view;
  const used = view.usedOn(day);
  const limit = limitOfStage(ramp, place.stage);
  const last = place.stage >= ramp.dailyLimits.length;
  // Tomorrow's row comes into force at midnight by itself. Before it does, it must not promise a stage that
  // will not be reached; earlier in the day it does, so that the ramp goes on should we be away tomorrow.
  const holds = health.kind === "hold" || (isEve(view.now) && !usedEnough(used, limit));
  return {
    kind: "warming",
    decisions,
    warmup: {
      ...place,
      stages: ramp.dailyLimits.length,
      day,
      dayLimit: limit,
      usedToday: used,
      tomorrowLimit: holds ? limit : limitOfStage(ramp, place.stage + 1),
      nextStage: (health.kind === "hold"
        ? `holds: ${health.reason}`
        : `${last ? "warm" : `${count(limitOfStage(ramp, place.stage + 1))} a day`} tomorrow if ${NEEDED_PERCENT} % used and healthy`
      ).slice(0, 128),
    },
  };
}

/**
 * The stage on a ramp that may have been edited: where the limit is no longer what it was, the highest stage
 * that allows no more than the address is used to.
 */
function stageOnRamp(previous: WarmupStatus, ramp: Ramp): number {
  const same =
    previous.stages === ramp.dailyLimits.length && limitOfStage(ramp, previous.stage) === previous.dayLimit;
  if (same) return previous.stage;
  return (
    1 +
    Math.max(
      0,
      ramp.dailyLimits.findLastIndex((limit) => limit <= previous.dayLimit),
    )
  );
}

function count(amount: number): string {
  return amount.toLocaleString("en");
}
