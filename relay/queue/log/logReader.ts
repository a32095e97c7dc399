/**
 * What the last checkpoint and the logs after it say: every record in order, and what could not be read. A start
 * reads them, never content.
 */
import { type AroundBadPlaces, aroundBadPlaces } from "./badPlaces.ts";
import { checkpointNumber, type LogFiles, logNumber, standingLogs } from "./logFiles.ts";
import { BATCH_TYPE, isKnownType, type RawMetadata, recordTypes } from "./metadata.ts";
import { FIXED_BYTES } from "./messageFormat.ts";
import { decodeFileHeader, FILE_HEADER_BYTES, type FileHeader, RECORD_HEADER_BYTES } from "./record.ts";
import { scanRecords } from "./scan.ts";
import type { JournalPlace } from "./segmentJournal.ts";

/**
 * About what a message leaves in a log: some 190 when it is new, twice that when it was tried and waits on. Room that
 * stays empty costs little, too little of it is doubled.
 */
const BYTES_A_MESSAGE = 250;
/** The last record of a checkpoint is within this. */
const END_BYTES = 64;

/**
 * Called for each record in order; those of a checkpoint come first. `file` and `offset` are where it can be
 * read again (`pathOf`); the payload is the callee's for the call only.
 */
export type ApplyRecord = (raw: RawMetadata, file: number, offset: number) => void;

export interface MetadataRecovery {
  /** Where to look for batches that are in no log; null when a former format had no journals. */
  readonly journal: JournalPlace | null;
  /** Cut from the ends of logs. */
  readonly tornBytes: number;
  /** Unreadable with sound records behind: a broken disk, not a crash. */
  readonly damagedBytes: number;
  /** The files they are in. */
  readonly damagedFiles: readonly string[];
}

/** Beside that, what whoever goes on writing must know. */
export interface FoundLogs extends MetadataRecovery {
  /** The newest log with a sound header, and its bytes that count; number 0 when there is none. */
  readonly current: { readonly sequence: number; readonly bytes: number };
  /** No log or checkpoint has a higher number. */
  readonly lastSequence: number;
  /** Numbers of the last batch that began in a log, and of the last that is whole there. */
  readonly batch: number;
  readonly wholeThrough: number;
  readonly logs: number;
  readonly logBytes: number;
  readonly checkpointBytes: number;
}

/** `expect` hears first about how many messages there are. Deletes what a checkpoint stands for. */
export async function readLogs(
  files: LogFiles,
  apply: ApplyRecord,
  expect: (messages: number) => void,
): Promise<FoundLogs> {
  const names = await files.names();
  await files.removeUnfinished(names);
  const { checkpoint: covered, logs } = standingLogs(names);
  expect(await countMessages(files, covered, logs));
  const checkpoint =
    covered === 0 ? { bytes: 0, damagedBytes: 0 } : await readCheckpoint(files, covered, apply);
  let { damagedBytes } = checkpoint;
  if (damagedBytes > 0) files.noteDamage("checkpoint", covered);
  await files.removeCovered(covered, names);

  const { sound, ...opened } = await openLogs(files, logs);
  let { tornBytes } = opened;
  let journal: JournalPlace | null = null;
  let current = { sequence: 0, bytes: 0 };
  let batch = 0;
  let wholeThrough = 0;
  let logBytes = 0;
  for (const log of sound) {
    const scan = await scanRecords(log.file, {
      seed: log.sequence,
      size: log.bytes,
      onRecord: (type, payload, offset) => {
        mustKnow(type, `log ${log.sequence}`);
        if (type === BATCH_TYPE) batch = batchNumber(payload);
        if (type === recordTypes.journal) {
          const mark = JSON.parse(payload.toString()) as JournalPlace & { readonly through: number };
          wholeThrough = mark.through;
          journal = { segment: mark.segment, offset: mark.offset };
        }
        apply({ type, payload }, logNumber(log.sequence), offset);
      },
    });
    await log.file.close();
    tornBytes += scan.tornBytes;
    const damaged =
      Math.max(scan.damagedBytes, log.file.badBytes) +
      (log.cut === undefined ? 0 : Math.max(0, log.cut - log.bytes));
    if (damaged > 0) files.noteDamage("metadata", log.sequence);
    damagedBytes += damaged;
    current = { sequence: log.sequence, bytes: scan.end };
    logBytes += scan.end;
  }
  return {
    ...{ tornBytes, damagedBytes, damagedFiles: files.damaged, journal },
    ...{ current, lastSequence: Math.max(covered, ...logs), batch, wholeThrough },
    ...{ logs: sound.length, logBytes, checkpointBytes: checkpoint.bytes },
  };
}

