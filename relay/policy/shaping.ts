/**
 * How many connections a path may have now, learnt from what it told us.
 *
 * A path is (source → site) for sessions, or (source → provider, else site) for standing. It is Open, or
 * Suspended until an instant, or Recovering: some connections, one more each time as many transactions
 * went well as there are connections (Gmail's published procedure: silence, one connection, one more at
 * a time). It reacts downwards at most once a minute, so that one burst of refusals counts once, and
 * recovers stepwise, so that it does not swing.
 */
import type { Instant } from "../message.ts";
import type { PathEvent } from "./decide.ts";

export interface PathState {
  readonly phase:
    | { readonly kind: "Open" }
    | { readonly kind: "Suspended"; readonly since: Instant; readonly until: Instant }
    | {
        readonly kind: "Recovering";
        readonly since: Instant;
        /** No growth before this instant. */
        readonly growFrom: Instant;
        readonly connections: number;
        readonly successes: number;
      };
  /** What made the last step down, for `explain`; null while Open from the start. */
  readonly cause: { readonly rule: string; readonly reason: string } | null;
  /** Suspensions in a row, which double the next. */
  readonly strikes: number;
  readonly lastStrikeAt: Instant;
  readonly lastSuccessAt: Instant;
  readonly lastLoweredAt: Instant;
  /** Replies that bite only when repeated, newest last. */
  readonly recent: readonly { readonly rule: string; readonly at: Instant }[];
}

/** Facts of the configuration that a step needs. */
export interface PathLimits {
  /** Connections when Open. */
  readonly connections: number;
  /** First and longest silence after sessions that fail. */
  readonly failureSeconds: { readonly first: number; readonly longest: number };
  /** Whether one success wipes the strikes: true for sessions, false for standing, which has a memory. */
  readonly forgiving: boolean;
}

export const openPath: PathState = {
  phase: { kind: "Open" },
  cause: null,
  strikes: 0,
  lastStrikeAt: Number.NEGATIVE_INFINITY,
  lastSuccessAt: Number.NEGATIVE_INFINITY,
  lastLoweredAt: Number.NEGATIVE_INFINITY,
  recent: [],
};

const minute = 60_000;
const hour = 60 * minute;
/** Repeats within a day make a told silence longer. */
const MEMORY_MS = 24 * hour;
/** Told silences double up to this, unless the rule itself asks for more. */
const LONGEST_TOLD_SECONDS = 4 * 3600;
/** Steps down within this time are one step: the rest of the burst was already under way. */
const BURST_MS = minute;
/** Replies remembered for rules that bite when repeated. */
const MOST_RECENT = 32;
const JITTER = 0.1;

/** A suspension that has run out is a recovery with one connection. */
export function current(state: PathState, now: Instant): PathState {
  if (state.phase.kind !== "Suspended" || now < state.phase.until) return state;
  const since = state.phase.until;
  return { ...state, phase: { kind: "Recovering", since, growFrom: since, connections: 1, successes: 0 } };
}

export type Admission =
  | { readonly kind: "allowed"; readonly connections: number; readonly recovering: boolean }
  | { readonly kind: "suspended"; readonly since: Instant; readonly until: Instant };

/** Connections a path may have at `now`, of the `limit` it has when Open. */
export function admission(state: PathState, limit: number, now: Instant): Admission {
  const { phase } = current(state, now);
  switch (phase.kind) {
    case "Open":
      return { kind: "allowed", connections: limit, recovering: false };
    case "Suspended":
      return { kind: "suspended", since: phase.since, until: phase.until };
    case "Recovering":
      return { kind: "allowed", connections: Math.min(phase.connections, limit), recovering: true };
  }
}

