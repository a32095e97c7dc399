/**
 * Days as the whole house counts them: UTC, written "2026-11-23". Allowances, counters and warm-up rows
 * change at 00:00:00Z and nowhere else, so that pods in different zones agree.
 */
import type { Instant } from "../message.ts";

/** Milliseconds of a UTC day; UTC has no other kind of day in a Unix clock. */
export const DAY_MS = 86_400_000;

// The day asked for last: it is asked for thousands of times a second and changes once a day.
let knownNumber = Number.NaN;
let knownDay = "";

/** The UTC day an instant falls on. */
export function utcDay(at: Instant): string {
  const number = Math.floor(at / DAY_MS);
  if (number !== knownNumber) {
    knownDay = new Date(at).toISOString().slice(0, 10);
    knownNumber = number;
  }
  return knownDay;
}

/** The first instant of a day written "2026-11-23". */
export function dayStart(day: string): Instant {
  return Date.parse(`${day}T00:00:00Z`);
}

/** The instant the next UTC day begins. */
export function nextUtcMidnight(at: Instant): Instant {
  return (Math.floor(at / DAY_MS) + 1) * DAY_MS;
}

/** How much of the UTC day has passed, in [0, 1). */
export function dayFraction(at: Instant): number {
  return (at % DAY_MS) / DAY_MS;
}
