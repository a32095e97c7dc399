/**
 * Room for transactions in one process: how many may be under way, and which of them count.
 *
 * A transaction that has lasted long is not working for us, it waits for its peer: a tarpit, a dead network,
 * a time-out of RFC 5321 (five minutes for a greeting, ten after the final dot). Were such counted like the
 * others, twenty sites that accept connections and say nothing would stop all mail. Two rules keep that off:
 *
 * - Sites that have not answered lately have half of the places. What goes to the others is not held up by
 *   strangers at all.
 * - A transaction older than `slowAfterMs` gives its place to another, up to a bound of its own, which is
 *   what sockets and memory allow. So a stranger who answers waits so long for those who do not.
 */
import type { Instant } from "../message.ts";

export interface SlotLimits {
  /** Under way and quick. */
  readonly quick: number;
  /** Under way and slow. */
  readonly slow: number;
  readonly slowAfterMs: number;
}

export interface Slot {
  readonly since: Instant;
  /** Its site has answered lately. */
  readonly proven: boolean;
}

export class Slots {
  readonly #limits: SlotLimits;
  readonly #mostUnproven: number;
  /** In the order they were taken, so that the first is the next to become slow. */
  readonly #quick = new Set<Slot>();
  readonly #slow = new Set<Slot>();
  /** Of the quick ones. */
  #unproven = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
    this.#mostUnproven = Math.max(1, Math.floor(limits.quick / 2));
  }

  get quick(): number {
    return this.#quick.size;
  }

  get slow(): number {
    return this.#slow.size;
  }

  get unproven(): number {
    return this.#unproven;
  }

  hasRoom(now: Instant): boolean {
    this.#age(now);
    return this.#quick.size < this.#limits.quick;
  }

  /** Room for one to a site that has not answered lately. */
  hasRoomForUnproven(now: Instant): boolean {
    return this.hasRoom(now) && this.#unproven < this.#mostUnproven;
  }

  take(now: Instant, proven: boolean): Slot {
    const slot = { since: now, proven };
    this.#quick.add(slot);
    if (!proven) this.#unproven++;
    return slot;
  }

  free(slot: Slot): void {
    if (!this.#leave(slot)) this.#slow.delete(slot);
  }

  /** When a place comes free by itself, because a transaction becomes slow; null when none will. */
  get nextAt(): Instant | null {
    const [oldest] = this.#quick;
    const { quick, slow, slowAfterMs } = this.#limits;
    const isFull = this.#quick.size >= quick || this.#unproven >= this.#mostUnproven;
    return oldest === undefined || !isFull || this.#slow.size >= slow ? null : oldest.since + slowAfterMs;
  }

  #age(now: Instant): void {
    for (const slot of this.#quick) {
      if (now - slot.since < this.#limits.slowAfterMs || this.#slow.size >= this.#limits.slow) return;
      this.#leave(slot);
      this.#slow.add(slot);
    }
  }

  #leave(slot: Slot): boolean {
    if (!this.#quick.delete(slot)) return false;
    if (!slot.proven) this.#unproven--;
    return true;
  }
}
