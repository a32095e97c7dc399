/**
 * A bounded memory of answers with a time to live. The least recently used entries make room; an expired
 * one is as good as none. Time comes from the Clock, so that tests can let days pass.
 */
import type { Clock } from "./clock.ts";
import { forgetOldest } from "./forgetOldest.ts";

export class TtlCache<Value> {
  readonly #entries = new Map<string, { readonly value: Value; readonly until: number }>();
  readonly #clock: Clock;
  readonly #most: number;

  constructor(options: { readonly clock: Clock; readonly most: number }) {
    this.#clock = options.clock;
    this.#most = options.most;
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (entry.until <= this.#clock.now()) return undefined;
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: Value, ttlSeconds: number): void {
    this.#entries.delete(key);
    if (ttlSeconds <= 0) return;
    this.#entries.set(key, { value, until: this.#clock.now() + ttlSeconds * 1000 });
    forgetOldest(this.#entries, this.#most);
  }

  clear(): void {
    this.#entries.clear();
  }

  get size(): number {
    return this.#entries.size;
  }
}
