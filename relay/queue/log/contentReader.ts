/**
 * The bytes of a queued message as a stream, block by block: each block is verified before a byte of it is
 * handed out, so that no peer ever gets damaged mail. Holds one block in memory.
 */
import { Readable } from "node:stream";

import type { MessageId } from "../../message.ts";
import { SpoolError } from "../spool.ts";
import { BLOCK_BYTES, blockPlace, openBlock } from "./contentBlocks.ts";
import type { ReadableFile } from "./sharedFiles.ts";

/** An open file with the content, and where its first block begins. */
export interface OpenContent {
  readonly file: ReadableFile;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** `open` is called with the first read; what it rejects with, the stream fails with. */
export function readContent(
  id: MessageId,
  open: () => Promise<OpenContent>,
  range: { readonly start: number; readonly end?: number } = { start: 0 },
): Readable {
  const { start, end = Number.POSITIVE_INFINITY } = range;
  if (!Number.isInteger(start) || start < 0 || end < start) {
    throw new RangeError(`Cannot read bytes ${start} to ${end} of message ${id}.`);
  }
  return Readable.from(blocks(id, open, start, end), { objectMode: false, highWaterMark: BLOCK_BYTES });
}

async function* blocks(id: MessageId, open: () => Promise<OpenContent>, start: number, end: number) {
  const content = await open();
  try {
    const stop = Math.min(end, content.sizeBytes);
    for (let position = start; position < stop;) {
      const number = Math.floor(position / BLOCK_BYTES);
      const data = await readBlock(id, content, number);
      const blockStart = number * BLOCK_BYTES;
      const part = data.subarray(position - blockStart, stop - blockStart);
      position += part.length;
      yield part;
    }
  } finally {
    await content.file.close();
  }
}

/** The data of one block, or a SpoolError that names the message. */
export async function readBlock(id: MessageId, content: OpenContent, number: number): Promise<Buffer> {
  const place = blockPlace(number, content.sizeBytes);
  const block = await content.file.read(place.bytes, content.offset + place.offset);
  const data = block.length < place.bytes ? null : openBlock(id, number, block);
  if (data === null) throw damagedBlock(id, number);
  return data;
}

export function damagedBlock(id: MessageId, number: number): SpoolError {
  return new SpoolError(
    `Cannot read message ${id}: block ${number} of its content is damaged (its checksum does not match).`,
  );
}
