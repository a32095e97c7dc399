import { expect, test } from "vitest";

import { BacklogColumns } from "./backlogColumns.ts";
import { type LaneKey, Lanes } from "./lanes.ts";

const key: LaneKey = {
  credential: "app",
  sendingDomain: "example.test",
  queueClass: "bulk",
  domain: "inbox.test",
  several: false,
};

test("messages that differ in anything of their lane have different ones, in whatever order they come", () => {
  const lanes = new Lanes(new BacklogColumns());
  const { queueClass: _, ...classless } = key;
  const keys: LaneKey[] = [
    key,
    { ...key, credential: "crm" },
    { ...key, credential: null },
    { ...key, sendingDomain: "other.test" },
    { ...key, sendingDomain: null },
    classless,
    { ...key, several: true },
    { ...key, domain: "outbox.test" },
  ];
  const numbers = keys.map((each) => lanes.numberOf(each));

  expect(new Set(numbers).size).toBe(keys.length);
  for (const a of keys)
    for (const b of keys)
      expect([lanes.numberOf(a), lanes.numberOf(b)]).toEqual([
        numbers[keys.indexOf(a)],
        numbers[keys.indexOf(b)],
      ]);
});

test("a sender whose last lane is forgotten, and who comes again at once, has one lane from then on", () => {
  const lanes = new Lanes(new BacklogColumns());
  const lane = lanes.at(lanes.numberOf(key));
  lane.inMemory++;
  lanes.left(lane);
  expect(lanes.all.filter((each) => each !== undefined)).toEqual([]);

  const number = lanes.numberOf(key);
  lanes.numberOf({ ...key, credential: "crm" });

  expect(lanes.numberOf(key)).toBe(number);
});
