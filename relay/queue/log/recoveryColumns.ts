/**
 * What the engine is told of each message after a start, and nobody needs later: when it is due and expires, and
 * whose turn it waits for. These columns are given up when all have been told.
 */
import { grown, type IdTable } from "../idTable.ts";
import { LaneBytes, type LaneName } from "./laneBytes.ts";
import { readStates } from "./messageFacts.ts";

export class RecoveryColumns {
  dueAt = new Float64Array(1024);
  expiresAt = new Float64Array(1024);
  #lane = new Uint32Array(1024);
  readonly #lanes: LaneName[] = [];
  /** By the hash of their bytes: to make two strings a message would be a third of a start. */
  readonly #byHash = new Map<number, number[]>();
  readonly #bytes = new LaneBytes();
  /** Due times of every recipient, infinite when it is final, where there is more than one. */
  readonly #dueTimes = new Map<number, Float64Array>();

  message(slot: number, payload: Buffer, recipients: number, dueAt: number, expiresAt: number): void {
    if (slot >= this.dueAt.length) this.reserve(2 * Math.max(slot, this.dueAt.length));
    this.dueAt[slot] = dueAt;
    this.expiresAt[slot] = expiresAt;
    this.#lane[slot] = this.#laneNumber(payload);
    if (recipients > 1) {
      const times = Float64Array.from(readStates(payload), ({ waiting, at }) =>
        waiting ? at : Number.POSITIVE_INFINITY,
      );
      this.#dueTimes.set(slot, times);
    }
  }

  reserve(capacity: number): void {
    if (capacity <= this.dueAt.length) return;
    this.dueAt = grown(this.dueAt, capacity);
    this.expiresAt = grown(this.expiresAt, capacity);
    this.#lane = grown(this.#lane, capacity);
  }

  change(slot: number, index: number, dueAt: number): void {
    const times = this.#dueTimes.get(slot);
    if (times !== undefined) times[index] = dueAt;
    this.dueAt[slot] = times === undefined ? dueAt : Math.min(...times);
  }

  forget(slot: number): void {
    this.#dueTimes.delete(slot);
  }

  forgetDueTimes(): void {
    this.#dueTimes.clear();
  }

  laneOf(slot: number): Omit<LaneName, "bytes" | "flags"> {
    return this.#lanes[this.#lane[slot] ?? 0] ?? { sendingDomain: null, credential: null, domain: "" };
  }

  #laneNumber(payload: Buffer): number {
    const bytes = this.#bytes;
    bytes.find(payload);
    const hash = bytes.hash(payload);
    let numbers = this.#byHash.get(hash);
    if (numbers === undefined) this.#byHash.set(hash, (numbers = []));
    for (const number of numbers) {
      const lane = this.#lanes[number];
      if (lane !== undefined && bytes.equals(payload, lane)) return number;
    }
    const number = this.#lanes.push(bytes.name(payload)) - 1;
    numbers.push(number);
    return number;
  }
}

/**
 * Slots below `end` that are in use, in the order of their ids, which is that of acceptance. New messages are given the
 * slots of old ones: a few of a million stray from the order, after weeks all may. So strays are taken out, two wherever
 * the order breaks since either may be one, and sorted by themselves.
 */
export function byAge(ids: IdTable, end: number): Uint32Array {
  const order = new Uint32Array(ids.size);
  const strays = new Uint32Array(ids.size);
  let kept = 0;
  let strayed = 0;
  for (let slot = 0; slot < end; slot++) {
    if (!ids.isUsed(slot)) continue;
    const before = order[kept - 1];
    if (before === undefined || ids.isBefore(before, slot)) order[kept++] = slot;
    else {
      kept--;
      strays[strayed++] = before;
      strays[strayed++] = slot;
    }
  }
  const sorted = strays.subarray(0, strayed).sort((a, b) => (a === b ? 0 : ids.isBefore(a, b) ? -1 : 1));
  // Merged from the end, where there is room for them.
  for (let to = kept + strayed - 1; strayed > 0; to--) {
    const stray = sorted[strayed - 1] ?? 0;
    const other = order[kept - 1];
    if (other !== undefined && ids.isBefore(stray, other)) {
      order[to] = other;
      kept--;
    } else {
      order[to] = stray;
      strayed--;
    }
  }
  return order;
}
