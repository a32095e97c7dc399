/**
 * A spool's folder as a doctor reads it: nothing is changed, nothing is believed, and whatever cannot be read
 * is named while the rest goes on. The relay itself trusts its last batch and cuts what is torn; here
 * all of it is looked at, and judged by the same checksums.
 */
import { join } from "node:path";

import type { Instant, MessageId, QueuedMessage } from "../../message.ts";
import { type Files, type StoredFile, withFile } from "../files.ts";
import { aroundBadPlaces } from "../log/badPlaces.ts";
import { BLOCK_BYTES, storedBytes } from "../log/contentBlocks.ts";
import { ownerOf, ownFileName, segmentName, segmentOf } from "../log/contentFiles.ts";
import { readBlock } from "../log/contentReader.ts";
import { FRAME_BYTES, frameSays } from "../log/contentStore.ts";
import { DAMAGE_NAME, readDamage } from "../log/damageBook.ts";
import { Envelopes } from "../log/envelopes.ts";
import { reasonOf } from "../log/health.ts";
import {
  checkpointNumber,
  isCheckpoint,
  logFileName,
  logNumber,
  PENDING_FILE,
  sequenceOf,
  standingLogs,
} from "../log/logFiles.ts";
import { MessageColumns } from "../log/messageColumns.ts";
import { isKnownType, type RawMetadata, recordTypes } from "../log/metadata.ts";
import { decodeFileHeader, FILE_HEADER_BYTES } from "../log/record.ts";
import { scanRecords } from "../log/scan.ts";
import { copiesIn } from "../log/segmentCopies.ts";
import { readJournals } from "../log/segmentJournal.ts";
import { SharedFiles } from "../log/sharedFiles.ts";
import { type LostBody, lostBodies } from "./lostBodies.ts";
import { SpoolError, type UsageRecord } from "../spool.ts";

/** Something in the folder that is not as it was written. */
export interface Damage {
  readonly file: string;
  /** The message it belongs to, when that is known. */
  readonly id: MessageId | null;
  readonly fact: string;
}

export interface SpoolOnDisk {
  readonly createdAt: Instant | null;
  /** Ids of queued messages, oldest first. */
  readonly ids: readonly MessageId[];
  readonly usage: readonly UsageRecord[];
  /** Bytes behind the last whole batch of a log: what a kill leaves, and no damage. */
  readonly tornBytes: number;
  readonly records: number;
  readonly files: { readonly logs: number; readonly segments: number; readonly messages: number };
  /** Of logs and headers. Messages are looked at one by one, by `load` and `content`. */
  readonly damage: readonly Damage[];
  /** Messages as they stand; an error names what cannot be read. */
  load(ids: readonly MessageId[]): Promise<readonly (QueuedMessage | Error)[]>;
  /** The blocks of a message's content in order; an error in the place of one that is damaged. */
  content(message: QueuedMessage): AsyncGenerator<Buffer | Error>;
  /** Content whose envelope is lost: of messages set aside, and, where logs are damaged, of any that may have been. */
  lost(): AsyncGenerator<LostBody>;
}

interface JournalMark {
  readonly through: number;
  readonly segment: number;
  readonly offset: number;
}

interface LogFile {
  readonly name: string;
  readonly file: number;
  readonly sequence: number;
}

