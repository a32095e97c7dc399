/**
 * What the spool bench asks of a store, as small as a durable queue can be told: four calls, each of which
 * resolves when what it did would survive a power loss. Each engine groups commits as well as it can.
 */
import type { Instant, MessageId, QueuedMessage } from "../../../relay/message.ts";
import type { RecipientUpdate } from "../../../relay/queue/spool.ts";

/** What every engine tells of a waiting message after a start: enough to wait for its turn. */
export interface Waiting {
  readonly id: MessageId;
  readonly dueAt: Instant;
  readonly domain: string;
}

export interface Store {
  /** Every waiting message, once; called first, as after a crash. */
  recover(): Promise<Iterable<Waiting>>;
  /** Content comes in pieces; an engine that must have it whole keeps it. */
  put(message: QueuedMessage, content: Iterable<Buffer>): Promise<void>;
  /** One outcome: tried, and due again. */
  record(update: RecipientUpdate): Promise<void>;
  /** The envelope as it stands, and the content in pieces; the sum of both is checked by the caller. */
  read(id: MessageId, onPiece: (piece: Uint8Array) => void): Promise<QueuedMessage>;
  /** Delivered: gone for good. */
  remove(id: MessageId): Promise<void>;
  close(): Promise<void>;
}

export interface Engine {
  readonly name: string;
  readonly about: string;
  /** Its code, loaded before anything is measured. */
  load(): Promise<(folder: string) => Promise<Store>>;
}

/** Content is cut so by engines that keep it in values or rows, so that a large message can stream. */
export const PIECE_BYTES = 64 * 1024;

/** Content cut anew: an engine that finds pieces by their number needs all but the last to be whole. */
export function* wholePieces(content: Iterable<Buffer>): Generator<Buffer> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for (const part of content) {
    for (let at = 0; at < part.length;) {
      const some = part.subarray(at, at + PIECE_BYTES - bytes);
      parts.push(some);
      bytes += some.length;
      at += some.length;
      if (bytes < PIECE_BYTES) continue;
      yield Buffer.concat(parts);
      parts = [];
      bytes = 0;
    }
  }
  const [only, ...others] = parts;
  if (only !== undefined) yield others.length === 0 ? only : Buffer.concat(parts);
}
