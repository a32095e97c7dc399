import * as fc from "fast-check";
import { expect, test } from "vitest";

import type { PathEvent } from "./decide.ts";
import { fixedSilence, silence, slower } from "./replyRule.ts";
import { admission, openPath, type PathLimits, type PathState, step } from "./shaping.ts";

const start = Date.parse("2026-11-23T12:00:00Z");
const minutes = 60_000;
const hours = 60 * minutes;
const limits: PathLimits = { connections: 5, failureSeconds: { first: 60, longest: 1800 }, forgiving: false };
const session: PathLimits = { ...limits, forgiving: true };

const told = (backoff = silence(600), rule = "google/rate"): PathEvent => ({
  kind: "told",
  rule,
  reason: "421",
  backoff,
});
const refusedConnection: PathEvent = {
  kind: "failed",
  rule: "session/connect",
  reason: "refused",
  lost: false,
};
const brokenDialogue: PathEvent = { kind: "failed", rule: "session/content", reason: "closed", lost: true };
const succeeded: PathEvent = { kind: "succeeded" };

/** Folds events, each `after` milliseconds later than the one before. */
function play(
  state: PathState,
  at: number,
  events: readonly (readonly [number, PathEvent])[],
  given = limits,
) {
  let now = at;
  for (const [after, event] of events) state = step(state, event, given, (now += after), 0);
  return { state, now };
}
const connections = (state: PathState, now: number) => {
  const verdict = admission(state, limits.connections, now);
  return verdict.kind === "allowed" ? verdict.connections : 0;
};

test("Gmail's procedure: silence, one connection, one more each time as many went well, then all", () => {
  let { state } = play(openPath, start, [[0, told()]]);
  expect(admission(state, 5, start + 9 * minutes)).toMatchObject({
    kind: "suspended",
    until: start + 10 * minutes,
  });
  const now = start + 10 * minutes;
  const seen: number[] = [];
  for (let success = 0; success < 10; success++) {
    seen.push(connections(state, now));
    state = step(state, succeeded, limits, now, 0);
  }
  expect(seen).toEqual([1, 2, 2, 3, 3, 3, 4, 4, 4, 4]);
  expect(state.phase).toEqual({ kind: "Open" });
});

test("a repeat within a day doubles the silence, up to four hours; a quiet day forgets", () => {
  const lengths: number[] = [];
  let state = openPath;
  let now = start;
  for (let repeat = 0; repeat < 7; repeat++) {
    state = step(state, told(), limits, now, 0);
    if (state.phase.kind !== "Suspended") throw new Error("not suspended");
    lengths.push((state.phase.until - now) / minutes);
    now = state.phase.until + 1;
  }
  expect(lengths).toEqual([10, 20, 40, 80, 160, 240, 240]);

  state = step(state, told(), limits, now + 25 * hours, 0);
  expect(state.phase).toMatchObject({ until: now + 25 * hours + 10 * minutes });
});

test("a fixed silence stays what the provider named", () => {
  let { state, now } = play(openPath, start, [[0, told(fixedSilence(7200))]]);
  ({ state, now } = play(state, now, [[3 * hours, told(fixedSilence(7200))]]));
  expect(state.phase).toMatchObject({ kind: "Suspended", until: now + 2 * hours });
});

test("answers to what was under way when silence began count once, and silence begins with the last of them; a longer verdict extends it", () => {
  const first = play(openPath, start, [[0, told()]]).state;
  expect(
    play(first, start, [
      [1000, told()],
      [1000, told()],
    ]).state,
  ).toMatchObject({
    phase: { ...first.phase, until: start + 2000 + 10 * minutes },
    strikes: 1,
  });
  expect(play(first, start, [[1000, succeeded]]).state.phase).toEqual(first.phase);
  expect(play(first, start, [[0, told(fixedSilence(86_400), "google/ban")]]).state.phase).toMatchObject({
    until: start + 24 * hours,
  });
});