/** Before any is read: columns that grow while a million is read are a sixth of a start. */
async function countMessages(files: LogFiles, checkpoint: number, logs: readonly number[]): Promise<number> {
  let messages = 0;
  if (checkpoint > 0) {
    messages = await files.read("checkpoint", checkpoint, async (file) => {
      const size = await file.size();
      const end = await aroundBadPlaces(file).read(END_BYTES, Math.max(0, size - END_BYTES));
      const said = Number(/"messages":(\d+)\}$/.exec(end.toString("latin1"))?.[1] ?? 0);
      // Nobody has looked yet whether that is damaged.
      return Math.min(said, Math.floor(size / (RECORD_HEADER_BYTES + FIXED_BYTES)));
    });
  }
  for (const sequence of logs) {
    const bytes = await files.read("metadata", sequence, (file) => file.size());
    messages += Math.floor(bytes / BYTES_A_MESSAGE);
  }
  return messages;
}

/** A checkpoint was complete when it got its name, so a cut is damage as well. */
async function readCheckpoint(
  files: LogFiles,
  sequence: number,
  apply: ApplyRecord,
): Promise<{ readonly bytes: number; readonly damagedBytes: number }> {
  const file = aroundBadPlaces(await files.open("checkpoint", sequence));
  try {
    const size = await file.size();
    const header = decodeFileHeader(await file.read(FILE_HEADER_BYTES, 0));
    let complete = false;
    const scan = await scanRecords(file, {
      seed: sequence,
      size,
      finished: true,
      onRecord: (type, payload, offset) => {
        mustKnow(type, `checkpoint ${sequence}`);
        complete = type === recordTypes.checkpointEnd;
        apply({ type, payload }, checkpointNumber(sequence), offset);
      },
    });
    const damaged = Math.max(scan.damagedBytes + scan.tornBytes, file.badBytes);
    return { bytes: size, damagedBytes: complete && header !== null ? damaged : Math.max(1, damaged) };
  } finally {
    await file.close();
  }
}

/** The logs to read, each with the bytes that count. A file without a sound header never held a batch. */
async function openLogs(files: LogFiles, sequences: readonly number[]) {
  const opened: { sequence: number; file: AroundBadPlaces; header: FileHeader | null; size: number }[] = [];
  for (const sequence of sequences) {
    const file = aroundBadPlaces(await files.open("metadata", sequence));
    const header = decodeFileHeader(await file.read(FILE_HEADER_BYTES, 0));
    opened.push({ sequence, file, header, size: await file.size() });
  }
  const cuts = new Map(
    opened.flatMap(({ header }) =>
      header === null ? [] : [[header.previous.sequence, header.previous.bytes] as const],
    ),
  );
  let tornBytes = 0;
  const sound: { sequence: number; file: AroundBadPlaces; bytes: number; cut: number | undefined }[] = [];
  for (const { sequence, file, header, size } of opened) {
    const cut = cuts.get(sequence);
    // Later logs speak of it, so its header was sound once, or the disk cannot read it: read the rest all the same.
    if (header === null && cut === undefined && file.badBytes === 0) {
      tornBytes += size;
      await file.close();
      await files.removeLog(sequence);
    } else sound.push({ sequence, file, cut, bytes: Math.min(size, cut ?? size) });
  }
  return { sound, tornBytes };
}

/** A record of a newer release is not skipped: what it says would be lost. */
export function mustKnow(type: number, place: string): void {
  if (isKnownType(type)) return;
  throw new Error(
    `Cannot read the spool: ${place} holds a record of type ${type}, which this release does not know.`,
  );
}

export function batchNumber(payload: Buffer): number {
  return (JSON.parse(payload.toString()) as { readonly number: number }).number;
}
