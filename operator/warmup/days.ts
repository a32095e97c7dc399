/** UTC days as the house writes them, "2026-11-23": the only days ramps, rows and ledgers know. */
import type { Instant } from "../world.ts";

export const DAY_MS = 86_400_000;

export function utcDay(at: Instant): string {
  return new Date(at).toISOString().slice(0, 10);
}

export function dayStart(day: string): Instant {
  return Date.parse(`${day}T00:00:00Z`);
}

export function addDays(day: string, days: number): string {
  return utcDay(dayStart(day) + days * DAY_MS);
}

/** Whole days from `from` to `to`; negative when `to` is earlier. */
export function daysBetween(from: string, to: string): number {
  return Math.round((dayStart(to) - dayStart(from)) / DAY_MS);
}

export function nextUtcMidnight(at: Instant): Instant {
  return (Math.floor(at / DAY_MS) + 1) * DAY_MS;
}

/** The last hour of the UTC day: time to settle what tomorrow allows, before tomorrow's row is in force. */
export const EVE_MS = 3_600_000;

export function isEve(now: Instant): boolean {
  return nextUtcMidnight(now) - now <= EVE_MS;
}

/** RFC 3339 without fractions, as Kubernetes writes times. */
export function timestampOf(at: Instant): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}
