import { expect, test } from "vitest";

import type { EgressSource } from "../contract/config.ts";
import { AllowanceMeter } from "./meter.ts";
import type { UsageRecord } from "./spool.ts";

const now = Date.parse("2026-11-23T12:00:00Z");
const source = (limit: number | null): EgressSource => ({
  name: "a",
  pool: "default",
  address: null,
  ehloName: "a.example.com",
  state: "Active",
  stateReason: "",
  allowance: limit === null ? [] : [{ day: "2026-11-23", total: limit, providers: { google: limit } }],
});

/** A disk that keeps the highest value of each counter and counts writes; it can be held and broken. */
function disk() {
  const values = new Map<string, number>();
  let held: { promise: Promise<void>; open: () => void } | null = null;
  const state = {
    writes: 0,
    broken: false,
    hold() {
      let open = () => {};
      const promise = new Promise<void>((resolve) => (open = resolve));
      held = { promise, open };
    },
    release() {
      held?.open();
      held = null;
    },
    async write(records: readonly UsageRecord[]) {
      state.writes++;
      await held?.promise;
      if (state.broken) throw new Error("no space left on device");
      for (const { counter, taken } of records) {
        expect(taken).toBeGreaterThanOrEqual(values.get(counter) ?? 0);
        values.set(counter, taken);
      }
    },
    records: (): UsageRecord[] => [...values].map(([counter, taken]) => ({ counter, taken })),
  };
  return state;
}

test("one durable block serves many transactions, and what waits together shares a write", async () => {
  const store = disk();
  const meter = new AllowanceMeter((records) => store.write(records));
  store.hold();
  const waiting = Array.from({ length: 40 }, () => meter.reserve(source(1000), "google", 1, now));
  store.release();
  await Promise.all(waiting.map(({ durable }) => durable));
  expect(store.writes).toBeLessThanOrEqual(3);

  const before = store.writes;
  for (let more = 0; more < 10; more++) await meter.reserve(source(1000), "google", 1, now).durable;
  expect(store.writes - before).toBeLessThanOrEqual(1);
});

test("nothing may be spent before it is durable", async () => {
  const store = disk();
  const meter = new AllowanceMeter((records) => store.write(records));
  store.hold();
  let spent = false;
  const { durable } = meter.reserve(source(100), "google", 3, now);
  const spending = durable.then(() => (spent = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(spent).toBe(false);
  store.release();
  await spending;
  const taken = new Map(store.records().map(({ counter, taken }) => [counter, taken] as const));
  expect(taken.get("a|total|2026-11-23")).toBeGreaterThanOrEqual(3);
  expect(taken.get("a|google|2026-11-23")).toBeGreaterThanOrEqual(3);
});

test("a disk that fails refuses the units; they are free again once given up", async () => {
  const store = disk();
  const meter = new AllowanceMeter((records) => store.write(records));
  store.broken = true;
  const reservation = meter.reserve(source(10), "google", 4, now);
  await expect(reservation.durable).rejects.toThrow("no space left");
  expect(meter.used("a", "total", now)).toBe(4);
  meter.settle(reservation, 0);
  expect(meter.used("a", "total", now)).toBe(0);

  store.broken = false;
  await meter.reserve(source(10), "google", 10, now).durable;
  expect(meter.headroom(source(10), "google", 1, now)).toMatchObject({
    kind: "exhausted",
    used: 10,
    limit: 10,
  });
});

test("the next life knows what this one used: exactly after a close, never less after a crash", async () => {
  const store = disk();
  const meter = new AllowanceMeter((records) => store.write(records));
  const first = meter.reserve(source(200), "google", 5, now);
  await first.durable;
  meter.settle(first, 3);

  const crashed = new AllowanceMeter((records) => store.write(records));
  crashed.load(store.records());
  expect(crashed.used("a", "google", now)).toBeGreaterThanOrEqual(3);
  expect(crashed.used("a", "google", now)).toBeLessThanOrEqual(5 + 10);

  await meter.close();
  const next = new AllowanceMeter((records) => store.write(records));
  next.load(store.records());
  expect(next.used("a", "google", now)).toBe(3);
  expect(next.usage([source(200)], now)).toEqual([
    { source: "a", provider: "total", day: "2026-11-23", used: 3, limit: 200 },
    { source: "a", provider: "google", day: "2026-11-23", used: 3, limit: 200 },
  ]);
});

test("use is reported for eight days, then forgotten; records of others are left alone", () => {
  const meter = new AllowanceMeter(async () => {});
  meter.load([
    { counter: "a|total|2026-11-16", taken: 7 },
    { counter: "a|total|2026-11-15", taken: 9 },
    { counter: "stat|a|google|2026-11-23|delivered", taken: 4 },
    { counter: "gibberish", taken: 1 },
  ]);
  expect(meter.usage([], now)).toEqual([
    { source: "a", provider: "total", day: "2026-11-16", used: 7, limit: null },
  ]);
});

test("without a limit use is still counted", async () => {
  const store = disk();
  const meter = new AllowanceMeter((records) => store.write(records));
  for (let sent = 0; sent < 500; sent++) {
    const reservation = meter.reserve(source(null), "google", 1, now);
    await reservation.durable;
    meter.settle(reservation, 1);
  }
  expect(meter.usage([source(null)], now)).toContainEqual({
    source: "a",
    provider: "total",
    day: "2026-11-23",
    used: 500,
    limit: null,
  });
  expect(store.writes).toBeLessThanOrEqual(2);
});