test("a rule that bites when repeated waits for its count within the hour", () => {
  const thrice = { ...silence(3600), after: 3 };
  expect(
    play(openPath, start, [
      [0, told(thrice)],
      [minutes, told(thrice)],
    ]).state.phase.kind,
  ).toBe("Open");
  expect(
    play(openPath, start, [
      [0, told(thrice)],
      [minutes, told(thrice)],
      [minutes, told(thrice)],
    ]).state.phase.kind,
  ).toBe("Suspended");
  expect(
    play(openPath, start, [
      [0, told(thrice)],
      [minutes, told(thrice)],
      [2 * hours, told(thrice)],
    ]).state.phase.kind,
  ).toBe("Open");
});

test("slower means half the connections, once a burst, no growth for a while, and at one: silence", () => {
  let { state, now } = play(openPath, start, [
    [0, told(slower(600))],
    [1000, told(slower(600))],
  ]);
  expect(connections(state, now)).toBe(2);
  ({ state, now } = play(state, now, [
    [minutes, succeeded],
    [0, succeeded],
    [0, succeeded],
  ]));
  expect(connections(state, now)).toBe(2);
  ({ state, now } = play(state, now, [[0, told(slower(600))]]));
  expect(connections(state, now)).toBe(1);
  ({ state, now } = play(state, now, [[minutes, told(slower(600))]]));
  expect(state.phase.kind).toBe("Suspended");
});

test("a site that was never reached is silent at once: 1, 2, 4 min and so on, up to half an hour", () => {
  const lengths: number[] = [];
  let state = openPath;
  let now = start;
  for (let knock = 0; knock < 7; knock++) {
    state = step(state, refusedConnection, session, now, 0);
    if (state.phase.kind !== "Suspended") throw new Error("not suspended");
    lengths.push((state.phase.until - now) / minutes);
    now = state.phase.until;
  }
  expect(lengths).toEqual([1, 2, 4, 8, 16, 30, 30]);
  // One session that works, and the next failure starts small again.
  ({ state, now } = play(
    state,
    now,
    [
      [0, succeeded],
      [2 * minutes, refusedConnection],
    ],
    session,
  ));
  expect(state.phase).toMatchObject({ kind: "Suspended", until: now + 1 * minutes });
});

test("a site that worked a moment ago is asked for less before it is asked for nothing", () => {
  let { state, now } = play(
    openPath,
    start,
    [
      [0, succeeded],
      [1000, refusedConnection],
      [10, refusedConnection],
    ],
    session,
  );
  expect(connections(state, now)).toBe(2);
  ({ state, now } = play(state, now, [[2 * minutes, refusedConnection]], session));
  expect(state.phase.kind).toBe("Suspended");
});

test("a broken dialogue lowers connections; only a lone one that breaks again brings silence", () => {
  let { state, now } = play(openPath, start, [[0, brokenDialogue]], session);
  expect(connections(state, now)).toBe(2);
  ({ state, now } = play(state, now, [[minutes, brokenDialogue]], session));
  expect(connections(state, now)).toBe(1);
  ({ state, now } = play(state, now, [[minutes, brokenDialogue]], session));
  expect(state.phase.kind).toBe("Suspended");
});

test("whatever happens, connections stay between none and the limit, silence ends, and successes reopen the path", () => {
  const event = fc.oneof(
    fc.constant(succeeded),
    fc.constant(refusedConnection),
    fc.constant(brokenDialogue),
    fc.constant(told()),
    fc.constant(told(slower(900), "any/rate")),
    fc.constant(told({ ...silence(3600), after: 3 }, "any/thrice")),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 2 * hours }), event), { maxLength: 60 }),
      fc.boolean(),
      (events, forgiving) => {
        let state = openPath;
        let now = start;
        for (const [after, what] of events) {
          state = step(state, what, { ...limits, forgiving }, (now += after), 0.5);
          expect(connections(state, now)).toBeGreaterThanOrEqual(0);
          expect(connections(state, now)).toBeLessThanOrEqual(limits.connections);
          const { phase } = state;
          const silentMs = phase.kind === "Suspended" ? phase.until - now : 0;
          expect(silentMs).toBeLessThanOrEqual(4.4 * hours);
          expect(phase.kind === "Open" || state.cause !== null).toBe(true);
        }
        now += 5 * hours;
        expect(connections(state, now)).toBeGreaterThan(0);
        for (let success = 0; success < 20; success++) state = step(state, succeeded, limits, now, 0);
        expect(connections(state, now)).toBe(limits.connections);
      },
    ),
  );
});
