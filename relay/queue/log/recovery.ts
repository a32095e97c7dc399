/**
 * What a former life left, made whole: the index is filled from the metadata log, content of the last batch
 * is checked (its sync ran beside the log's, so a power loss may have kept one without the other), and what
 * nobody needs is deleted.
 *
 * Only the last batch may be doubted: the batch before it was on stable storage, content and all, before
 * this one was begun. So recovery reads the log, and at most one batch of content.
 */
import type { Log } from "../../kit/log.ts";
import type { MessageId } from "../../message.ts";
import type { Files } from "../files.ts";
import { SpoolError } from "../spool.ts";
import { BLOCK_BYTES } from "./contentBlocks.ts";
import { readBlock } from "./contentReader.ts";
import { type ContentStore, isMissing } from "./contentStore.ts";
import type { ContentLocation, MetadataRecord } from "./metadata.ts";
import type { MetadataLog } from "./metadataLog.ts";
import type { SpoolIndex } from "./spoolIndex.ts";

export interface RecoveryParts {
  readonly files: Files;
  readonly index: SpoolIndex;
  readonly metadata: MetadataLog;
  readonly contents: ContentStore;
  readonly log: Log;
}

export interface Recovery {
  readonly tornBytes: number;
  /** To be logged before anything else: what was taken back, so that no later life sees it again. */
  readonly corrections: readonly MetadataRecord[];
}

export async function recoverSpool(parts: RecoveryParts): Promise<Recovery> {
  const { index, metadata, contents, log } = parts;
  await contents.recover();
  /** Messages that the last batch placed, with the place they had before it, if any. */
  const doubtful = new Map<MessageId, ContentLocation | undefined>();
  const { tornBytes, damagedBytes } = await metadata.recover((record, from) => {
    const { left } = index.apply(record);
    if (from === "checkpoint") return;
    if (record.kind === "batch") doubtful.clear();
    else if (record.kind === "message") doubtful.set(record.message.id, undefined);
    else if (record.kind === "moved" && index.get(record.id) !== undefined) doubtful.set(record.id, left);
  });

  const corrections: MetadataRecord[] = [];
  for (const [id, before] of doubtful) {
    if (index.get(id) === undefined || (await contentIsSound(parts, id))) continue;
    const correction: MetadataRecord =
      before === undefined ? { kind: "removed", id } : { kind: "moved", id, content: before };
    index.apply(correction);
    corrections.push(correction);
    log.warn("withdrew what the last batch did not finish", { id, correction: correction.kind });
  }

  let missing = 0;
  for (const id of index.ids()) {
    const entry = index.get(id);
    if (entry === undefined || contents.hold(entry.content, entry.message.sizeBytes)) continue;
    missing++;
    log.error("content of a queued message is missing", { id });
  }
  if (damagedBytes > 0 || missing > 0) {
    // Nothing is deleted that might be all that is left of a message.
    log.error("the spool is damaged; unreferenced content is kept", { damagedBytes, missing });
  } else {
    await contents.sweep((id) => index.get(id)?.content === null);
  }
  return { tornBytes, corrections };
}

async function contentIsSound({ files, index, contents }: RecoveryParts, id: MessageId): Promise<boolean> {
  const entry = index.get(id);
  if (entry === undefined) return false;
  const { path, offset } = contents.placeOf(id, entry.content);
  try {
    const file = await files.open(path);
    try {
      const { sizeBytes } = entry.message;
      for (let number = 0; number * BLOCK_BYTES < sizeBytes; number++) {
        await readBlock(id, { file, offset, sizeBytes }, number);
      }
      return true;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof SpoolError || isMissing(error)) return false;
    throw error;
  }
}
