/**
 * What a former life left, made whole: the index is filled from the metadata log and from the journals of
 * batches that had not come into it, content of the last batch is checked (a power loss may have kept its
 * records and lost its content), and what nobody needs is deleted.
 *
 * Only the last batch may be doubted: the batch before it was on stable storage, content and all, before
 * this one was begun. So recovery reads the log, the end of a segment, and at most one batch of content.
 */
import type { Log } from "../../kit/log.ts";
import type { MessageId } from "../../message.ts";
import type { Files } from "../files.ts";
import { SpoolError } from "../spool.ts";
import { BLOCK_BYTES } from "./contentBlocks.ts";
import { readBlock } from "./contentReader.ts";
import { type ContentStore, isMissing } from "./contentStore.ts";
import type { ContentLocation, MetadataRecord } from "./metadata.ts";
import type { ApplyRecord, MetadataLog } from "./metadataLog.ts";
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
  /** Deletes what nobody needs; to be called when the new log has all that was found in journals. */
  readonly sweep: () => Promise<void>;
}

export async function recoverSpool(parts: RecoveryParts): Promise<Recovery> {
  const { index, metadata, contents, log } = parts;
  await contents.recover();
  /** Messages that the last batch placed, with the place they had before it, if any. */
  const doubtful = new Map<MessageId, ContentLocation | undefined>();
  const apply: ApplyRecord = (record, from) => {
    const { left } = index.apply(record);
    if (from === "checkpoint") return;
    // What stands before a journal mark was durable in its segment before it came into the log.
    if (record.kind === "batch" || record.kind === "journal") doubtful.clear();
    else if (record.kind === "message") doubtful.set(record.message.id, undefined);
    else if (record.kind === "moved" && index.get(record.id) !== undefined) doubtful.set(record.id, left);
  };
  const { tornBytes, damagedBytes, journal } = await metadata.recover(apply);
  if (journal !== null) {
    await contents.readJournals(journal, (records, segment) => {
      metadata.recoverJournal(records, segment, apply);
    });
  }

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
  }
  const isSound = damagedBytes === 0 && missing === 0;
  return {
    tornBytes,
    corrections,
    async sweep() {
      if (isSound) await contents.sweep((id) => index.get(id)?.content === null);
    },
  };
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
