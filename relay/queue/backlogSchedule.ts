/**
 * Which row of the backlog matters next: the schedule, a binary heap of rows by the instant they become due or
 * expire. Its two columns take 8 bytes a message, where nodes of a dueHeap.ts would take a hundred.
 */
import { type BacklogColumns, NO_ROW, rowStates } from "./backlogColumns.ts";
import { grown } from "./idTable.ts";

export class BacklogSchedule {
  readonly #columns: BacklogColumns;
  /** Rows by the instant they matter at, and where each stood last: it is in the heap if it stands there still. */
  #heap = new Int32Array(0);
  #heapIndex = new Int32Array(0);
  #size = 0;

  constructor(columns: BacklogColumns) {
    this.#columns = columns;
    columns.follow((capacity) => {
      this.#heap = grown(this.#heap, capacity);
      this.#heapIndex = grown(this.#heapIndex, capacity);
    });
  }

  /** The instant of the first; infinite when there is none. */
  get nextAt(): number {
    return this.#size > 0 ? this.#key(this.#heap[0] ?? NO_ROW) : Number.POSITIVE_INFINITY;
  }

  /** The row whose instant is first, or NO_ROW. */
  get first(): number {
    return this.#size > 0 ? (this.#heap[0] ?? NO_ROW) : NO_ROW;
  }

  /** Its state and times are set, and stay as they are until it is taken out. */
  add(row: number): void {
    this.#heap[this.#size] = row;
    this.#heapIndex[row] = this.#size;
    this.#size++;
    this.#up(this.#size - 1);
  }

  /** Nothing happens when it is out already. */
  remove(row: number): void {
    const index = this.#heapIndex[row] ?? NO_ROW;
    if (index >= this.#size || this.#heap[index] !== row) return;
    this.#size--;
    const last = this.#heap[this.#size] ?? NO_ROW;
    if (last === row) return;
    this.#put(last, index);
    this.#up(index);
    this.#down(this.#heapIndex[last] ?? index);
  }

  /** When a row matters next: due or expired; in its lane it can only expire. */
  #key(row: number): number {
    const { state, dueAt, expiresAt } = this.#columns;
    const expiry = expiresAt[row] ?? 0;
    return state[row] === rowStates.scheduled ? Math.min(dueAt[row] ?? 0, expiry) : expiry;
  }

  /** No two rows are equal: ids are not. */
  #isBefore(a: number, keyOfA: number, b: number): boolean {
    const keyOfB = this.#key(b);
    return keyOfA === keyOfB ? this.#columns.ids.isBefore(a, b) : keyOfA < keyOfB;
  }

  #up(start: number): void {
    let index = start;
    const row = this.#heap[index] ?? NO_ROW;
    const key = this.#key(row);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#heap[above] ?? NO_ROW;
      if (!this.#isBefore(row, key, parent)) break;
      this.#put(parent, index);
      index = above;
    }
    this.#put(row, index);
  }

  #down(start: number): void {
    let index = start;
    const row = this.#heap[index] ?? NO_ROW;
    const key = this.#key(row);
    for (;;) {
      let below = 2 * index + 1;
      if (below >= this.#size) break;
      let child = this.#heap[below] ?? NO_ROW;
      const right = this.#heap[below + 1] ?? NO_ROW;
      if (below + 1 < this.#size && !this.#isBefore(child, this.#key(child), right)) {
        below++;
        child = right;
      }
      if (this.#isBefore(row, key, child)) break;
      this.#put(child, index);
      index = below;
    }
    this.#put(row, index);
  }

  #put(row: number, index: number): void {
    this.#heap[index] = row;
    this.#heapIndex[row] = index;
  }
}
