/**
 * Allowance metering that survives kill -9: reservations in memory, leases in the spool.
 *
 * A reservation counts at once against the limits of its UTC day, and may be spent only when `durable`
 * has resolved: then the spool knows at least as much as was ever spent. Two durable counters a key
 * carry this (policy/lease.ts): "a|google|2026-11-23" for units taken, and the same with "|returned" for
 * units given back unspent at a clean stop. What runs over midnight counts to the day it started on.
 */
import type { AllowanceRow, EgressSource } from "../contract/config.ts";
import type { Usage } from "../contract/report.ts";
import type { Instant } from "../message.ts";
import {
  admit,
  type AllowanceVerdict,
  counterKey,
  limitsFor,
  parseCounterKey,
  TOTAL,
} from "../policy/allowance.ts";
import {
  closingReturn,
  emptyLease,
  type Lease,
  recoveredLease,
  reserve,
  settle,
  usedOf,
  wantedTaken,
} from "../policy/lease.ts";
import { oldestDay } from "../policy/reputation.ts";
import { dayStart, utcDay } from "../policy/utcDay.ts";
import type { UsageRecord } from "./spool.ts";

const RETURNED = "|returned";

export interface Reservation {
  readonly source: string;
  readonly provider: string;
  readonly day: string;
  readonly count: number;
  /** Resolves when the units may be spent; rejects when the spool could not promise them. */
  readonly durable: Promise<void>;
}

interface Counter {
  lease: Lease;
  /** Limit at the last reservation, for the size of the next block. */
  limit: number | null;
  /** Since when the limit leaves nothing, for `explain`. */
  exhaustedSince: Instant | null;
}

export class AllowanceMeter {
  readonly #counters = new Map<string, Counter>();
  readonly #write: (records: readonly UsageRecord[]) => Promise<void>;
  /** Leases being written; the next batch waits for it, so that `taken` is written in growing order. */
  #writing: Promise<void> | null = null;

  constructor(write: (records: readonly UsageRecord[]) => Promise<void>) {
    this.#write = write;
  }

