/**
 * The durable spool: content in append-only segments, envelopes and states in a metadata log, one write and
 * one sync of each for all that arrived meanwhile. This file ties the parts of log/ together; the format is
 * told in log/record.ts and log/contentBlocks.ts, the choice in docs/decisions/0002-spool.md.
 *
 *   write  → memory, or a file of its own when large        (log/contentWriter.ts)
 *   commit → group commit → segment, content and records in one write and one sync → 250
 *   record → rides with the next commit, else metadata log
 *   start  → checkpoint + logs + journals → index; content of the last batch is checked  (log/recovery.ts)
 *   load   → the envelope, read where it lies in log or checkpoint            (log/envelopes.ts)
 *
 * After a failed write or sync both files are left for good, every caller of the batch hears SpoolError,
 * and nothing is written until `probe` has begun a new log. What such a batch wrote does not come back:
 * the next log's header tells where the old one ends.
 */
import { basename } from "node:path";
import type { Readable } from "node:stream";

import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import { isUlid } from "../kit/ulid.ts";
import type { Instant, MessageId, QueuedMessage } from "../message.ts";
import { type Files, nodeFiles, type StoredFile } from "./files.ts";
import { AsideStore, KEPT_ENVELOPE_BYTES } from "./log/aside.ts";
import { Committer } from "./log/committer.ts";
import { type OpenContent, readContent } from "./log/contentReader.ts";
import { type Content, ContentStore, isMissing } from "./log/contentStore.ts";
import { type MemoryBudget, SpoolWriter, type WriterHost } from "./log/contentWriter.ts";
import { openFolder } from "./log/folder.ts";
import { reasonOf, StoreHealth } from "./log/health.ts";
import type { ContentLocation, MetadataRecord } from "./log/metadata.ts";
import { defaultLimits, type SpoolLimits } from "./log/limits.ts";
import { Envelopes, type LostEnvelope } from "./log/envelopes.ts";
import { MessageColumns, MOST_BYTES } from "./log/messageColumns.ts";
import { MetadataLog } from "./log/metadataLog.ts";
import { MOST_RECIPIENTS } from "./log/recipientColumns.ts";
import { recoverSpool } from "./log/recovery.ts";
import { dataOf } from "./log/contentBlocks.ts";
import { copiesIn } from "./log/segmentCopies.ts";
import { HeldContents } from "./log/heldContents.ts";
import { SharedFiles } from "./log/sharedFiles.ts";
import { Upkeep } from "./log/upkeep.ts";
import {
  type ContentWriter,
  type RecipientUpdate,
  type RecoveredSpool,
  type SetAside,
  type Spool,
  SpoolError,
  type SpoolHealth,
  type UsageRecord,
} from "./spool.ts";

/** Free space is asked for at most this often. */
const FREE_SPACE_AGE_MS = 1000;

/**
 * Opens the spool in `directory`, which is created if it is missing, and takes its lock. Rejects when another
 * process holds it, when a newer release wrote it, or when the folder cannot be used at all.
 */
export async function openFileSpool(options: {
  directory: string;
  clock: Clock;
  log: Log;
  options?: Partial<SpoolLimits>;
  files?: Files;
}): Promise<Spool> {
  const { directory, clock, log, files = nodeFiles } = options;
  const folder = await openFolder({ directory, files, now: clock.now() });
  const limits = { ...defaultLimits, ...options.options };
  return new FileSpool({ directory, clock, log, files, ...folder, limits });
}

interface FileSpoolParts {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly files: Files;
  readonly createdAt: Instant;
  readonly unlock: () => Promise<void>;
  readonly limits: SpoolLimits;
}

