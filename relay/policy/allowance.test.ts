import * as fc from "fast-check";
import { expect, test } from "vitest";

import {
  admit,
  counterKey,
  limitsFor,
  parseCounterKey,
  rowInForce,
  rowsOfSpool,
  TOTAL,
  usedPart,
} from "./allowance.ts";
import {
  closingReturn,
  covered,
  emptyLease,
  type Lease,
  recoveredLease,
  reserve,
  settle,
  usedOf,
  wantedTaken,
} from "./lease.ts";

const at = (time: string) => Date.parse(time);
const row = (day: string, total: number | null, providers: Record<string, number> = {}) => ({
  day,
  total,
  providers,
});
const ramp = [
  row("2026-11-23", 200, { google: 80 }),
  row("2026-11-24", 500),
  row("2026-11-26", null, { google: 900 }),
];

test.each([
  ["2026-11-22T23:59:59.999Z", "before the first row", "notYet"],
  ["2026-11-23T00:00:00Z", "the first row from midnight on", "2026-11-23"],
  ["2026-11-23T23:59:59.999Z", "until the next midnight", "2026-11-23"],
  ["2026-11-24T00:00:00Z", "the next row", "2026-11-24"],
  ["2026-11-25T12:00:00Z", "a day without a row keeps the last one", "2026-11-24"],
  ["2027-03-01T12:00:00Z", "past the horizon the last row holds", "2026-11-26"],
])("at %s: %s", (time, _because, day) => {
  const found = rowInForce(ramp, at(time));
  expect(found.kind === "row" ? found.row.day : found.kind).toBe(day);
});

test("limits: a provider that is not named has only the total; names of Object's prototype are no providers", () => {
  const noon = at("2026-11-23T12:00:00Z");
  expect(limitsFor(ramp, "google", noon)).toEqual({ total: 200, provider: 80 });
  expect(limitsFor(ramp, "yahoo", noon)).toEqual({ total: 200, provider: null });
  expect(limitsFor(ramp, "constructor", noon)).toEqual({ total: 200, provider: null });
  expect(limitsFor([], "google", noon)).toEqual({ total: null, provider: null });
  expect(limitsFor(ramp, "google", at("2026-11-01T00:00:00Z"))).toEqual({ total: 0, provider: 0 });
});

test("what is granted is the least that is left; what is not says which limit binds and until when", () => {
  const noon = at("2026-11-23T12:00:00Z");
  const used = (counters: Record<string, number>) => (counter: string) => counters[counter] ?? 0;
  expect(admit(ramp, "google", 100, used({}), noon)).toEqual({ kind: "granted", count: 80 });
  expect(admit(ramp, "google", 100, used({ total: 150, google: 10 }), noon)).toEqual({
    kind: "granted",
    count: 50,
  });
  expect(admit(ramp, "google", 1, used({ total: 90, google: 80 }), noon)).toEqual({
    kind: "exhausted",
    until: at("2026-11-24T00:00:00Z"),
    binding: "google",
    limit: 80,
    used: 80,
  });
  expect(admit(ramp, "yahoo", 1, used({ total: 230 }), noon)).toMatchObject({
    binding: TOTAL,
    limit: 200,
    used: 230,
  });
  expect(admit(ramp, "yahoo", 1, used({}), at("2026-11-20T12:00:00Z"))).toMatchObject({
    kind: "exhausted",
    until: at("2026-11-23T00:00:00Z"),
  });
  expect(admit([], "google", 1_000_000, used({ total: 1e9 }), noon)).toEqual({
    kind: "granted",
    count: 1_000_000,
  });
});

test("the used part is that of the fuller limit, null without any", () => {
  const noon = at("2026-11-23T12:00:00Z");
  const used = (counter: string) => (counter === TOTAL ? 100 : 60);
  expect(usedPart(ramp, "google", used, noon)).toBe(0.75);
  expect(usedPart(ramp, "yahoo", used, noon)).toBe(0.5);
  expect(usedPart([], "google", used, noon)).toBeNull();
  expect(usedPart([row("2026-11-23", 0)], "google", () => 0, noon)).toBe(1);
});

test("counter keys survive the round trip, whatever a source is called", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.constantFrom("google", "total", "other"),
      (source, provider) => {
        fc.pre(!/[\n\r\u2028\u2029]/.test(source));
        expect(parseCounterKey(counterKey(source, provider, "2026-11-23"))).toEqual({
          source,
          provider,
          day: "2026-11-23",
        });
      },
    ),
  );
  expect(parseCounterKey("stat|a|google|2026-11-23|delivered")).toBeNull();
  expect(parseCounterKey("a|google|2026-11-23|returned")).toBeNull();
});

/** A counter as a process keeps it and as the disk knows it. */
interface World {
  readonly lease: Lease;
  readonly disk: { readonly taken: number; readonly returned: number };
  /** What the peer really accepted. */
  readonly truth: number;
}

const act = fc.oneof(
  fc.record({ kind: fc.constant("reserve" as const), count: fc.integer({ min: 1, max: 30 }) }),
  fc.record({
    kind: fc.constant("end" as const),
    accepted: fc.integer({ min: 0, max: 30 }),
    refused: fc.integer({ min: 0, max: 30 }),
  }),
  fc.record({ kind: fc.constant("crash" as const), accepted: fc.integer({ min: 0, max: 30 }) }),
  fc.record({ kind: fc.constant("stop" as const) }),
  fc.record({ kind: fc.constant("limit" as const), limit: fc.option(fc.integer({ min: 0, max: 100 })) }),
);

