/**
 * Warm-up allowances: how many recipients a source may send to on a UTC day, in all and to a provider.
 *
 * Recipients accepted count, and those in flight, which are given back when they are refused. The limits
 * come as dated rows for the days ahead, so that a ramp neither stops nor speeds when nobody renews it:
 * the row in force is the last whose day is not after today; before the first row nothing is sent; no
 * rows at all means no limit.
 */
import type { AllowanceRow } from "../contract/config.ts";
import type { Instant } from "../message.ts";
import { dayStart, nextUtcMidnight, utcDay } from "./utcDay.ts";

/** The counter that stands beside the providers' for all of them together. */
export const TOTAL = "total";

/** Key of a counter: "a|google|2026-11-23", "a|total|2026-11-23". */
export function counterKey(source: string, provider: string, day: string): string {
  return `${source}|${provider}|${day}`;
}

/** The parts of a key, or null when it is none. */
export function parseCounterKey(
  key: string,
): { readonly source: string; readonly provider: string; readonly day: string } | null {
  const parts = /^(.+)\|([^|]+)\|(\d{4}-\d\d-\d\d)$/.exec(key);
  const [, source, provider, day] = parts ?? [];
  return source !== undefined && provider !== undefined && day !== undefined
    ? { source, provider, day }
    : null;
}

export type RowInForce =
  | { readonly kind: "unlimited" }
  | { readonly kind: "row"; readonly row: AllowanceRow }
  /** The first row is still ahead. */
  | { readonly kind: "notYet"; readonly opensAt: Instant };

export function rowInForce(rows: readonly AllowanceRow[], now: Instant): RowInForce {
  const first = rows[0];
  if (first === undefined) return { kind: "unlimited" };
  const today = utcDay(now);
  // Days are written so that they sort as text.
  const row = rows.findLast((candidate) => candidate.day <= today);
  return row === undefined ? { kind: "notYet", opensAt: dayStart(first.day) } : { kind: "row", row };
}

/**
 * The rows a spool may spend that was created at `createdAt`, when its use is known since `knownSince` (null:
 * nobody watches, it is trusted). A spool that is younger than it should be has lost what was used before it:
 * it spends nothing on its first UTC day, and the rows hold again from the next one.
 */
export function rowsOfSpool(
  rows: readonly AllowanceRow[],
  createdAt: Instant,
  knownSince: Instant | null,
): readonly AllowanceRow[] {
  if (knownSince === null || createdAt <= knownSince || rows.length === 0) return rows;
  const firstDay = utcDay(createdAt);
  const nextDay = utcDay(nextUtcMidnight(createdAt));
  const atNextDay = rows.findLast((row) => row.day <= nextDay);
  return [
    { day: firstDay, total: 0, providers: {} },
    ...(atNextDay === undefined ? [] : [{ ...atNextDay, day: nextDay }]),
    ...rows.filter((row) => row.day > nextDay),
  ];
}

export interface Limits {
  readonly total: number | null;
  readonly provider: number | null;
}

/** The limits of a source for a provider now; both 0 before the first row. */
export function limitsFor(rows: readonly AllowanceRow[], provider: string, now: Instant): Limits {
  const inForce = rowInForce(rows, now);
  switch (inForce.kind) {
    case "unlimited":
      return { total: null, provider: null };
    case "notYet":
      return { total: 0, provider: 0 };
    case "row":
      return {
        total: inForce.row.total,
        provider: Object.hasOwn(inForce.row.providers, provider)
          ? (inForce.row.providers[provider] ?? null)
          : null,
      };
  }
}

export type AllowanceVerdict =
  | { readonly kind: "granted"; readonly count: number }
  | {
      readonly kind: "exhausted";
      readonly until: Instant;
      /** "total" or the provider's name: the limit that binds. */
      readonly binding: string;
      readonly limit: number;
      readonly used: number;
    };

/**
 * How many of `wanted` recipients may start now. `usedOf` gives what a counter has taken, in flight
 * included: of the provider's name or "total".
 */
export function admit(
  rows: readonly AllowanceRow[],
  provider: string,
  wanted: number,
  usedOf: (counter: string) => number,
  now: Instant,
): AllowanceVerdict {
  const limits = limitsFor(rows, provider, now);
  const left = (counter: string, limit: number | null) =>
    limit === null ? Number.POSITIVE_INFINITY : Math.max(0, limit - usedOf(counter));
  const count = Math.min(wanted, left(TOTAL, limits.total), left(provider, limits.provider));
  if (count > 0) return { kind: "granted", count };
  const byTotal = left(TOTAL, limits.total) === 0;
  const inForce = rowInForce(rows, now);
  return {
    kind: "exhausted",
    until: inForce.kind === "notYet" ? inForce.opensAt : nextUtcMidnight(now),
    binding: byTotal ? TOTAL : provider,
    limit: (byTotal ? limits.total : limits.provider) ?? 0,
    used: usedOf(byTotal ? TOTAL : provider),
  };
}

/**
 * The part of its day's allowance a source has used for a provider, in [0, 1]: the fuller of the two
 * limits. Null when there is no limit.
 */
export function usedPart(
  rows: readonly AllowanceRow[],
  provider: string,
  usedOf: (counter: string) => number,
  now: Instant,
): number | null {
  const limits = limitsFor(rows, provider, now);
  const part = (counter: string, limit: number | null) =>
    limit === null ? null : limit === 0 ? 1 : Math.min(1, usedOf(counter) / limit);
  const total = part(TOTAL, limits.total);
  const own = part(provider, limits.provider);
  return total === null && own === null ? null : Math.max(total ?? 0, own ?? 0);
}
