/** How much of each allowance was taken, as the log tells, and how long that is remembered. Pure. */
import type { Instant } from "../../message.ts";
import type { UsageRecord } from "../spool.ts";

/** How long use of an allowance is remembered after it last grew: counters are per day, reports look back. */
const USAGE_KEPT_MS = 35 * 86_400_000;

export class AllowanceUse {
  readonly #counters = new Map<string, { taken: number; at: Instant }>();

  /** It only ever grows: what is told again, or late, changes nothing. */
  apply(record: UsageRecord & { readonly at: Instant }): void {
    const known = this.#counters.get(record.counter);
    const taken = Math.max(known?.taken ?? 0, record.taken);
    this.#counters.set(record.counter, { taken, at: Math.max(known?.at ?? 0, record.at) });
  }

  /** What is known; what did not grow since `USAGE_KEPT_MS` is forgotten. */
  all(now: Instant): (UsageRecord & { readonly at: Instant })[] {
    for (const [counter, { at }] of this.#counters) {
      if (at < now - USAGE_KEPT_MS) this.#counters.delete(counter);
    }
    return Array.from(this.#counters, ([counter, { taken, at }]) => ({ counter, taken, at }));
  }
}
