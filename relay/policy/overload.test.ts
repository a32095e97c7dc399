import { expect, test } from "vitest";

import { calm, judgeOverload, type LoadSigns, mailDelayMs, notReadyReason, shutReason } from "./overload.ts";

const MIB = 1024 * 1024;
const start = Date.parse("2026-11-23T12:00:00Z");
const idle: LoadSigns = {
  loopDelayMs: 3,
  memory: { usedBytes: 100 * MIB, limitBytes: 1000 * MIB },
  disk: { freeBytes: 5000 * MIB, reserveBytes: 64 * MIB },
};
const late = (loopDelayMs: number): LoadSigns => ({ ...idle, loopDelayMs });
const memory = (usedMib: number): LoadSigns => ({
  ...idle,
  memory: { usedBytes: usedMib * MIB, limitBytes: 1000 * MIB },
});

/** One look a second. */
function play(signs: readonly LoadSigns[], state = calm(start), from = start) {
  let now = from;
  for (const one of signs) state = judgeOverload(state, one, (now += 1000));
  return { state, now };
}
const times = (count: number, signs: LoadSigns) => Array.from({ length: count }, () => signs);

test("an idle relay is calm, waits for nothing and is ready", () => {
  const { state, now } = play(times(100, idle));

  expect(state.level).toBe("Calm");
  expect([mailDelayMs(state), shutReason(state), notReadyReason(state, now)]).toEqual([0, null, null]);
});

test("replies that are late for three seconds slow it, very late ones for five shut it; the reason has the number", () => {
  expect(play(times(3, late(200))).state.level).toBe("Calm");
  expect(play(times(4, late(200))).state).toMatchObject({ level: "Slow", reason: "replies are 200 ms late" });
  expect(play(times(5, late(1200))).state.level).toBe("Slow");
  expect(play(times(6, late(1200))).state).toMatchObject({
    level: "Shut",
    reason: "replies are 1200 ms late",
  });
});

test("stalls that come and go are no overload", () => {
  const signs = Array.from({ length: 60 }, (_, index) => late(index % 3 === 0 ? 0 : 3000));

  expect(play(signs).state.level).toBe("Calm");
});

test.each([
  ["memory that gets tight", memory(800), "Slow", "memory 800 of 1000 MiB"],
  ["memory that is nearly used up", memory(900), "Shut", "memory 900 of 1000 MiB"],
  [
    "a disk with little room",
    { ...idle, disk: { freeBytes: 127 * MIB, reserveBytes: 64 * MIB } },
    "Slow",
    "127 MiB of disk are free",
  ],
  ["the worst of several", { ...memory(950), loopDelayMs: 300 }, "Shut", "memory 950 of 1000 MiB"],
] as const)("%s: one look is enough, and the reason has the number", (_, signs, level, reason) => {
  expect(play([signs]).state).toMatchObject({ level, reason });
});

test("what is not known is no reason", () => {
  expect(play([{ loopDelayMs: 0, memory: null, disk: null }]).state.level).toBe("Calm");
});

test("it comes down one step after five seconds in which all is well, and not sooner", () => {
  const shut = play(times(6, late(1500)));
  const still = play(times(5, idle), shut.state, shut.now);
  expect(still.state.level).toBe("Shut");
  const slow = play([idle], still.state, still.now);
  expect(slow.state.level).toBe("Slow");
  // The calm of before counts: nothing was wrong since.
  const calmAgain = play(times(6, idle), slow.state, slow.now);
  expect(calmAgain.state).toMatchObject({ level: "Calm", reason: "" });
});

test("just below the threshold it stays, so that it does not swing", () => {
  const shut = play([memory(900)]);

  expect(play(times(60, memory(890)), shut.state, shut.now).state).toMatchObject({
    level: "Shut",
    reason: "memory 890 of 1000 MiB",
  });
});

test("a relapse starts the five seconds anew", () => {
  const slow = play(times(4, late(250)));
  const nearly = play([...times(5, idle), late(180), ...times(5, idle)], slow.state, slow.now);

  expect(nearly.state.level).toBe("Slow");
  expect(play([idle], nearly.state, nearly.now).state.level).toBe("Calm");
});

test("while slow each MAIL waits; while shut none is taken, and after ten seconds the pod is not ready", () => {
  const slow = play(times(4, late(300)));
  expect(mailDelayMs(slow.state)).toBe(250);
  expect(shutReason(slow.state)).toBeNull();

  const shut = play(times(6, late(1000)), slow.state, slow.now);
  expect(shutReason(shut.state)).toBe("replies are 1000 ms late");
  expect(notReadyReason(shut.state, shut.now + 9_999)).toBeNull();
  expect(notReadyReason(shut.state, shut.now + 10_000)).toBe("overloaded: replies are 1000 ms late");
});
