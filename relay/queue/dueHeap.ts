/**
 * A schedule: things with an instant, the earliest first. A binary heap whose nodes know their place, so
 * that what is settled early is taken out at once instead of staying until its time (five days, for an
 * expiry). Equal instants come in the order they were added.
 */
import type { Instant } from "../message.ts";

/** A thing in the heap; hand it back to `remove`. */
export interface HeapNode<T> {
  readonly at: Instant;
  readonly item: T;
  readonly order: number;
  /** Position, -1 when it is out. Owned by the heap. */
  index: number;
}

export class DueHeap<T> {
  readonly #nodes: HeapNode<T>[] = [];
  #order = 0;

  get size(): number {
    return this.#nodes.length;
  }

  add(at: Instant, item: T): HeapNode<T> {
    const node = { at, item, order: this.#order++, index: this.#nodes.length };
    this.#nodes.push(node);
    this.#up(node);
    return node;
  }

  /** The instant of the earliest, or null when empty. */
  get nextAt(): Instant | null {
    return this.#nodes[0]?.at ?? null;
  }

  /** Takes out and gives the earliest that is due at `now`. */
  popDue(now: Instant): T | undefined {
    const first = this.#nodes[0];
    if (first === undefined || first.at > now) return undefined;
    this.remove(first);
    return first.item;
  }

  /** Takes a node out; nothing happens when it is out already. */
  remove(node: HeapNode<T>): void {
    if (node.index < 0) return;
    const last = this.#nodes.pop();
    if (last === undefined) throw new Error("Cannot remove from a schedule: the node is not of this one.");
    if (last !== node) {
      last.index = node.index;
      this.#nodes[last.index] = last;
      this.#up(last);
      this.#down(last);
    }
    node.index = -1;
  }

  #up(node: HeapNode<T>): void {
    while (node.index > 0) {
      const parent = this.#nodes[(node.index - 1) >> 1];
      if (parent === undefined || !before(node, parent)) return;
      this.#swap(node, parent);
    }
  }

  #down(node: HeapNode<T>): void {
    for (;;) {
      const left = this.#nodes[2 * node.index + 1];
      const right = this.#nodes[2 * node.index + 2];
      const least = right !== undefined && left !== undefined && before(right, left) ? right : left;
      if (least === undefined || !before(least, node)) return;
      this.#swap(least, node);
    }
  }

  #swap(a: HeapNode<T>, b: HeapNode<T>): void {
    [a.index, b.index] = [b.index, a.index];
    this.#nodes[a.index] = a;
    this.#nodes[b.index] = b;
  }
}

function before<T>(a: HeapNode<T>, b: HeapNode<T>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