class FileSpool implements Spool, WriterHost {
  readonly inlineBytes: number;
  readonly budget: MemoryBudget;
  readonly #parts: FileSpoolParts;
  readonly #index = new MessageColumns();
  readonly #envelopes: Envelopes;
  readonly #metadata: MetadataLog;
  readonly #contents: ContentStore;
  readonly #health: StoreHealth;
  readonly #committer: Committer;
  readonly #upkeep: Upkeep;
  readonly #reading: SharedFiles;
  readonly #held: HeldContents;
  readonly #aside: AsideStore;
  readonly #leaving = new Set<MessageId>();
  readonly #writers = new Map<MessageId, SpoolWriter>();
  #life: "new" | "open" | "closing" = "new";
  #closing: Promise<void> | undefined;
  #probing: Promise<SpoolHealth> | undefined;
  #freeAskedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: FileSpoolParts) {
    this.#parts = parts;
    const { files, directory, limits, log, clock } = parts;
    const now = () => clock.now();
    this.#reading = new SharedFiles(files);
    this.#held = new HeldContents(limits.heldBytes, now);
    this.inlineBytes = limits.inlineBytes;
    this.budget = { usedBytes: 0, limitBytes: limits.bufferedBytes };
    const index = this.#index;
    const metadata: MetadataLog = new MetadataLog(
      files,
      directory,
      () => contents.nextPlace,
      (raw, number, file, offset) => index.placed(raw, number, file, offset),
    );
    const contents: ContentStore = new ContentStore({
      files,
      directory,
      segmentBytes: limits.segmentBytes,
      isNeededByLog: (sequence) => metadata.needsJournalOf(sequence),
    });
    const health = new StoreHealth({ now, log });
    const envelopes = new Envelopes(index, {
      open: (file) => this.#reading.open(metadata.pathOf(file)),
      pending: (number) => metadata.pendingRecord(number),
      copies: (segment, ids) =>
        copiesIn(files, { path: contents.placeOf("", { segment, offset: 0 }).path, segment }, ids),
    });
    const upkeep = new Upkeep({
      files,
      log,
      index,
      envelopes,
      metadata,
      contents,
      now,
      checkpointBytes: limits.checkpointBytes,
      slackBytes: limits.compactionSlackBytes,
      stopped: () => this.#life !== "open" || health.faulty,
      setAside: (lost) => this.#setAside(lost),
      move: (content) =>
        this.#committer.submitContent(content, (location) => [
          { kind: "moved", id: content.id, content: location },
        ]),
    });
    this.#committer = new Committer({
      files,
      index,
      metadata,
      contents,
      health,
      batchBytes: limits.batchBytes,
      patience: (action) => void clock.after(limits.patienceMs, action),
      beforeBatch: () => upkeep.checkpointIfDue(),
      afterBatch: () => upkeep.compactIfDue(),
      sealed: () => upkeep.tidy("leaving a full segment", () => contents.seal()),
      discard: (id, content, sizeBytes) => {
        this.#held.release(id);
        upkeep.start("deleting content", () => contents.release(id, content, sizeBytes));
      },
    });
    this.#aside = new AsideStore({ files, directory, now });
    this.#metadata = metadata;
    this.#contents = contents;
    this.#health = health;
    this.#envelopes = envelopes;
    this.#upkeep = upkeep;
  }

  get health(): SpoolHealth {
    return this.#health.current;
  }

  get setAside(): readonly SetAside[] {
    return this.#aside.all;
  }

  onHealth(listener: (health: SpoolHealth) => void): void {
    this.#health.onChange(listener);
  }

  async recover(): Promise<RecoveredSpool> {
    if (this.#life !== "new") throw new Error("Cannot recover the spool: it was recovered before.");
    const { files, directory, log, clock, createdAt } = this.#parts;
    await this.#aside.recover();
    const { tornBytes, damagedBytes, corrections, sweep } = await recoverSpool({
      ...{ files, directory, log },
      now: () => clock.now(),
      index: this.#index,
      metadata: this.#metadata,
      contents: this.#contents,
    });
    const recovered = {
      count: this.#index.count,
      waiting: this.#index.waiting(),
      usage: this.#index.usage(clock.now()).map(({ counter, taken }) => ({ counter, taken })),
      createdAt,
      ...{ tornBytes, damagedBytes },
    };
    this.#life = "open";
    try {
      await this.#metadata.startLog();
      if (corrections.length > 0) await this.#committer.submitRecords(corrections);
      await this.#upkeep.tidy("deleting what a former life left", sweep);
      await this.#askFreeSpace();
    } catch (error) {
      // What is queued can still be seen; a probe tries again.
      this.#health.failed("starting a log", error, { logIntact: false });
    }
    return recovered;
  }

  async begin(id: MessageId): Promise<ContentWriter> {
    this.#mustBeOpen();
    // The id becomes a file name.
    if (!isUlid(id)) throw new Error(`Cannot begin message ${JSON.stringify(id)}: the id is no ULID.`);
    if (this.#writers.has(id)) throw new Error(`Cannot begin message ${id}: it was begun before.`);
    this.#health.mustWrite();
    if (this.#parts.clock.now() - this.#freeAskedAt >= FREE_SPACE_AGE_MS) {
      await this.use(() => this.#askFreeSpace());
    }
    this.#health.mustAccept();
    this.#mustBeOpen();
    const writer = new SpoolWriter(id, this);
    this.#writers.set(id, writer);
    return writer;
  }

  async record(updates: readonly RecipientUpdate[]): Promise<void> {
    this.#mustBeOpen();
    // Whoever waits on waits for minutes: memory is for those who come after.
    for (const { id } of updates) this.#held.release(id);
    const records = updates.flatMap((update) => this.#index.recordOf(update) ?? []);
    await this.#submit(records, this.#parts.limits.patienceMs > 0 ? "patient" : "urgent");
  }

  async recordUsage(records: readonly UsageRecord[]): Promise<void> {
    this.#mustBeOpen();
    const at = this.#parts.clock.now();
    await this.#submit(records.map(({ counter, taken }) => ({ kind: "usage", counter, taken, at })));
  }

  atHand(id: MessageId): readonly Buffer[] | null {
    this.#mustBeOpen();
    return this.#held.get(id);
  }

  async load(ids: readonly MessageId[]): Promise<readonly (QueuedMessage | SpoolError | null)[]> {
    this.#mustBeOpen();
    const found = await this.#envelopes.load(ids);
    for (const [position, each] of found.entries()) {
      const id = ids[position];
      if (each instanceof SpoolError && id !== undefined)
        this.#upkeep.start("setting a damaged message aside", () => this.#leaveOut(id));
    }
    return found;
  }

  read(id: MessageId, range?: { readonly start: number; readonly end?: number }): Readable {
    this.#mustBeOpen();
    return readContent(id, () => this.#open(id), range);
  }

  async probe(): Promise<SpoolHealth> {
    this.#mustBeOpen();
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = undefined;
    });
    return this.#probing;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // What writers ask (WriterHost).

  isQueued(id: MessageId): boolean {
    return this.#index.has(id);
  }

  async use<T>(operation: () => Promise<T>): Promise<T> {
    this.#health.mustWrite();
    try {
      return await operation();
    } catch (error) {
      throw this.#health.failed("writing a message", error, { logIntact: true });
    }
  }

  createFile(id: MessageId): Promise<StoredFile> {
    return this.#contents.createMessageFile(id);
  }

  removeFile(id: MessageId): Promise<void> {
    const path = this.#contents.messagePath(id);
    return this.#upkeep.tidy("deleting an unfinished message", () => this.#parts.files.remove(path));
  }

  syncFolder(): Promise<void> {
    return this.#parts.files.syncFolder(this.#parts.directory);
  }

  async submit(message: QueuedMessage, content: Content | null): Promise<void> {
    if (message.recipients.length > MOST_RECIPIENTS || message.sizeBytes > MOST_BYTES) {
      throw new Error(
        `Cannot commit message ${message.id}: it has ${message.recipients.length} recipients and ${message.sizeBytes} bytes, ` +
          `the spool takes ${MOST_RECIPIENTS} and ${MOST_BYTES}.`,
      );
    }
    const records = (location: ContentLocation): MetadataRecord[] => [
      { kind: "message", message, content: location },
    ];
    if (content === null) return this.#committer.submitRecords(records(null));
    await this.#committer.submitContent(content, records, message.recipients.length);
    this.#held.hold(message.id, dataOf(content.blocks));
  }

  ended(writer: SpoolWriter): void {
    this.#writers.delete(writer.id);
  }

  async #submit(records: readonly MetadataRecord[], urgency?: "urgent" | "patient"): Promise<void> {
    this.#health.mustWrite();
    if (records.length > 0) await this.#committer.submitRecords(records, urgency);
  }

  /** Looks at a message that could not be read once more, and sets it aside when its envelope is gone. */
  async #leaveOut(id: MessageId): Promise<void> {
    const slot = this.#index.slotOf(id);
    if (slot === undefined || this.#life !== "open") return;
    const { lost } = await this.#envelopes.records([slot]);
    for (const each of lost) await this.#setAside(each);
  }

  /** What is left of a message is kept in a file of its own, durable before the message leaves the queue. */
  async #setAside({ id, place }: LostEnvelope): Promise<void> {
    const entry = this.#index.get(id);
    if (entry === undefined || this.#leaving.has(id)) return;
    this.#leaving.add(id);
    try {
      const { files, log } = this.#parts;
      const path = this.#metadata.pathOf(place.file);
      const reason = `its envelope, at byte ${place.offset} of ${basename(path)}, is damaged, and no other copy of it is left`;
      const { sizeBytes } = entry;
      const envelope = await readSome(files, path, place.offset);
      const open = await this.#open(id).catch(() => null);
      try {
        const content = open === null ? null : { file: open.file, offset: open.offset };
        await this.#aside.keep({ id, reason, sizeBytes, envelope, content });
      } finally {
        await open?.file.close();
      }
      await this.#committer.submitRecords([{ kind: "removed", id }]);
      log.error('a message is set aside, for nobody knows where it was to go: see "smtp-relay spool check"', {
        ...{ id, reason, sizeBytes },
      });
    } finally {
      this.#leaving.delete(id);
    }
  }

  /** An open file with the content; looked up again when compaction moved it in between. */
  async #open(id: MessageId): Promise<OpenContent> {
    for (let attempt = 0; ; attempt++) {
      const entry = this.#index.get(id);
      if (entry === undefined) throw new SpoolError(`Cannot read message ${id}: it is not in the spool.`);
      const { content, sizeBytes } = entry;
      const { path, offset } = this.#contents.placeOf(id, content);
      try {
        return { file: await this.#reading.open(path), offset, sizeBytes };
      } catch (error) {
        if (isMissing(error) && attempt < 3 && !same(this.#index.get(id)?.content, content)) continue;
        throw new SpoolError(`Cannot read message ${id}: ${reasonOf(error)}.`, { cause: error });
      }
    }
  }

  async #probe(): Promise<SpoolHealth> {
    try {
      if (this.#health.faulty) {
        // Batches are refused meanwhile, so nobody else touches the log.
        await this.#committer.idle();
        await this.#metadata.startLog();
        this.#health.setFault(null);
        this.#parts.log.info("the spool works again");
      }
      await this.#askFreeSpace();
    } catch (error) {
      this.#health.failed("trying the spool again", error, { logIntact: false });
    }
    return this.health;
  }

  async #askFreeSpace(): Promise<void> {
    const { files, directory, clock, limits } = this.#parts;
    this.#freeAskedAt = clock.now();
    const free = await files.freeBytes(directory);
    const inMib = (bytes: number) => `${Math.floor(bytes / 1_048_576)} MiB`;
    this.#health.setFull(
      free < limits.reserveBytes
        ? `the disk is nearly full: ${inMib(free)} are free, ${inMib(limits.reserveBytes)} are kept in reserve`
        : null,
    );
  }

  #mustBeOpen(): void {
    if (this.#life === "new") throw new Error("Cannot use the spool before recover().");
    if (this.#life === "closing") throw new SpoolError("Cannot use the spool: it is closed.");
  }

  async #close(): Promise<void> {
    const wasOpen = this.#life === "open";
    this.#life = "closing";
    // Commits under way are waited for, everything else that was begun is dropped.
    await Promise.all(Array.from(this.#writers.values(), (writer) => writer.abort()));
    await this.#committer.idle();
    await this.#upkeep.idle();
    if (wasOpen && !this.#health.faulty) {
      // An empty last batch: the next start finds nothing to doubt.
      await this.#upkeep.tidy("closing the log", () => this.#committer.submitRecords([]));
      await this.#upkeep.idle();
    }
    await this.#upkeep.tidy("closing the log", () => this.#metadata.close());
    await this.#upkeep.tidy("closing the segment", () => this.#contents.seal());
    await this.#parts.unlock();
  }
}

/** Bytes of a file, for a person; none when they cannot be had. */
async function readSome(files: Files, path: string, offset: number): Promise<Buffer> {
  try {
    const file = await files.open(path);
    try {
      return await file.read(KEPT_ENVELOPE_BYTES, offset);
    } finally {
      await file.close();
    }
  } catch {
    return Buffer.alloc(0);
  }
}

function same(a: ContentLocation | undefined, b: ContentLocation): boolean {
  return a?.segment === b?.segment && a?.offset === b?.offset;
}
