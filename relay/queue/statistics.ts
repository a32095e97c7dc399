/**
 * Reputation counters with a memory: folded by policy/reputation.ts, written to the spool at most once a
 * minute while they change and at the stop, as counters "stat|a|google|2026-11-23|delivered". A crash may
 * cost the last minute; nothing is decided by it within the relay.
 */
import type { Counter } from "../contract/report.ts";
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import { parseCounterKey } from "../policy/allowance.ts";
import {
  addEvent,
  type Counters,
  type DeliveryEvent,
  dropOldDays,
  type Tally,
} from "../policy/reputation.ts";
import { dayStart } from "../policy/utcDay.ts";
import type { Spool, UsageRecord } from "./spool.ts";

const PREFIX = "stat|";
const FLUSH_MS = 60_000;
const tallies: readonly Tally[] = ["delivered", "deferred", "bounced", "blocked"];

export class Statistics {
  readonly #counters: Counters = new Map();
  readonly #written = new Map<string, number>();
  readonly #clock: Clock;
  readonly #spool: Spool;
  readonly #log: Log;
  #cancelFlush: (() => void) | null = null;

  constructor(options: { clock: Clock; spool: Spool; log: Log }) {
    this.#clock = options.clock;
    this.#spool = options.spool;
    this.#log = options.log;
  }

  load(records: readonly UsageRecord[]): void {
    for (const { counter, taken } of records) {
      const tally = tallies.find((name) => counter.startsWith(PREFIX) && counter.endsWith(`|${name}`));
      if (tally === undefined) continue;
      const key = parseCounterKey(counter.slice(PREFIX.length, -tally.length - 1));
      if (key === null) continue;
      addEvent(this.#counters, { ...key, at: dayStart(key.day), tally }, taken);
      this.#written.set(counter, taken);
    }
    dropOldDays(this.#counters, this.#clock.now());
  }

  add(event: DeliveryEvent): void {
    addEvent(this.#counters, event);
    this.#cancelFlush ??= this.#clock.after(FLUSH_MS, () => {
      this.#cancelFlush = null;
      void this.flush();
    });
  }

  counters(): Counter[] {
    dropOldDays(this.#counters, this.#clock.now());
    return [...this.#counters.values()];
  }

  /** Writes what changed. Never rejects: the figures are tried again with the next change. */
  async flush(): Promise<void> {
    this.#cancelFlush?.();
    this.#cancelFlush = null;
    const changed: UsageRecord[] = [];
    for (const [key, counter] of this.#counters) {
      for (const tally of tallies) {
        const name = `${PREFIX}${key}|${tally}`;
        const taken = counter[tally];
        if (taken > (this.#written.get(name) ?? 0)) changed.push({ counter: name, taken });
      }
    }
    if (changed.length === 0) return;
    try {
      await this.#spool.recordUsage(changed);
      for (const { counter, taken } of changed) this.#written.set(counter, taken);
    } catch (error) {
      this.#log.warn("cannot write the reputation counters", { error });
    }
  }
}