/** Folds one event into the state. `draw` in [0, 1) stretches silences by up to a tenth. */
export function step(
  before: PathState,
  event: PathEvent,
  limits: PathLimits,
  now: Instant,
  draw: number,
): PathState {
  const state = current(before, now);
  switch (event.kind) {
    case "succeeded":
      return grown(
        { ...state, lastSuccessAt: now, strikes: limits.forgiving ? 0 : state.strikes },
        limits,
        now,
      );
    case "failed": {
      const cause = { rule: event.rule, reason: event.reason };
      const worked = event.lost || now - state.lastSuccessAt <= BURST_MS;
      // Something works there: ask for less before asking for nothing.
      if (worked && state.phase.kind === "Open") return halved(state, cause, limits, now, 0);
      if (worked && connectionsOf(state, limits) > 1) return halved(state, cause, limits, now, 0);
      const { first, longest } = limits.failureSeconds;
      return suspended(state, cause, now, draw, { first, longest });
    }
    case "told": {
      const { backoff } = event;
      const cause = { rule: event.rule, reason: event.reason };
      const recent = [...state.recent, { rule: event.rule, at: now }]
        .filter((entry) => now - entry.at < hour)
        .slice(-MOST_RECENT);
      const heard = recent.filter((entry) => entry.rule === event.rule).length;
      if (heard < (backoff.after ?? 1)) return { ...state, recent };
      const fresh = { ...state, recent: recent.filter((entry) => entry.rule !== event.rule) };
      const longest = backoff.doubling ? Math.max(backoff.seconds, LONGEST_TOLD_SECONDS) : backoff.seconds;
      if (backoff.mode === "Halve" && connectionsOf(fresh, limits) > 1) {
        return halved(fresh, cause, limits, now, backoff.seconds);
      }
      return suspended(fresh, cause, now, draw, { first: backoff.seconds, longest });
    }
  }
}

function connectionsOf(state: PathState, limits: PathLimits): number {
  switch (state.phase.kind) {
    case "Open":
      return limits.connections;
    case "Recovering":
      return state.phase.connections;
    case "Suspended":
      return 0;
  }
}

function grown(state: PathState, limits: PathLimits, now: Instant): PathState {
  const { phase } = state;
  switch (phase.kind) {
    case "Open":
      return state;
    case "Suspended":
      // What was in flight when silence began proves nothing about what comes after it.
      return state;
    case "Recovering": {
      if (now < phase.growFrom) return state;
      const successes = phase.successes + 1;
      if (successes < phase.connections) return { ...state, phase: { ...phase, successes } };
      const connections = phase.connections + 1;
      return connections >= limits.connections
        ? { ...state, phase: { kind: "Open" }, cause: null }
        : { ...state, phase: { ...phase, connections, successes: 0 } };
    }
  }
}

type Cause = { readonly rule: string; readonly reason: string };

function halved(
  state: PathState,
  cause: Cause,
  limits: PathLimits,
  now: Instant,
  holdSeconds: number,
): PathState {
  if (state.phase.kind === "Suspended" || now - state.lastLoweredAt < BURST_MS) return state;
  const connections = Math.max(1, Math.floor(connectionsOf(state, limits) / 2));
  const growFrom = now + holdSeconds * 1000;
  return {
    ...state,
    cause,
    lastLoweredAt: now,
    phase: { kind: "Recovering", since: now, growFrom, connections, successes: 0 },
  };
}

function suspended(
  state: PathState,
  cause: Cause,
  now: Instant,
  draw: number,
  seconds: { readonly first: number; readonly longest: number },
): PathState {
  if (state.phase.kind === "Suspended") {
    // Answers to what was already under way are the same verdict, not a new one; a longer one counts.
    const until = now + seconds.first * 1000;
    return until <= state.phase.until ? state : { ...state, cause, phase: { ...state.phase, until } };
  }
  const forgiven = now - state.lastStrikeAt > MEMORY_MS;
  const strikes = forgiven ? 1 : state.strikes + 1;
  const length = Math.min(seconds.first * 2 ** (strikes - 1), seconds.longest) * (1 + JITTER * draw);
  return {
    ...state,
    cause,
    strikes,
    lastStrikeAt: now,
    lastLoweredAt: now,
    phase: { kind: "Suspended", since: now, until: now + Math.round(length * 1000) },
  };
}
