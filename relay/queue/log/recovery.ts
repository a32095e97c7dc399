/**
 * What a former life left, made whole: the index is filled from the metadata log and from the journals of
 * batches that had not come into it, content of the last batch is checked (a power loss may have kept its
 * records and lost its content), and what nobody needs is deleted.
 *
 * Only the last batch may be doubted: the batch before it was on stable storage, content and all, before
 * this one was begun. So recovery reads the log, the end of a segment, and at most one batch of content.
 */
import type { Log } from "../../kit/log.ts";
import type { Instant, MessageId } from "../../message.ts";
import { ulidTime } from "../../kit/ulid.ts";
import { codeOf, type Files } from "../files.ts";
import { SpoolError } from "../spool.ts";
import { BLOCK_BYTES } from "./contentBlocks.ts";
import { type KnownDamage, readDamage, writeDamage } from "./damageBook.ts";
import { readBlock } from "./contentReader.ts";
import { type ContentStore, isMissing } from "./contentStore.ts";
import { isCheckpoint } from "./logFiles.ts";
import type { ApplyRecord } from "./logReader.ts";
import { readId } from "./messageDecoder.ts";
import type { MessageColumns } from "./messageColumns.ts";
import {
  type ContentLocation,
  decodeMetadata,
  encodeMetadata,
  type MetadataRecord,
  recordTypes,
} from "./metadata.ts";
import type { MetadataLog } from "./metadataLog.ts";

export interface RecoveryParts {
  readonly files: Files;
  readonly directory: string;
  readonly now: () => Instant;
  readonly index: MessageColumns;
  readonly metadata: MetadataLog;
  readonly contents: ContentStore;
  readonly log: Log;
}

export interface Recovery {
  readonly tornBytes: number;
  /** Of this start and of former ones that nobody has looked at yet. */
  readonly damagedBytes: number;
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
  const apply: ApplyRecord = (raw, file, offset) => {
    const { left } = index.apply(raw, file, offset);
    if (isCheckpoint(file)) return;
    switch (raw.type) {
      case recordTypes.batch:
      // What stands before a journal mark was durable in its segment before it came into the log.
      case recordTypes.journal:
        return doubtful.clear();
      case recordTypes.message:
        doubtful.set(readId(raw.payload), undefined);
        return;
      case recordTypes.messageJson:
      case recordTypes.moved: {
        const record = decodeMetadata(raw);
        if (record?.kind === "message") doubtful.set(record.message.id, undefined);
        else if (record?.kind === "moved" && index.has(record.id)) doubtful.set(record.id, left);
      }
    }
  };
  const found = await metadata.recover(apply, (messages) => index.expect(messages));
  const { journal } = found;
  let { tornBytes, damagedBytes, damagedFiles } = found;
  if (journal !== null) {
    const inJournals = await contents.readJournals(journal, (records, segment) => {
      metadata.recoverJournal(records, segment, apply);
    });
    tornBytes += inJournals.tornBytes;
    damagedBytes += inJournals.damagedBytes;
    damagedFiles = [...damagedFiles, ...inJournals.damagedFiles];
  }

  const corrections: MetadataRecord[] = [];
  for (const [id, before] of doubtful) {
    if (index.get(id) === undefined || (await contentIsSound(parts, id))) continue;
    const correction: MetadataRecord =
      before === undefined ? { kind: "removed", id } : { kind: "moved", id, content: before };
    // Its place is no matter: neither of the two is read again.
    index.apply(encodeMetadata(correction), 0, 0);
    corrections.push(correction);
    log.warn("withdrew what the last batch did not finish", { id, correction: correction.kind });
  }

  let missing = 0;
  for (const slot of index.slots()) {
    if (contents.hold(index.contentAt(slot), index.sizeAt(slot))) continue;
    missing++;
    log.error("content of a queued message is missing", { id: index.idAt(slot) });
  }
  const damage = await knownDamage(parts, { damagedBytes, damagedFiles });
  if (damage !== null || missing > 0) {
    // Nothing is deleted that might be all that is left of a message.
    log.error('the spool is damaged; what may be left of messages is kept: see "smtp-relay spool check"', {
      damagedBytes: damage?.bytes ?? 0,
      missing,
      ...(damage === null ? {} : { since: damage.at, files: damage.files }),
    });
  }
  return {
    tornBytes,
    damagedBytes: damage?.bytes ?? 0,
    corrections,
    async sweep() {
      if (missing > 0) return;
      const through = damage === null ? Number.NEGATIVE_INFINITY : Date.parse(damage.messagesThrough);
      await contents.sweep((id) => index.get(id)?.content === null || ulidTime(id) <= through);
    },
  };
}

/** What is known to be gone from logs and journals, now or in a former life, written down before anything is deleted. */
async function knownDamage(
  { files, directory, now, contents, log }: RecoveryParts,
  { damagedBytes, damagedFiles }: { readonly damagedBytes: number; readonly damagedFiles: readonly string[] },
): Promise<KnownDamage | null> {
  const before = await readDamage(files, directory);
  if (damagedBytes === 0) {
    if (before !== null) contents.pin(before.segmentsThrough);
    return before;
  }
  const at = new Date(now()).toISOString();
  contents.pin(contents.lastSegment);
  // A log stays until the next checkpoint, a journal until the next log: it may be found damaged again, and counts once.
  const isKnown = before !== null && damagedFiles.every((name) => before.files.includes(name));
  const damage: KnownDamage = {
    at: before?.at ?? at,
    bytes: isKnown ? Math.max(before.bytes, damagedBytes) : (before?.bytes ?? 0) + damagedBytes,
    files: [...new Set([...(before?.files ?? []), ...damagedFiles])],
    segmentsThrough: contents.lastSegment,
    messagesThrough: at,
  };
  try {
    await writeDamage(files, directory, damage);
  } catch (error) {
    // A disk that takes nothing deletes nothing either; the next start finds the same logs.
    log.warn("the damage of the spool could not be written down", { error });
  }
  return damage;
}

async function contentIsSound({ files, index, contents }: RecoveryParts, id: MessageId): Promise<boolean> {
  const entry = index.get(id);
  if (entry === undefined) return false;
  const { path, offset } = contents.placeOf(id, entry.content);
  try {
    const file = await files.open(path);
    try {
      const { sizeBytes } = entry;
      for (let number = 0; number * BLOCK_BYTES < sizeBytes; number++) {
        await readBlock(id, { file, offset, sizeBytes }, number);
      }
      return true;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof SpoolError || isMissing(error)) return false;
    // Nothing says that it was not there: whoever delivers it hears more.
    if (codeOf(error) === "EIO") return true;
    throw error;
  }
}
