/**
 * How many recipients each message has, how many of them wait, and which are final. An update of the last one that
 * waits ends its message: so this also says which record tells the log about an update.
 */
import { grown } from "../idTable.ts";
import type { RecipientUpdate } from "../spool.ts";
import { readStates } from "./messageFacts.ts";
import type { MetadataRecord } from "./metadata.ts";

/** What the columns hold. */
export const MOST_RECIPIENTS = 65_535;

export class RecipientColumns {
  #count = new Uint16Array(0);
  #waiting = new Uint16Array(0);
  /** Recipients that are final, of messages with more than one. */
  readonly #settled = new Map<number, Set<number>>();

  grow(capacity: number): void {
    this.#count = grown(this.#count, capacity);
    this.#waiting = grown(this.#waiting, capacity);
  }

  countOf(slot: number): number {
    return this.#count[slot] ?? 0;
  }

  waitingOf(slot: number): number {
    return this.#waiting[slot] ?? 0;
  }

  /** Those that are final; none are named of a message with a single recipient. */
  settledOf(slot: number): Iterable<number> {
    return this.#settled.get(slot) ?? [];
  }

  /** As a message record has them; what the slot had was forgotten. */
  put(slot: number, payload: Buffer, count: number, waitingCount: number): void {
    this.#count[slot] = count;
    this.#waiting[slot] = waitingCount;
    if (waitingCount >= count) return;
    const settled = new Set<number>();
    let index = 0;
    for (const { waiting } of readStates(payload)) {
      if (!waiting) settled.add(index);
      index++;
    }
    this.#settled.set(slot, settled);
  }

  /** One recipient waits, or is final. False when there is no such recipient. */
  change(slot: number, index: number, waiting: boolean): boolean {
    if (index >= (this.#count[slot] ?? 0)) return false;
    let settled = this.#settled.get(slot);
    if (settled === undefined) this.#settled.set(slot, (settled = new Set()));
    if (waiting ? settled.delete(index) : !settled.has(index)) {
      this.#waiting[slot] = (this.#waiting[slot] ?? 0) + (waiting ? 1 : -1);
    }
    if (!waiting) settled.add(index);
    if (settled.size === 0) this.#settled.delete(slot);
    return true;
  }

  forget(slot: number): void {
    this.#settled.delete(slot);
  }

  /**
   * The record that tells the log about `update`: a mere removal when nobody waits afterwards. Throws when it names a
   * recipient the message does not have.
   */
  recordOf(slot: number, update: RecipientUpdate): MetadataRecord {
    const recipients = this.#count[slot] ?? 0;
    const settled = this.#settled.get(slot);
    const final = new Set<number>();
    const changes = update.changes.map(({ index, recipient: { state, attempts, last } }) => {
      if (!Number.isInteger(index) || index < 0 || index >= recipients) {
        throw new Error(`Cannot record recipient ${index} of message ${update.id}: it has ${recipients}.`);
      }
      if (state.kind === "waiting") final.delete(index);
      else if (settled?.has(index) !== true) final.add(index);
      return { index, recipient: { state, attempts, last } };
    });
    return final.size === this.#waiting[slot]
      ? { kind: "removed", id: update.id }
      : { kind: "update", id: update.id, changes };
  }
}
