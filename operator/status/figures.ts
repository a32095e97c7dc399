/**
 * Numbers in status that stay still (promise 11): figures move only when the change matters, and at most
 * once a minute for an object. A figure that becomes zero, or stops being it, moves at once: nothing and
 * something are different things to a person who waits.
 */
import type { Instant } from "../world.ts";

/** Share of the larger number a count has to move by. */
const COUNT_THRESHOLD = 0.1;
/** Ages grow by themselves: they are shown in steps of a quarter. */
const AGE_THRESHOLD = 0.25;

export interface Figure {
  readonly before: number | undefined;
  readonly now: number;
  readonly kind: "count" | "age";
}

export type Movement = "none" | "inAMinute" | "atOnce";

/** How soon one figure should move. */
export function movementOf({ before, now, kind }: Figure): Movement {
  if (before === undefined) return "atOnce";
  if (before === now) return "none";
  if (before === 0 || now === 0) return kind === "age" ? "inAMinute" : "atOnce";
  const threshold = kind === "age" ? AGE_THRESHOLD : COUNT_THRESHOLD;
  return Math.abs(now - before) >= threshold * Math.max(before, now) ? "inAMinute" : "none";
}

/** Whether all figures of an object move now: they move together, so that they belong to one moment. */
export function figuresMove(
  movements: readonly Movement[],
  figuresAt: string | undefined,
  now: Instant,
  figuresSeconds: number,
): boolean {
  if (movements.includes("atOnce")) return true;
  const due = figuresAt === undefined || now - Date.parse(figuresAt) >= figuresSeconds * 1000;
  return due && movements.includes("inAMinute");
}

/** Three significant digits: 12,345 is 12,300. */
export function roundCount(value: number): number {
  if (value < 1000) return value;
  const step = 10 ** (Math.floor(Math.log10(value)) - 2);
  return Math.round(value / step) * step;
}

/** "38s", "12m", "5h", "3d" */
export function ageText(seconds: number): string {
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

export function countText(value: number): string {
  return value.toLocaleString("en");
}

/** "1 message", "12 messages" */
export function plural(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}
