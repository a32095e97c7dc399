/**
 * Gives the disk back: when dead bytes outweigh live ones, the messages that still wait in a mostly dead
 * segment are copied into the active one, through the same group commit as new mail, and the segment is
 * deleted whole. One segment at a time, about a batch in flight, so that mail comes first.
 */
import type { Log } from "../../kit/log.ts";
import type { MessageId } from "../../message.ts";
import type { Files } from "../files.ts";
import { SpoolError } from "../spool.ts";
import { BLOCK_BYTES, BlockBuilder } from "./contentBlocks.ts";
import { readBlock } from "./contentReader.ts";
import type { Content, ContentStore } from "./contentStore.ts";
import type { MessageColumns } from "./messageColumns.ts";

/** Copies in flight at a time. */
const COPIES = 8;

export interface CompactionParts {
  readonly files: Files;
  readonly index: MessageColumns;
  readonly contents: ContentStore;
  readonly log: Log;
  readonly slackBytes: number;
  /** Whether to stop between two copies: closing, or a store that fails. */
  stopped(): boolean;
  /** Makes the copy durable and the message point to it. */
  move(content: Content): Promise<void>;
}

/** Copies until the books balance. Rejects when the store fails; what is done until then stays done. */
export async function compact(parts: CompactionParts): Promise<void> {
  for (;;) {
    const victim = parts.contents.compactionVictim(parts.slackBytes);
    if (victim === null || parts.stopped()) return;
    const ids = parts.index.idsIn(victim.sequence);
    for (let start = 0; start < ids.length && !parts.stopped(); start += COPIES) {
      await Promise.all(
        ids.slice(start, start + COPIES).map(async (id) => {
          const content = await copyOf(parts, id, victim.sequence);
          if (content === "damaged") victim.damaged = true;
          else if (content !== null) await parts.move(content);
        }),
      );
    }
    // Were anything left in it, this would not end.
    if (victim.messages > 0) victim.damaged = true;
  }
}

/** The content as it shall be written again; null when the message is gone meanwhile. */
async function copyOf(
  { files, index, contents, log }: CompactionParts,
  id: MessageId,
  segment: number,
): Promise<Content | "damaged" | null> {
  const entry = index.get(id);
  if (entry === undefined || !isIn(index, id, segment)) return null;
  const { sizeBytes } = entry;
  const { path, offset } = contents.placeOf(id, entry.content);
  const builder = new BlockBuilder(id);
  const blocks: Buffer[] = [];
  const file = await files.open(path);
  try {
    for (let number = 0; number * BLOCK_BYTES < sizeBytes; number++) {
      blocks.push(...builder.push(await readBlock(id, { file, offset, sizeBytes }, number)));
    }
    return { id, sizeBytes, blocks: [...blocks, ...builder.end()] };
  } catch (error) {
    if (!(error instanceof SpoolError)) throw error;
    log.error("content is damaged, its segment is kept", { id, segment, error });
    return "damaged";
  } finally {
    await file.close();
  }
}

function isIn(index: MessageColumns, id: MessageId, segment: number): boolean {
  return index.get(id)?.content?.segment === segment;
}