/** Rejects when the folder is no spool, or of a newer release. `progress` hears what is being read. */
export async function readSpool(options: {
  readonly directory: string;
  readonly files: Files;
  readonly progress: (text: string) => void;
}): Promise<SpoolOnDisk> {
  const { directory, files, progress } = options;
  const path = (name: string) => join(directory, name);
  const names = await files.list(directory);
  const damage: Damage[] = [];
  const index = new MessageColumns();
  let tornBytes = 0;
  let records = 0;
  const damagedBefore = await readDamage(files, directory);
  if (damagedBefore !== null) {
    const { at, bytes, files: damaged } = damagedBefore;
    const where = damaged.length === 0 ? "logs" : damaged.join(", ");
    const fact = `${bytes} bytes of ${where} could not be read when the relay started, first at ${at}: envelopes may be lost`;
    damage.push({ file: DAMAGE_NAME, id: null, fact });
  }
  /** What the log says of journals, and the records found there. */
  let journal: JournalMark | null = null as JournalMark | null;
  const pending: RawMetadata[] = [];

  const logs = logsOf(names);
  const cuts = new Map<number, number>();
  const covered = logs.find(({ file }) => isCheckpoint(file))?.sequence ?? 0;
  for (const log of logs) {
    const header = await headerOf(files, path(log.name));
    if (header === null) continue;
    const { sequence, bytes } = header.previous;
    const before = logNumber(sequence);
    cuts.set(before, bytes);
    if (sequence <= covered || logs.some(({ file }) => file === before)) continue;
    damage.push({
      file: logFileName(before),
      id: null,
      fact: `it is missing: ${log.name} goes on where it ended`,
    });
  }
  const segments = names.flatMap((name) => segmentOf(name) ?? []);
  const own = names.filter((name) => ownerOf(name) !== null);
  if (logs.length === 0 && segments.length + own.length > 0)
    damage.push({ file: "metadata-*.log", id: null, fact: "there is no log, and there is content" });
  for (const [position, log] of logs.entries()) {
    progress(`reading ${log.name}`);
    const file = aroundBadPlaces(await files.open(path(log.name)));
    try {
      const size = await file.size();
      const header = decodeFileHeader(await file.read(FILE_HEADER_BYTES, 0));
      const isLast = position === logs.length - 1;
      if (header === null) {
        // One that was being begun when the process was killed holds nothing.
        if (isLast && size <= FILE_HEADER_BYTES) tornBytes += size;
        else damage.push({ file: log.name, id: null, fact: "its header is damaged" });
      }
      let complete = !isCheckpoint(log.file);
      const cut = cuts.get(log.file) ?? size;
      const { tornBytes: torn, damagedBytes } = await scanRecords(file, {
        seed: log.sequence,
        size: Math.min(size, cut),
        finished: isCheckpoint(log.file),
        onRecord: (type, payload, offset) => {
          records++;
          if (type === recordTypes.checkpointEnd) complete = true;
          if (!isKnownType(type)) {
            damage.push({
              file: log.name,
              id: null,
              fact: `byte ${offset}: a record of type ${type}, which this release does not know`,
            });
            return;
          }
          if (type === recordTypes.journal) journal = JSON.parse(payload.toString()) as JournalMark;
          index.apply({ type, payload }, log.file, offset);
        },
      });
      if (damagedBytes > 0) {
        damage.push({
          file: log.name,
          id: null,
          fact: `${damagedBytes} bytes cannot be read, with sound records behind them`,
        });
      }
      if (file.badBytes > 0) damage.push(unreadableBy(log.name, file.badBytes));
      // A checkpoint got its name when it was whole, and a log that was left was cut where it ended.
      if (isCheckpoint(log.file) ? torn > 0 || !complete : torn > 0 && cuts.has(log.file)) {
        damage.push({ file: log.name, id: null, fact: `its last ${torn} bytes cannot be read` });
      } else tornBytes += torn;
      if (size < cut) {
        damage.push({ file: log.name, id: null, fact: `it ends after ${size} bytes, and had ${cut}` });
      }
    } finally {
      await file.close();
    }
  }

  // Batches that are in no log yet, in the segments they came with.
  for (const sequence of segments.toSorted((a, b) => a - b)) {
    const mark = journal;
    if (mark === null || sequence < mark.segment) continue;
    const file = aroundBadPlaces(await files.open(path(segmentName(sequence))));
    try {
      const size = await file.size();
      const start = sequence === mark.segment ? mark.offset : 0;
      const { end, damagedBytes } = await readJournals(file, sequence, start, ([batch, ...found]) => {
        records += 1 + found.length;
        const number =
          batch === undefined ? 0 : (JSON.parse(batch.payload.toString()) as { number: number }).number;
        if (number <= mark.through) return;
        for (const { type, payload } of found) {
          index.apply({ type, payload }, PENDING_FILE, pending.length);
          pending.push({ type, payload: Buffer.from(payload) });
        }
      });
      tornBytes += Math.max(0, size - Math.max(end, start));
      if (file.badBytes > 0) damage.push(unreadableBy(segmentName(sequence), file.badBytes));
      if (damagedBytes > 0) {
        const fact = `${damagedBytes} bytes cannot be read, with sound journals behind them: envelopes may be lost`;
        damage.push({ file: segmentName(sequence), id: null, fact });
      }
    } finally {
      await file.close();
    }
  }
  // Of headers of content nothing hangs: it is read by its frames and blocks.
  const isDamaged = damage.length > 0;
  for (const name of [...segments.map(segmentName), ...own]) {
    if ((await headerOf(files, path(name))) === null && (await isNeeded(index, name))) {
      damage.push({ file: name, id: null, fact: "its header is damaged" });
    }
  }

  const reading = new SharedFiles(files);
  const envelopes = new Envelopes(index, {
    open: (file) => reading.open(path(logFileName(file))),
    pending: (number) => pending[number],
    copies: (segment, ids) => copiesIn(files, { path: path(segmentName(segment)), segment }, ids),
  });
  const load = async (ids: readonly MessageId[]): Promise<(QueuedMessage | Error)[]> => {
    try {
      const found = await envelopes.load(ids);
      return ids.map(
        (id, at) => found[at] ?? new SpoolError(`Cannot read message ${id}: it is not in the spool.`),
      );
    } catch (error) {
      if (!(error instanceof SpoolError)) throw error;
      // A whole file cannot be read: ask for each, so that the others do not suffer.
      if (ids.length === 1) return [error];
      return (await Promise.all(ids.map((id) => load([id])))).flat();
    }
  };
  const birth = names.includes("spool.json") ? await birthOf(files, path("spool.json")) : null;
  if (birth === null) damage.push({ file: "spool.json", id: null, fact: "it is missing or damaged" });
  return {
    createdAt: birth,
    ids: Array.from(index.waiting(), ({ id }) => id),
    usage: index.usage(0).map(({ counter, taken }) => ({ counter, taken })),
    ...{ tornBytes, records, damage },
    files: { logs: logs.length, segments: segments.length, messages: own.length },
    load,
    lost: () => lostBodies({ directory, files, isQueued: (id) => index.has(id), isDamaged, progress }),
    async *content({ id, sizeBytes }) {
      const place = index.get(id)?.content ?? null;
      const name = place === null ? ownFileName(id) : segmentName(place.segment);
      let open: StoredFile;
      try {
        open = await files.open(path(name));
      } catch (error) {
        yield new SpoolError(`Cannot read message ${id}: ${name}: ${reasonOf(error)}.`, { cause: error });
        return;
      }
      try {
        const offset = place === null ? FILE_HEADER_BYTES : place.offset;
        if (place !== null) {
          const frame = await open.read(FRAME_BYTES, offset - FRAME_BYTES);
          const said = frameSays(frame, place.segment);
          if (said === null || said.id !== id || said.sizeBytes !== sizeBytes)
            yield new SpoolError(
              `Cannot read message ${id}: the frame of its content in ${name} is damaged.`,
            );
        } else if ((await open.size()) < offset + storedBytes(sizeBytes)) {
          yield new SpoolError(`Cannot read message ${id}: ${name} is cut.`);
        }
        for (let number = 0; number * BLOCK_BYTES < sizeBytes; number++) {
          try {
            yield await readBlock(id, { file: open, offset, sizeBytes }, number);
          } catch (error) {
            yield error instanceof Error ? error : new Error(String(error));
          }
        }
      } finally {
        await open.close();
      }
    },
  };
}