type Act = typeof act extends fc.Arbitrary<infer Value> ? Exclude<Value, { kind: "limit" }> : never;

/** One step of a life: what the process, the disk and the peer know afterwards. */
function live({ lease, disk, truth }: World, action: Act, limit: number | null): World {
  switch (action.kind) {
    case "reserve": {
      const count = limit === null ? action.count : Math.min(action.count, limit - usedOf(lease));
      if (count <= 0) return { lease, disk, truth };
      const reserved = reserve(lease, count);
      const taken = wantedTaken(reserved, limit);
      return { lease: { ...reserved, taken }, disk: { ...disk, taken }, truth };
    }
    case "end": {
      const accepted = Math.min(action.accepted, lease.inFlight);
      const refused = Math.min(action.refused, lease.inFlight - accepted);
      return { lease: settle(lease, accepted, refused), disk, truth: truth + accepted };
    }
    case "crash": {
      const accepted = Math.min(action.accepted, lease.inFlight);
      return { lease: recoveredLease(disk.taken, disk.returned), disk, truth: truth + accepted };
    }
    case "stop": {
      const ended = settle(lease, 0, lease.inFlight);
      const returned = closingReturn(ended);
      const next = recoveredLease(disk.taken, returned);
      // A clean stop is exact: the next life starts with what this one used.
      return usedOf(next) === usedOf(ended)
        ? { lease: next, disk: { ...disk, returned }, truth }
        : { lease: next, disk: { ...disk, returned }, truth: Number.POSITIVE_INFINITY };
    }
  }
}

test("under any order of reserve, end, crash, stop and change, the truth stays within lease and limit", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
      let limit: number | null = 50;
      let highest = 50;
      let world: World = { lease: emptyLease, disk: { taken: 0, returned: 0 }, truth: 0 };
      for (const action of acts) {
        const before = world;
        if (action.kind === "limit") {
          limit = action.limit;
          highest = Math.max(highest, limit ?? Number.POSITIVE_INFINITY);
        } else {
          world = live(world, action, limit);
        }
        // What is durable only grows, covers all that may be spent, and takes nothing beyond the limit.
        const durable = (one: World) => one.disk.taken - one.disk.returned;
        expect(world.disk.taken).toBeGreaterThanOrEqual(before.disk.taken);
        expect(world.disk.returned).toBeGreaterThanOrEqual(before.disk.returned);
        expect(covered(world.lease)).toBeGreaterThanOrEqual(0);
        expect(durable(world)).toBeLessThanOrEqual(
          Math.max(limit ?? Number.POSITIVE_INFINITY, durable(before)),
        );
        expect(world.truth).toBeLessThanOrEqual(world.disk.taken - world.disk.returned);
        expect(world.truth).toBeLessThanOrEqual(usedOf(world.lease));
        expect(world.truth).toBeLessThanOrEqual(highest);
      }
    }),
  );
});

test("a crash writes off at most sixteen units and a twentieth of the limit", () => {
  for (const [limit, most] of [
    [10, 0],
    [100, 5],
    [1000, 16],
    [50_000, 16],
  ] as const) {
    const reserved = reserve(emptyLease, 1);
    expect([limit, wantedTaken(reserved, limit) - 1 <= most]).toEqual([limit, true]);
  }
});

test("a spool that lost what was used before it spends nothing on its first day, and its rows from the next", () => {
  const rows = [
    { day: "2026-11-23", total: 200, providers: { google: 80 } },
    { day: "2026-11-24", total: 500, providers: { google: 200 } },
  ];
  const createdAt = Date.parse("2026-11-23T10:00:00Z");
  const limitAt = (at: string, knownSince: string | null) =>
    limitsFor(
      rowsOfSpool(rows, createdAt, knownSince === null ? null : Date.parse(knownSince)),
      "google",
      Date.parse(at),
    );

  expect(limitAt("2026-11-23T12:00:00Z", "2026-11-20T00:00:00Z")).toEqual({ total: 0, provider: null });
  expect(limitAt("2026-11-24T00:00:00Z", "2026-11-20T00:00:00Z")).toEqual({ total: 500, provider: 200 });
  expect(limitAt("2026-11-23T12:00:00Z", "2026-11-23T10:00:00Z")).toEqual({ total: 200, provider: 80 });
  expect(limitAt("2026-11-23T12:00:00Z", null)).toEqual({ total: 200, provider: 80 });
});

test("a young spool beyond the horizon of its rows goes on with the last row from its second day", () => {
  const rows = [{ day: "2026-11-01", total: 300, providers: {} }];
  const young = rowsOfSpool(rows, Date.parse("2026-11-23T10:00:00Z"), Date.parse("2026-11-01T00:00:00Z"));

  expect(limitsFor(young, "other", Date.parse("2026-11-23T23:00:00Z")).total).toBe(0);
  expect(limitsFor(young, "other", Date.parse("2026-11-24T00:00:00Z")).total).toBe(300);
});
