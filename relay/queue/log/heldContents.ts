/**
 * Content that was committed a moment ago and is still in memory, for most mail is delivered within a second
 * and need never be read back. Bounded in bytes: what comes when they are used up is read from its segment
 * like any other. The oldest, who are next to be delivered, stay; unless they have waited so long that
 * something else holds them up, then they make room.
 */
import type { MessageId } from "../../message.ts";

/** Who waits longer waits for a limit, a peer or an operator. */
const FRESH_MS = 10_000;

interface Held {
  readonly since: number;
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
}

export class HeldContents {
  readonly #limitBytes: number;
  readonly #now: () => number;
  /** In the order of their commits. */
  readonly #held = new Map<MessageId, Held>();
  #bytes = 0;

  constructor(limitBytes: number, now: () => number) {
    this.#limitBytes = limitBytes;
    this.#now = now;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes the pieces of a message, which nobody changes any more. */
  hold(id: MessageId, pieces: readonly Buffer[]): void {
    let bytes = 0;
    // What counts is the memory they keep from being freed, not what they show of it.
    for (const piece of pieces) bytes += piece.buffer.byteLength;
    const since = this.#now();
    for (const [oldest, held] of this.#held) {
      if (this.#bytes + bytes <= this.#limitBytes || held.since > since - FRESH_MS) break;
      this.release(oldest);
    }
    if (this.#bytes + bytes > this.#limitBytes) return;
    this.#held.set(id, { since, pieces, bytes });
    this.#bytes += bytes;
  }

  get(id: MessageId): readonly Buffer[] | null {
    return this.#held.get(id)?.pieces ?? null;
  }

  release(id: MessageId): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#bytes -= held.bytes;
  }
}
