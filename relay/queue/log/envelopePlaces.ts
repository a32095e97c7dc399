/**
 * Where the envelope of each message lies: its message record, and the update records after it. With one
 * recipient the last update alone counts, with more they are chained. A checkpoint writes them together again,
 * and once it is durable envelopes are read from there (`endRelocation`).
 */
import { grown } from "../idTable.ts";
import { type LogPlace, PENDING_FILE } from "./logFiles.ts";
import { NO_UPDATE, UpdateChains } from "./updateChains.ts";

export class EnvelopePlaces {
  /** The message record: file (logFiles.ts) and offset. */
  #file = new Uint32Array(0);
  #offset = new Uint32Array(0);
  /** Latest update in the chain, or NO_UPDATE. */
  #chain = new Int32Array(0);
  readonly #updates = new UpdateChains();
  #relocation: { readonly offsets: Uint32Array; readonly chains: Int32Array } | null = null;

  grow(capacity: number): void {
    this.#file = grown(this.#file, capacity);
    this.#offset = grown(this.#offset, capacity);
    this.#chain = grown(this.#chain, capacity);
  }

  /** Updates in all chains. */
  get chained(): number {
    return this.#updates.size;
  }

  /** The message record, then its updates, oldest first. */
  of(slot: number): readonly LogPlace[] {
    const base = { file: this.#file[slot] ?? 0, offset: this.#offset[slot] ?? 0 };
    return [base, ...this.#updates.places(this.#chain[slot] ?? NO_UPDATE)];
  }

  /** A message record without updates; what the slot had was forgotten. */
  put(slot: number, file: number, offset: number): void {
    this.#file[slot] = file;
    this.#offset[slot] = offset;
  }

  /** An update. `isAll`: it tells everything that those before it told. */
  add(slot: number, file: number, offset: number, isAll: boolean): void {
    const before = this.#chain[slot] ?? NO_UPDATE;
    if (isAll) this.#updates.drop(before);
    this.#chain[slot] = this.#updates.add({ file, offset }, isAll ? NO_UPDATE : before);
  }

  /** A record of this slot that was pending as `number` lies here now. */
  placed(slot: number, number: number, file: number, offset: number): void {
    if (this.#file[slot] === PENDING_FILE && this.#offset[slot] === number) {
      this.#file[slot] = file;
      this.#offset[slot] = offset;
    } else this.#updates.placed(this.#chain[slot] ?? NO_UPDATE, number, { file, offset });
  }

  /** The envelope is gone, or another takes its place: what a checkpoint is writing of it counts no more. */
  forget(slot: number): void {
    this.#updates.drop(this.#chain[slot] ?? NO_UPDATE);
    this.#chain[slot] = NO_UPDATE;
    if (this.#relocation !== null && slot < this.#relocation.offsets.length)
      this.#relocation.offsets[slot] = 0;
  }

  /** Begins to collect where a checkpoint puts the envelopes of slots below `end`. */
  beginRelocation(end: number): void {
    this.#relocation = { offsets: new Uint32Array(end), chains: new Int32Array(end) };
    this.#updates.keep = true;
  }

  /** The chain of a slot as it is read now; `relocate` is told the same. */
  chainOf(slot: number): number {
    return this.#chain[slot] ?? NO_UPDATE;
  }

  /** The envelope in `slot`, with its updates up to `chain`, was written at `offset`. */
  relocate(slot: number, offset: number, chain: number): void {
    const relocation = this.#relocation;
    if (relocation === null || slot >= relocation.offsets.length) return;
    relocation.offsets[slot] = offset;
    relocation.chains[slot] = chain;
  }

  /** The checkpoint is durable as `file` (null: it came to nothing): its envelopes are read from there. */
  endRelocation(file: number | null): void {
    const relocation = this.#relocation;
    this.#relocation = null;
    const count = file === null ? 0 : (relocation?.offsets.length ?? 0);
    for (let slot = 0; slot < count; slot++) {
      const offset = relocation?.offsets[slot] ?? 0;
      if (offset === 0) continue;
      this.#file[slot] = file ?? 0;
      this.#offset[slot] = offset;
      this.#chain[slot] = this.#updates.cut(
        this.#chain[slot] ?? NO_UPDATE,
        relocation?.chains[slot] ?? NO_UPDATE,
      );
    }
    this.#updates.keep = false;
  }
}
