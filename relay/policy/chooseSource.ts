/**
 * Which address of a pool a transaction leaves from, or what keeps every one of them from it.
 *
 * The one that has used the least part of its day's allowance goes first, so that all of a pool's
 * addresses advance together; an address without a limit counts as used as the day is gone, so that it
 * neither starves those that warm up nor is starved. Equals are drawn.
 */
import type { Instant } from "../message.ts";

/** One source as it stands now, for one site. */
export interface Candidate {
  readonly name: string;
  /** Null: active. Otherwise why it is paused. */
  readonly pausedBecause: string | null;
  /** Silence on this path. */
  readonly suspendedUntil: Instant | null;
  readonly connectionsInUse: number;
  readonly connections: number;
  /** Null: the allowance has room. Otherwise when it has again. */
  readonly exhaustedUntil: Instant | null;
  /** Used part of the day's allowance in [0, 1]; null without limit. */
  readonly usedPart: number | null;
}

export type Choice =
  | { readonly kind: "chosen"; readonly name: string }
  /** `name`: the source that binds, the one that will be free first. */
  | { readonly kind: "busy"; readonly name: string }
  | { readonly kind: "suspended"; readonly name: string; readonly until: Instant }
  | { readonly kind: "exhausted"; readonly name: string; readonly until: Instant }
  | { readonly kind: "paused"; readonly name: string; readonly because: string }
  | { readonly kind: "none" };

/**
 * `preferred` is the source a greylisting receiver knows: taken when it can be, waited for while it is
 * only busy. `dayFraction` and `draw` are in [0, 1).
 */
export function chooseSource(
  candidates: readonly Candidate[],
  preferred: string | null,
  dayFraction: number,
  draw: number,
): Choice {
  const known = candidates.find((candidate) => candidate.name === preferred);
  if (known !== undefined && isOpen(known)) {
    return { kind: hasConnection(known) ? "chosen" : "busy", name: known.name };
  }
  const open = candidates.filter(isOpen);
  const free = open.filter(hasConnection);
  if (free.length > 0) {
    const weight = (candidate: Candidate) => candidate.usedPart ?? dayFraction;
    const least = Math.min(...free.map(weight));
    const equals = free.filter((candidate) => weight(candidate) === least);
    const chosen = equals[Math.floor(draw * equals.length)] ?? equals[0];
    if (chosen !== undefined) return { kind: "chosen", name: chosen.name };
  }
  const busy = open[0];
  if (busy !== undefined) return { kind: "busy", name: busy.name };
  // Nothing can start: name what ends first. A source held by two things is held by the later one.
  let first: Extract<Choice, { kind: "suspended" | "exhausted" }> | null = null;
  for (const candidate of candidates) {
    if (candidate.pausedBecause !== null) continue;
    const { name, suspendedUntil, exhaustedUntil } = candidate;
    const byAllowance = exhaustedUntil !== null && exhaustedUntil >= (suspendedUntil ?? 0);
    const until = byAllowance ? exhaustedUntil : suspendedUntil;
    if (until === null || (first !== null && first.until <= until)) continue;
    first = { kind: byAllowance ? "exhausted" : "suspended", name, until };
  }
  if (first !== null) return first;
  const paused = candidates[0];
  return paused === undefined
    ? { kind: "none" }
    : { kind: "paused", name: paused.name, because: paused.pausedBecause ?? "" };
}

function isOpen(candidate: Candidate): boolean {
  return (
    candidate.pausedBecause === null && candidate.suspendedUntil === null && candidate.exhaustedUntil === null
  );
}

function hasConnection(candidate: Candidate): boolean {
  return candidate.connectionsInUse < candidate.connections;
}
