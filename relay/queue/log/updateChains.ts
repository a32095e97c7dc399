/**
 * Which update records come after a message record, in what order: chains of places, newest first, in columns. An
 * update takes 12 bytes; numbers of nodes are given out again.
 */
import { grown } from "../idTable.ts";
import { type LogPlace, PENDING_FILE } from "./logFiles.ts";

/** No node of a chain: what a new slot holds. */
export const NO_UPDATE = 0;

export class UpdateChains {
  #file = new Uint32Array(0);
  #offset = new Uint32Array(0);
  #older = new Int32Array(0);
  #free: number[] = [];
  #next = 1;
  /** While set, nothing is given out again: somebody holds numbers of nodes. */
  #kept: number[] | null = null;

  get size(): number {
    return this.#next - 1 - this.#free.length - (this.#kept?.length ?? 0);
  }

  set keep(keep: boolean) {
    if (!keep) for (const node of this.#kept ?? []) this.#free.push(node);
    this.#kept = keep ? [] : null;
  }

  add(place: LogPlace, older: number): number {
    const node = this.#free.pop() ?? this.#next++;
    if (node >= this.#file.length) {
      const capacity = Math.max(1024, 2 * this.#file.length);
      this.#file = grown(this.#file, capacity);
      this.#offset = grown(this.#offset, capacity);
      this.#older = grown(this.#older, capacity);
    }
    this.#file[node] = place.file;
    this.#offset[node] = place.offset;
    this.#older[node] = older;
    return node;
  }

  /** Oldest first. */
  places(newest: number): LogPlace[] {
    const places: LogPlace[] = [];
    for (let node = newest; node !== NO_UPDATE; node = this.#older[node] ?? NO_UPDATE) {
      places.push({ file: this.#file[node] ?? 0, offset: this.#offset[node] ?? 0 });
    }
    return places.toReversed();
  }

  placed(newest: number, number: number, place: LogPlace): void {
    for (let node = newest; node !== NO_UPDATE; node = this.#older[node] ?? NO_UPDATE) {
      if (this.#file[node] !== PENDING_FILE || this.#offset[node] !== number) continue;
      this.#file[node] = place.file;
      this.#offset[node] = place.offset;
    }
  }

  drop(newest: number): void {
    for (let node = newest; node !== NO_UPDATE; node = this.#older[node] ?? NO_UPDATE)
      (this.#kept ?? this.#free).push(node);
  }

  /** The chain without `from` and what is older; unchanged when `from` is not of it. */
  cut(newest: number, from: number): number {
    if (from === NO_UPDATE) return newest;
    let newer = NO_UPDATE;
    for (let node = newest; node !== NO_UPDATE; node = this.#older[node] ?? NO_UPDATE) {
      if (node === from) {
        this.drop(node);
        if (newer === NO_UPDATE) return NO_UPDATE;
        this.#older[newer] = NO_UPDATE;
        return newest;
      }
      newer = node;
    }
    return newest;
  }
}