/** Those a start reads, in order. */
function logsOf(names: readonly string[]): LogFile[] {
  const { checkpoint, logs } = standingLogs(names);
  const standing = [...(checkpoint === 0 ? [] : [checkpointNumber(checkpoint)]), ...logs.map(logNumber)];
  return standing.map((file) => ({ file, name: logFileName(file), sequence: sequenceOf(file) }));
}

async function headerOf(files: Files, path: string) {
  return withFile(files, path, async (file) =>
    decodeFileHeader(await aroundBadPlaces(file).read(FILE_HEADER_BYTES, 0)),
  );
}

function unreadableBy(file: string, badBytes: number): Damage {
  return { file, id: null, fact: `${badBytes} bytes cannot be read from the disk (EIO)` };
}

async function isNeeded(index: MessageColumns, name: string): Promise<boolean> {
  const segment = segmentOf(name);
  if (segment !== null) return index.idsIn(segment).length > 0;
  return index.get(ownerOf(name) ?? "")?.content === null;
}

async function birthOf(files: Files, path: string): Promise<Instant | null> {
  const text = await withFile(files, path, async (file) => (await file.read(4096, 0)).toString());
  try {
    const { createdAt } = JSON.parse(text) as { createdAt?: string };
    const at = Date.parse(createdAt ?? "");
    return Number.isNaN(at) ? null : at;
  } catch {
    return null;
  }
}
