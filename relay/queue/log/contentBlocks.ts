/**
 * Content on disk: blocks of up to 64 KiB, each behind its own CRC, so that any range of a message can be
 * verified before a byte of it is used, without reading the rest. Pure.
 *
 *   content = block*        block = crc(4) data(≤ 65,536; all but the last are full)
 *
 * The CRC is seeded with the message's id and the block's number: a sound block of another message, or of
 * another place, does not pass for this one (a write that went astray is damage too).
 */
import { crc32 } from "node:zlib";

import type { MessageId } from "../../message.ts";

export const BLOCK_BYTES = 65_536;
const CRC_BYTES = 4;
const CAPACITY_STEP = 4096;

/** Bytes on disk of content of `sizeBytes`. */
export function storedBytes(sizeBytes: number): number {
  return sizeBytes + CRC_BYTES * Math.ceil(sizeBytes / BLOCK_BYTES);
}

/** Cuts a stream of chunks into stored blocks. Chunks are copied: their owner may reuse them. */
export class BlockBuilder {
  readonly #id: MessageId;
  /** The block being filled, its CRC in front; grows up to a full block. */
  #block = Buffer.allocUnsafe(0);
  #filled = 0;
  #blocks = 0;
  #bytes = 0;

  constructor(id: MessageId) {
    this.#id = id;
  }

  /** Content bytes taken so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes chunks that came together; gives the blocks they completed. */
  push(...chunks: readonly Uint8Array[]): Buffer[] {
    const complete: Buffer[] = [];
    let bytes = 0;
    for (const chunk of chunks) bytes += chunk.length;
    if (bytes === 0) return complete;
    this.#reserve(Math.min(this.#filled + bytes, BLOCK_BYTES));
    for (const chunk of chunks) this.#take(chunk, complete);
    this.#bytes += bytes;
    return complete;
  }

  #take(chunk: Uint8Array, complete: Buffer[]): void {
    let taken = 0;
    while (taken < chunk.length) {
      const part = chunk.subarray(taken, taken + BLOCK_BYTES - this.#filled);
      this.#reserve(this.#filled + part.length);
      this.#block.set(part, CRC_BYTES + this.#filled);
      this.#filled += part.length;
      taken += part.length;
      if (this.#filled === BLOCK_BYTES) complete.push(this.#finish());
    }
  }

  /** The last, partial block, if there is one. */
  end(): Buffer[] {
    return this.#filled === 0 ? [] : [this.#finish()];
  }

  #finish(): Buffer {
    const block = this.#block.subarray(0, CRC_BYTES + this.#filled);
    block.writeUInt32BE(blockChecksum(this.#id, this.#blocks, block.subarray(CRC_BYTES)));
    this.#blocks++;
    this.#block = Buffer.allocUnsafe(0);
    this.#filled = 0;
    return block;
  }

  /** Most messages are small: a block begins as large as its first chunk, and doubles at least. */
  #reserve(bytes: number): void {
    if (this.#block.length >= CRC_BYTES + bytes) return;
    const wanted = Math.max(bytes, 2 * this.#block.length);
    const capacity = Math.min(Math.ceil(wanted / CAPACITY_STEP) * CAPACITY_STEP, BLOCK_BYTES);
    // Memory of its own, not a part of Node's pool: a message that waits would keep 64 KiB of it.
    const larger = Buffer.allocUnsafeSlow(CRC_BYTES + capacity);
    this.#block.copy(larger, 0, 0, CRC_BYTES + this.#filled);
    this.#block = larger;
  }
}

/** The data of a stored block, or null when it is not block `number` of message `id`. */
export function openBlock(id: MessageId, number: number, block: Buffer): Buffer | null {
  if (block.length <= CRC_BYTES) return null;
  const data = block.subarray(CRC_BYTES);
  return blockChecksum(id, number, data) === block.readUInt32BE(0) ? data : null;
}

/** The data of blocks that were just built, which need no check. */
export function dataOf(blocks: readonly Buffer[]): Buffer[] {
  return blocks.map((block) => block.subarray(CRC_BYTES));
}

/** Where block `number` lies, relative to the first, for content of `sizeBytes`. */
export function blockPlace(
  number: number,
  sizeBytes: number,
): { readonly offset: number; readonly bytes: number } {
  const dataBytes = Math.min(BLOCK_BYTES, sizeBytes - number * BLOCK_BYTES);
  return { offset: number * (BLOCK_BYTES + CRC_BYTES), bytes: dataBytes + CRC_BYTES };
}

function blockChecksum(id: MessageId, number: number, data: Buffer): number {
  return crc32(data, crc32(`${id}/${number}`));
}
