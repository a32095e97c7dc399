/**
 * What guessing passwords costs: failures of one client at one user name slow its next answers, and after
 * some more lock that pair out for a while; failures of one client at many names lock the client out. Other
 * clients never notice, so nobody can lock out a user by failing in his name.
 *
 * Keeps counts only, bounded in number, and forgets them after the lock-out time without a failure. Time
 * comes from the Clock; waiting is the caller's.
 */
import { isIPv6 } from "node:net";

import type { Clock } from "../kit/clock.ts";

export interface ThrottleLimits {
  /** Failures of a (client, user) pair without a delay. */
  readonly freeFailures: number;
  /** Failures of a (client, user) pair that lock it out. */
  readonly lockAfterPair: number;
  /** Failures of a client over all names that lock it out: spraying one password at many users. */
  readonly lockAfterClient: number;
  readonly lockSeconds: number;
  /** Pairs and clients remembered, each; the one that failed longest ago is forgotten first. */
  readonly mostEntries: number;
}

export const defaultThrottleLimits: ThrottleLimits = {
  freeFailures: 5,
  lockAfterPair: 10,
  lockAfterClient: 100,
  lockSeconds: 15 * 60,
  mostEntries: 10_000,
};

interface Failures {
  readonly count: number;
  readonly lastAt: number;
}

export class AuthThrottle {
  readonly #clock: Clock;
  readonly #limits: ThrottleLimits;
  readonly #pairs = new Map<string, Failures>();
  readonly #clients = new Map<string, Failures>();

  constructor({ clock, limits = defaultThrottleLimits }: { clock: Clock; limits?: ThrottleLimits }) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Seconds until this client may try this user again; 0 when it may now. */
  lockedSeconds(client: string, user: string): number {
    const pair = this.#recent(this.#pairs, pairKey(client, user));
    const all = this.#recent(this.#clients, network(client));
    const since = Math.max(
      pair !== undefined && pair.count >= this.#limits.lockAfterPair ? pair.lastAt : -Infinity,
      all !== undefined && all.count >= this.#limits.lockAfterClient ? all.lastAt : -Infinity,
    );
    return Math.max(0, Math.ceil((since - this.#clock.now()) / 1000 + this.#limits.lockSeconds));
  }

  /** Counts a failure; milliseconds to wait before the client is told. */
  failed(client: string, user: string): number {
    this.#count(this.#clients, network(client));
    const { count } = this.#count(this.#pairs, pairKey(client, user));
    const slowed = count - this.#limits.freeFailures;
    // 1, 2, 4, 8 … seconds; the lock comes before it hurts us to hold the session.
    return slowed <= 0 ? 0 : 1000 * 2 ** Math.min(slowed - 1, 5);
  }

  /** The right password: what this client failed in this name is forgiven. */
  succeeded(client: string, user: string): void {
    this.#pairs.delete(pairKey(client, user));
  }

  #recent(table: Map<string, Failures>, key: string): Failures | undefined {
    const entry = table.get(key);
    if (entry === undefined || this.#clock.now() - entry.lastAt < this.#limits.lockSeconds * 1000)
      return entry;
    table.delete(key);
    return undefined;
  }

  #count(table: Map<string, Failures>, key: string): Failures {
    const entry = { count: (this.#recent(table, key)?.count ?? 0) + 1, lastAt: this.#clock.now() };
    // Deleted first, so that the map's order is the order of last failures.
    table.delete(key);
    table.set(key, entry);
    if (table.size > this.#limits.mostEntries) {
      const oldest = table.keys().next();
      if (oldest.done !== true) table.delete(oldest.value);
    }
    return entry;
  }
}

function pairKey(client: string, user: string): string {
  return `${network(client)} ${user}`;
}

/** An IPv6 client owns a /64 at least, and may come from any of its addresses. */
function network(client: string): string {
  if (!isIPv6(client)) return client;
  const [head = "", tail] = client.toLowerCase().split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(Math.max(0, zeros)).fill("0"), ...right].slice(0, 4).join(":");
}
