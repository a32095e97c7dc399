/**
 * How a checkpoint is written: the state, chunk by chunk, into a file that gets its name when all of it is
 * durable. Batch marks between the chunks are where a reader finds its way again behind damage.
 */
import { ignoreFailure } from "../files.ts";
import type { LogFiles } from "./logFiles.ts";
import { encodeMetadata, type RawMetadata, recordTypes } from "./metadata.ts";
import { encodeFileHeader, encodeRecord, lengthOf } from "./record.ts";

/** Offsets are kept in 32 bits. */
const LONGEST_CHECKPOINT_BYTES = 2 ** 32 - 1;

/**
 * Writes the checkpoint that stands for the logs up to `covered`; gives its size in bytes. `written` hears where each
 * record of a chunk will be. When it rejects nothing is left of it.
 */
export async function writeCheckpoint(
  files: LogFiles,
  covered: number,
  state: AsyncIterable<readonly RawMetadata[]>,
  written: (chunk: readonly RawMetadata[], offsets: readonly number[]) => void,
): Promise<number> {
  const file = await files.createCheckpoint(covered);
  let position = 0;
  try {
    const append = async (records: readonly RawMetadata[]): Promise<number[]> => {
      const offsets: number[] = [];
      const buffers: Buffer[] = [];
      let next = position;
      for (const { type, payload } of records) {
        offsets.push(next);
        const framed = encodeRecord(type, payload, covered);
        buffers.push(...framed);
        next += lengthOf(framed);
      }
      if (next > LONGEST_CHECKPOINT_BYTES) {
        throw new Error("Cannot write a checkpoint: it would be longer than 4 GiB.");
      }
      await file.write(buffers, position);
      position = next;
      return offsets;
    };
    const header = encodeFileHeader({
      kind: "checkpoint",
      sequence: covered,
      previous: { sequence: 0, bytes: 0 },
    });
    await file.write([header], 0);
    position += header.length;
    let messages = 0;
    let number = 0;
    for await (const chunk of state) {
      for (const { type } of chunk) if (type === recordTypes.message) messages++;
      const offsets = await append([encodeMetadata({ kind: "batch", number: number++ }), ...chunk]);
      written(chunk, offsets.slice(1));
    }
    await append([encodeMetadata({ kind: "checkpointEnd", messages })]);
    await file.datasync();
    await file.close();
  } catch (error) {
    await ignoreFailure(file.close());
    await ignoreFailure(files.dropCheckpoint(covered));
    throw error;
  }
  await files.nameCheckpoint(covered);
  return position;
}
