import { expect, test } from "vitest";

import { NOON } from "../../test/support/builders.ts";
import { type Finding, listOf, setConditions, stalledFinding } from "./setCondition.ts";

const ready = (status: "True" | "False", message: string): Finding<"SmtpRelay"> => ({
  type: "Ready",
  status,
  reason: "Sending",
  message,
});

test("the time of transition moves with status and with nothing else", () => {
  const first = setConditions(undefined, [ready("True", "2 of 2")], 1, NOON);
  const later = setConditions(first, [ready("True", "1 of 2")], 2, NOON + 60_000);
  const turned = setConditions(later, [ready("False", "0 of 2")], 2, NOON + 120_000);

  expect([first, later, turned].map(([one]) => one?.lastTransitionTime)).toEqual([
    "2026-11-23T12:00:00Z",
    "2026-11-23T12:00:00Z",
    "2026-11-23T12:02:00Z",
  ]);
  expect(later[0]).toMatchObject({ observedGeneration: 2, message: "1 of 2" });
});

test("no mail address reaches a condition, even when a receiver quoted one", () => {
  const [condition] = setConditions(
    undefined,
    [ready("True", 'google: 550 5.1.1 <jane.doe+x@gmail.com> unknown, "b@c.example".')],
    1,
    NOON,
  );

  expect(condition?.message).toBe('google: 550 5.1.1 <(address)> unknown, "(address)".');
});

test("messages are bounded", () => {
  expect(setConditions(undefined, [ready("True", "x".repeat(5000))], 1, NOON)[0]?.message).toHaveLength(1024);
});

test("a blocking problem stalls, a degraded one does not", () => {
  const problem = { reason: "PoolMissing", message: "IpPool default/x does not exist." };

  expect(stalledFinding([{ severity: "Degraded", ...problem }])).toMatchObject({
    status: "False",
    reason: "NothingWrong",
  });
  expect(stalledFinding([{ severity: "Blocking", ...problem }])).toEqual({
    type: "Stalled",
    status: "True",
    ...problem,
  });
});

test("long lists are cut with a count", () => {
  expect(listOf(["a", "b", "c", "d"], 2)).toBe("a, b and 2 more");
});
