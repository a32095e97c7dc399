import * as fc from "fast-check";
import { expect, test } from "vitest";

import { aRelay } from "../../test/support/builders.ts";
import { assignAddresses, poolPods } from "./assignAddresses.ts";

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${String(index).padStart(2, "0")}`);

const table = (addresses: number, pods: number) =>
  Object.fromEntries(
    [...assignAddresses(names("a", addresses), names("p", pods))].map(([address, parts]) => [
      address,
      Object.fromEntries(parts),
    ]),
  );

test("one pod has every address", () => {
  expect(table(2, 1)).toEqual({ a00: { p00: 1000 }, a01: { p00: 1000 } });
});

test("two pods and two addresses have one each", () => {
  expect(table(2, 2)).toEqual({ a00: { p00: 1000 }, a01: { p01: 1000 } });
});

test("more pods than addresses share an address in equal parts", () => {
  expect(table(2, 5)).toEqual({
    a00: { p00: 334, p02: 333, p04: 333 },
    a01: { p01: 500, p03: 500 },
  });
});

test("no pod, or no address, is an empty assignment", () => {
  expect(table(0, 3)).toEqual({});
  expect(table(1, 0)).toEqual({ a00: {} });
});

test("every pod has an address, every address is given whole, and addresses are spread evenly", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 60 }), (addresses, pods) => {
      const assignment = assignAddresses(names("a", addresses), names("p", pods));
      const counts = new Map<string, number>();
      for (const parts of assignment.values()) {
        expect([...parts.values()].reduce((sum, part) => sum + part, 0)).toBe(1000);
        expect(parts.size).toBeLessThanOrEqual(Math.ceil(pods / addresses));
        for (const pod of parts.keys()) counts.set(pod, (counts.get(pod) ?? 0) + 1);
      }
      expect(counts.size).toBe(pods);
      const most = Math.max(...counts.values());
      expect(most - Math.min(...counts.values())).toBeLessThanOrEqual(1);
    }),
  );
});

test("a pod that joins takes addresses and moves none between the others", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 64 }), fc.integer({ min: 1, max: 63 }), (addresses, pods) => {
      fc.pre(pods < addresses);
      const before = assignAddresses(names("a", addresses), names("p", pods));
      const after = assignAddresses(names("a", addresses), names("p", pods + 1));
      const moved = [...after].filter(
        ([address, parts]) => [...parts.keys()][0] !== [...(before.get(address)?.keys() ?? [])][0],
      );
      const joined = names("p", pods + 1).at(-1);
      expect(new Set(moved.flatMap(([, parts]) => [...parts.keys()]))).toEqual(new Set([joined]));
      expect(moved).toHaveLength(Math.floor(addresses / (pods + 1)));
    }),
  );
});

test("relays of one pool take turns, and a pod that drains still counts", () => {
  const older = aRelay({ metadata: { name: "mail" }, spec: { replicas: 1 }, status: { replicas: 2 } });
  const newer = aRelay({
    metadata: { name: "bulk", creationTimestamp: "2026-11-23T11:30:00Z" },
    spec: { replicas: 1 },
  });
  const elsewhere = aRelay({ metadata: { name: "other" }, spec: { poolRef: { name: "else" } } });

  expect(poolPods([newer, elsewhere, older], "default")).toEqual([
    "default/mail-0",
    "default/bulk-0",
    "default/mail-1",
  ]);
});
