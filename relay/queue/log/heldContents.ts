/**
 * Content that was committed a moment ago and is still in memory, for most mail is delivered within a second
 * and need never be read back. Bounded in bytes: when more comes, what was held longest is let go, and is
 * read from its segment like any other.
 */
import type { MessageId } from "../../message.ts";

interface Held {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
}

export class HeldContents {
  readonly #limitBytes: number;
  /** In the order of their commits. */
  readonly #held = new Map<MessageId, Held>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes the pieces of a message, which nobody changes any more. */
  hold(id: MessageId, pieces: readonly Buffer[]): void {
    let bytes = 0;
    // What counts is the memory they keep from being freed, not what they show of it.
    for (const piece of pieces) bytes += piece.buffer.byteLength;
    this.#held.set(id, { pieces, bytes });
    this.#bytes += bytes;
    for (const [oldest] of this.#held) {
      if (this.#bytes <= this.#limitBytes) return;
      this.release(oldest);
    }
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
