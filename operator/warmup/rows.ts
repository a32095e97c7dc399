/**
 * Dated allowance rows: what an address may send on each of the days ahead, and the part of it that one
 * pod's configuration carries.
 *
 * Today stands at the current stage, every following day one stage further, so that a ramp neither stops
 * nor speeds while the operator is away (docs/decisions/0005-warmup-rows.md). Past the last stage the last
 * limit holds: a ramp ends by a decision, not by a row.
 */
import type { IpPoolStatus } from "../../crds/ipPool.ts";
import type { AllowanceRow } from "../../relay/contract/config.ts";
import { addDays } from "./days.ts";
import { limitOfStage, providerLimits, type Ramp } from "./profile.ts";

/** Days after today that rows are made for: how long the operator may be away before a ramp stops. */
export const DAYS_AHEAD = 7;

export type AddressStatus = NonNullable<IpPoolStatus["addresses"]>[number];
export type WarmupStatus = NonNullable<AddressStatus["warmup"]>;

/** The cap of a whole address on one day, over all pods. */
export interface DayCap {
  readonly day: string;
  readonly total: number;
  readonly providers: Readonly<Record<string, number>>;
}

/** Caps from `warmup.day` on, ascending. */
export function dayCaps(warmup: WarmupStatus, ramp: Ramp): readonly DayCap[] {
  const tomorrow = warmup.tomorrowLimit ?? limitOfStage(ramp, warmup.stage + 1);
  const tomorrowStage = tomorrow > limitOfStage(ramp, warmup.stage) ? warmup.stage + 1 : warmup.stage;
  return Array.from({ length: DAYS_AHEAD + 1 }, (_, ahead) => {
    const total =
      ahead === 0 ? warmup.dayLimit : ahead === 1 ? tomorrow : limitOfStage(ramp, tomorrowStage + ahead - 1);
    return { day: addDays(warmup.day, ahead), total, providers: providerLimits(ramp, total) };
  });
}

/** `permille` thousandths of each cap, rounded down so that parts never sum to more than the whole. */
export function allowanceRows(caps: readonly DayCap[], permille: number): AllowanceRow[] {
  const part = (cap: number) => Math.floor((cap * permille) / 1000);
  return caps.map((cap) => ({
    day: cap.day,
    total: part(cap.total),
    providers: Object.fromEntries(
      Object.entries(cap.providers).map(([provider, limit]) => [provider, part(limit)]),
    ),
  }));
}

/**
 * The part, in thousandths of `caps`, that suffices for everything these rows still let a pod send from
 * `today` on; the inverse of `allowanceRows`. No rows mean no limit and so the whole.
 */
export function permilleOfRows(
  rows: readonly AllowanceRow[],
  caps: readonly DayCap[],
  today: string,
): number {
  if (rows.length === 0) return 1000;
  const inForce = rows.findLastIndex((row) => row.day <= today);
  const needed = rows.slice(Math.max(0, inForce)).map((row) => {
    const cap = capOn(caps, row.day < today ? today : row.day);
    if (row.total === null || cap === undefined) return row.total === 0 ? 0 : 1000;
    const parts = [permilleOf(row.total, cap.total)];
    for (const [provider, limit] of Object.entries(cap.providers)) {
      // A provider the row does not name is bound by the row's total alone.
      parts.push(permilleOf(Math.min(row.providers[provider] ?? row.total, row.total), limit));
    }
    return Math.max(...parts);
  });
  return Math.min(1000, Math.max(...needed));
}

/** The part of `cap` that `amount` is, in thousandths, rounded up. */
export function permilleOf(amount: number, cap: number): number {
  if (amount === 0) return 0;
  return cap === 0 ? 1000 : Math.min(1000, Math.ceil((amount * 1000) / cap));
}

/** The cap in force on a day: past the horizon the last one, before the first one none. */
export function capOn(caps: readonly DayCap[], day: string): DayCap | undefined {
  return caps.findLast((cap) => cap.day <= day);
}
