/**
 * How busy the relay is, and what it does about it, in steps: Calm → Slow (a transaction is begun more
 * slowly) → Shut (421, and not ready when that lasts). One sign is enough to rise: memory and disk at once,
 * for they do not wait; lateness only when it lasts, for a stall of a second is no overload. To come down a
 * step, all of them must have been well for a while, so that it does not swing. Pure.
 *
 * A disk that is full or broken is not judged here: the spool refuses by itself and says what it means.
 */
import type { Instant } from "../message.ts";

export type OverloadLevel = "Calm" | "Slow" | "Shut";

/** What was measured since the last look. */
export interface LoadSigns {
  /** How late the event loop came to what was due, the median: one long stall among short turns is not seen. */
  readonly loopDelayMs: number;
  /** Memory that cannot be taken back, against what the process may have. Null: unknown. */
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number } | null;
  /** Room on the volume of the spool. Null: unknown. */
  readonly disk: { readonly freeBytes: number; readonly reserveBytes: number } | null;
}

export interface OverloadState {
  readonly level: OverloadLevel;
  /** What made it rise, in words with numbers; empty when Calm. */
  readonly reason: string;
  readonly since: Instant;
  /** Since when every sign is well below what brought the level about; null while one is not. */
  readonly wellSince: Instant | null;
  /** Since when each look found the loop so late as each step allows; null while it is not. */
  readonly late: { readonly slowSince: Instant | null; readonly shutSince: Instant | null };
}

/**
 * A transaction takes a few milliseconds of the loop; a session that waits a fifth of a second for each
 * reply is served badly, one that waits a second is better served by another pod.
 */
const LOOP_MS = { slow: 200, shut: 1000 };
/** It must be so late for so long: a machine that was busy with something else for a moment is not overloaded. */
const LATE_FOR_MS = { slow: 3000, shut: 5000 };
/** Of the limit, in percent. Beyond 90 the kernel or V8 may end the process at any moment, mail in flight with it. */
const MEMORY_PERCENT = { slow: 80, shut: 90 };
/** Times the spool's reserve. It refuses by itself at once the reserve; slower before that, delivery may make room. */
const DISK_RESERVES = { slow: 2 };
/** To be well is to be below this part of a threshold. */
const WELL = 0.85;
/** Well for so long, and it comes down one step. */
const RECOVERY_MS = 5000;
/** Shut for longer than this is told to the load balancer. */
const NOT_READY_AFTER_MS = 10_000;
/** The pace of each session while Slow: four transactions a second instead of a few hundred. */
const SLOW_MAIL_MS = 250;

export function calm(now: Instant): OverloadState {
  return {
    level: "Calm",
    reason: "",
    since: now,
    wellSince: now,
    late: { slowSince: null, shutSince: null },
  };
}

export function judgeOverload(before: OverloadState, signs: LoadSigns, now: Instant): OverloadState {
  const late = lateness(before.late, signs.loopDelayMs, now);
  return { ...nextLevel(before, patiently(signs, late, now), signs, now), late };
}

type Judged = Omit<OverloadState, "late">;

/** `lasting` has a lateness only as far as it has lasted. */
function nextLevel(before: OverloadState, lasting: LoadSigns, signs: LoadSigns, now: Instant): Judged {
  const found = worst(lasting, 1);
  if (rank(found.level) > rank(before.level)) return { ...found, since: now, wellSince: null };
  if (before.level === "Calm") return { ...before, wellSince: before.wellSince ?? now };
  // Still (nearly) what it was risen for.
  const nearly = worst(signs, WELL);
  if (rank(nearly.level) >= rank(before.level)) {
    return { ...before, reason: nearly.reason, wellSince: null };
  }
  if (before.wellSince === null || now - before.wellSince < RECOVERY_MS) {
    return { ...before, wellSince: before.wellSince ?? now };
  }
  return before.level === "Shut"
    ? { level: "Slow", reason: `was shut: ${before.reason}`, since: now, wellSince: now }
    : calm(now);
}

function lateness(before: OverloadState["late"], loopDelayMs: number, now: Instant): OverloadState["late"] {
  return {
    slowSince: loopDelayMs >= LOOP_MS.slow ? (before.slowSince ?? now) : null,
    shutSince: loopDelayMs >= LOOP_MS.shut ? (before.shutSince ?? now) : null,
  };
}

function patiently(
  signs: LoadSigns,
  { slowSince, shutSince }: OverloadState["late"],
  now: Instant,
): LoadSigns {
  const lasts = (since: Instant | null, ms: number) => since !== null && now - since >= ms;
  if (lasts(shutSince, LATE_FOR_MS.shut)) return signs;
  const most = lasts(slowSince, LATE_FOR_MS.slow) ? LOOP_MS.shut - 1 : 0;
  return { ...signs, loopDelayMs: Math.min(signs.loopDelayMs, most) };
}

/** How long a session waits for the reply to its MAIL. */
export function mailDelayMs({ level }: OverloadState): number {
  return level === "Slow" ? SLOW_MAIL_MS : 0;
}

/** Why no new transaction is taken, or null. */
export function shutReason({ level, reason }: OverloadState): string | null {
  return level === "Shut" ? reason : null;
}

/** Why the pod shall get no more sessions, or null. */
export function notReadyReason({ level, reason, since }: OverloadState, now: Instant): string | null {
  return level === "Shut" && now - since >= NOT_READY_AFTER_MS ? `overloaded: ${reason}` : null;
}

/** The highest level that any sign calls for when thresholds are lowered to `part` of themselves. */
function worst(signs: LoadSigns, part: number): { level: OverloadLevel; reason: string } {
  const calls = [loopCall(signs, part), memoryCall(signs, part), diskCall(signs, part)];
  return calls.reduce((a, b) => (rank(b.level) > rank(a.level) ? b : a));
}

const nothing = { level: "Calm", reason: "" } as const;

function loopCall({ loopDelayMs }: LoadSigns, part: number): { level: OverloadLevel; reason: string } {
  const level = levelOf(loopDelayMs, LOOP_MS.slow * part, LOOP_MS.shut * part);
  return level === "Calm" ? nothing : { level, reason: `replies are ${Math.round(loopDelayMs)} ms late` };
}

function memoryCall({ memory }: LoadSigns, part: number): { level: OverloadLevel; reason: string } {
  if (memory === null) return nothing;
  const percent = (100 * memory.usedBytes) / memory.limitBytes;
  const level = levelOf(percent, MEMORY_PERCENT.slow * part, MEMORY_PERCENT.shut * part);
  if (level === "Calm") return nothing;
  const mib = (bytes: number) => Math.round(bytes / (1024 * 1024));
  return { level, reason: `memory ${mib(memory.usedBytes)} of ${mib(memory.limitBytes)} MiB` };
}

function diskCall({ disk }: LoadSigns, part: number): { level: OverloadLevel; reason: string } {
  if (disk === null) return nothing;
  const most = (disk.reserveBytes * DISK_RESERVES.slow) / part;
  if (disk.freeBytes >= most) return nothing;
  return { level: "Slow", reason: `${Math.round(disk.freeBytes / (1024 * 1024))} MiB of disk are free` };
}

function levelOf(value: number, slow: number, shut: number): OverloadLevel {
  return value >= shut ? "Shut" : value >= slow ? "Slow" : "Calm";
}

function rank(level: OverloadLevel): number {
  return { Calm: 0, Slow: 1, Shut: 2 }[level];
}