  /** Takes what a former life left. Called once, before the first reservation. */
  load(records: readonly UsageRecord[]): void {
    const returned = new Map<string, number>();
    for (const { counter, taken } of records) {
      if (counter.endsWith(RETURNED)) returned.set(counter.slice(0, -RETURNED.length), taken);
    }
    for (const { counter, taken } of records) {
      if (parseCounterKey(counter) === null) continue;
      this.#counters.set(counter, {
        lease: recoveredLease(taken, returned.get(counter) ?? 0),
        limit: null,
        exhaustedSince: null,
      });
    }
  }

  /** Used of today's counter: accepted and in flight. */
  used(source: string, counter: string, now: Instant): number {
    const found = this.#counters.get(counterKey(source, counter, utcDay(now)));
    return found === undefined ? 0 : usedOf(found.lease);
  }

  /** How many of `wanted` could start now; remembers since when nothing could. */
  headroom(source: EgressSource, provider: string, wanted: number, now: Instant): AllowanceVerdict {
    const usedNow = (counter: string) => this.used(source.name, counter, now);
    const verdict = admit(source.allowance, provider, wanted, usedNow, now);
    if (verdict.kind === "exhausted") {
      this.#counter(counterKey(source.name, verdict.binding, utcDay(now))).exhaustedSince ??= now;
    }
    return verdict;
  }

  /** Since when a counter of today has been at its limit. */
  exhaustedSince(source: string, counter: string, now: Instant): Instant {
    return this.#counters.get(counterKey(source, counter, utcDay(now)))?.exhaustedSince ?? now;
  }

  /** Reserves `count` units, which `headroom` has granted in the same turn. */
  reserve(source: EgressSource, provider: string, count: number, now: Instant): Reservation {
    const day = utcDay(now);
    const limits = limitsFor(source.allowance, provider, now);
    for (const [name, limit] of [
      [TOTAL, limits.total],
      [provider, limits.provider ?? limits.total],
    ] as const) {
      const counter = this.#counter(counterKey(source.name, name, day));
      counter.lease = reserve(counter.lease, count);
      counter.limit = limit;
    }
    const targets = [TOTAL, provider].map((name) => {
      const key = counterKey(source.name, name, day);
      const { lease } = this.#counter(key);
      return { key, taken: lease.returned + usedOf(lease) };
    });
    return { source: source.name, provider, day, count, durable: this.#cover(targets) };
  }

  /** Ends a reservation: `accepted` of its units are spent for good, the rest is free again. */
  settle(reservation: Reservation, accepted: number): void {
    for (const name of [TOTAL, reservation.provider]) {
      const counter = this.#counter(counterKey(reservation.source, name, reservation.day));
      counter.lease = settle(counter.lease, accepted, reservation.count - accepted);
      if (accepted < reservation.count) counter.exhaustedSince = null;
    }
  }

  /** Gives back what was leased and not spent. Call when nothing is in flight any more. */
  async close(): Promise<void> {
    await this.#writing?.catch(() => {});
    const records: UsageRecord[] = [];
    for (const [key, counter] of this.#counters) {
      const returned = closingReturn(counter.lease);
      if (returned === counter.lease.returned) continue;
      records.push({ counter: `${key}${RETURNED}`, taken: returned });
      counter.lease = { ...counter.lease, returned };
    }
    if (records.length > 0) await this.#write(records);
  }

  /** Forgets counters of days that no report looks back to. */
  dropOldDays(now: Instant): void {
    const oldest = oldestDay(now);
    for (const [key, counter] of this.#counters) {
      if ((parseCounterKey(key)?.day ?? "") < oldest && counter.lease.inFlight === 0)
        this.#counters.delete(key);
    }
  }

  /** Every counter with some use, and today's total of each source. */
  usage(sources: readonly EgressSource[], now: Instant): Usage[] {
    this.dropOldDays(now);
    const rowsOf = new Map<string, readonly AllowanceRow[]>(
      sources.map((source) => [source.name, source.allowance] as const),
    );
    const today = utcDay(now);
    const keys = new Set(sources.map((source) => counterKey(source.name, TOTAL, today)));
    for (const key of this.#counters.keys()) keys.add(key);
    return [...keys].flatMap((key) => {
      const parts = parseCounterKey(key);
      const lease = this.#counters.get(key)?.lease ?? emptyLease;
      if (parts === null) return [];
      const rows = rowsOf.get(parts.source);
      if (usedOf(lease) === 0 && !(rows !== undefined && parts.day === today && parts.provider === TOTAL)) {
        return [];
      }
      const limits = limitsFor(rows ?? [], parts.provider, dayStart(parts.day));
      const limit = parts.provider === TOTAL ? limits.total : limits.provider;
      return [{ ...parts, used: usedOf(lease), limit }];
    });
  }

  #counter(key: string): Counter {
    let counter = this.#counters.get(key);
    if (counter === undefined) {
      counter = { lease: emptyLease, limit: null, exhaustedSince: null };
      this.#counters.set(key, counter);
    }
    return counter;
  }

  /** Waits until the leases reach `targets`; those that wait together share one write. */
  async #cover(targets: readonly { readonly key: string; readonly taken: number }[]): Promise<void> {
    while (targets.some(({ key, taken }) => this.#counter(key).lease.taken < taken)) {
      if (this.#writing !== null) {
        // Whoever writes takes all that was lacking when it began; look again afterwards.
        await this.#writing;
        continue;
      }
      this.#writing = this.#lease();
      try {
        await this.#writing;
      } finally {
        this.#writing = null;
      }
    }
  }

  async #lease(): Promise<void> {
    const records: UsageRecord[] = [];
    for (const [key, { lease, limit }] of this.#counters) {
      const taken = wantedTaken(lease, limit);
      if (taken > lease.taken) records.push({ counter: key, taken });
    }
    await this.#write(records);
    for (const { counter: key, taken } of records) {
      const counter = this.#counter(key);
      // Others may have reserved meanwhile; the lease itself was only ours to raise.
      counter.lease = { ...counter.lease, taken };
    }
  }
}
