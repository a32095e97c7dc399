import { expect, test } from "vitest";

import { nextRolloutStep, type PodState, type RolloutStep, type Wanted } from "./rollout.ts";

/** "0 1! 2*": ordinal, "!" not ready, "*" of the old template, "-" stopping. */
function pods(text: string): PodState[] {
  return text.split(" ").flatMap((one) =>
    one === ""
      ? []
      : [
          {
            ordinal: Number.parseInt(one, 10),
            ready: !one.includes("!"),
            revision: one.includes("*") ? "old" : "new",
            stopping: one.includes("-"),
          },
        ],
  );
}
const wanted = (
  replicas: number,
  podManagementPolicy: Wanted["podManagementPolicy"] = "OrderedReady",
): Wanted => ({
  replicas,
  revision: "new",
  podManagementPolicy,
});

const cases: [string, Wanted, RolloutStep, string][] = [
  ["", wanted(2), { kind: "create", ordinals: [0] }, "pods come one by one"],
  ["", wanted(2, "Parallel"), { kind: "create", ordinals: [0, 1] }, "or all at once when the set says so"],
  ["0!", wanted(2), { kind: "wait" }, "the next waits for the one before"],
  ["0", wanted(2), { kind: "create", ordinals: [1] }, "and comes when that is ready"],
  ["0 1 2", wanted(1), { kind: "stop", ordinal: 2 }, "the highest leaves first"],
  ["0 1 2-", wanted(1), { kind: "wait" }, "one at a time"],
  ["0 1", wanted(2), { kind: "wait" }, "nothing to do"],
  ["0* 1*", wanted(2), { kind: "stop", ordinal: 1 }, "a new template starts at the highest"],
  ["0* 1!", wanted(2), { kind: "wait" }, "the next waits until the new one is ready"],
  ["0* 1", wanted(2), { kind: "stop", ordinal: 0 }, "then follows"],
  ["0*! 1*!", wanted(2), { kind: "stop", ordinal: 1 }, "pods of a bad template are replaced without waiting"],
  ["0*", wanted(2), { kind: "create", ordinals: [1] }, "missing ones come before a change of the others"],
  [
    "0*! 2",
    wanted(3),
    { kind: "stop", ordinal: 0 },
    "a broken one below is mended before the one above comes",
  ],
  ["0*", wanted(0), { kind: "stop", ordinal: 0 }, "no replicas at all"],
];

test.each(cases)("pods %j: %j → %j: %s", (present, want, step) => {
  expect(nextRolloutStep(want, pods(present))).toEqual(step);
});
