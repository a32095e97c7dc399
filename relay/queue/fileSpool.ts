/**
 * The durable spool: content in append-only segments, envelopes and states in a metadata log, one write and
 * one sync of each for all that arrived meanwhile. This file ties the parts of log/ together; the format is
 * told in log/record.ts and log/contentBlocks.ts, the choice in docs/decisions/0002-spool.md.
 *
 *   write  → memory, or a file of its own when large        (log/openWriters.ts, log/contentWriter.ts)
 *   commit → group commit → segment, content and records in one write and one sync → 250
 *   record → rides with the next commit, else metadata log
 *   start  → checkpoint + logs + journals → index; content of the last batch is checked  (log/recovery.ts)
 *   load   → the envelope, read where it lies in log or checkpoint            (log/envelopes.ts)
 *   lost   → set aside, in a file of its own                 (log/settingAside.ts)
 *
 * After a failed write or sync both files are left for good, every caller of the batch hears SpoolError,
 * and nothing is written until `probe` has begun a new log. What such a batch wrote does not come back:
 * the next log's header tells where the old one ends.
 */
import type { Readable } from "node:stream";

import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Instant, MessageId, QueuedMessage } from "../message.ts";
import { type Files, nodeFiles } from "./files.ts";
import { AsideStore } from "./log/aside.ts";
import { Committer } from "./log/committer.ts";
import { ContentOpener } from "./log/contentOpener.ts";
import { readContent } from "./log/contentReader.ts";
import { ContentStore } from "./log/contentStore.ts";
import { Envelopes } from "./log/envelopes.ts";
import { openFolder } from "./log/folder.ts";
import { FreeSpace } from "./log/freeSpace.ts";
import { StoreHealth } from "./log/health.ts";
import { HeldContents } from "./log/heldContents.ts";
import { defaultLimits, type SpoolLimits } from "./log/limits.ts";
import { MessageColumns } from "./log/messageColumns.ts";
import type { MetadataRecord } from "./log/metadata.ts";
import { MetadataLog } from "./log/metadataLog.ts";
import { OpenWriters } from "./log/openWriters.ts";
import { recoverSpool } from "./log/recovery.ts";
import { copiesIn } from "./log/segmentCopies.ts";
import { SettingAside } from "./log/settingAside.ts";
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

class FileSpool implements Spool {
  readonly #parts: FileSpoolParts;
  readonly #index = new MessageColumns();
  readonly #envelopes: Envelopes;
  readonly #metadata: MetadataLog;
  readonly #contents: ContentStore;
  readonly #health: StoreHealth;
  readonly #space: FreeSpace;
  readonly #committer: Committer;
  readonly #upkeep: Upkeep;
  readonly #held: HeldContents;
  readonly #writers: OpenWriters;
  readonly #opener: ContentOpener;
  readonly #aside: AsideStore;
  readonly #settingAside: SettingAside;
  #life: "new" | "open" | "closing" = "new";
  #closing: Promise<void> | undefined;
  #probing: Promise<SpoolHealth> | undefined;

  constructor(parts: FileSpoolParts) {
    this.#parts = parts;
    const { files, directory, limits, log, clock } = parts;
    const now = () => clock.now();
    const index = this.#index;
    const reading = new SharedFiles(files);
    const held = new HeldContents(limits.heldBytes, now);
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
    const space = new FreeSpace({ files, directory, now, health, reserveBytes: limits.reserveBytes });
    const envelopes = new Envelopes(index, {
      open: (file) => reading.open(metadata.pathOf(file)),
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
      setAside: (lost) => this.#settingAside.setAside(lost),
      move: (content) =>
        this.#committer.submitContent(content, (location) => [
          { kind: "moved", id: content.id, content: location },
        ]),
    });
    const committer = new Committer({
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
        held.release(id);
        upkeep.start("deleting content", () => contents.release(id, content, sizeBytes));
      },
    });
    this.#opener = new ContentOpener({ index, contents, reading });
    this.#aside = new AsideStore({ files, directory, now });
    this.#settingAside = new SettingAside({
      ...{ files, log, index, envelopes, metadata, opener: this.#opener, aside: this.#aside },
      submit: (records) => committer.submitRecords(records),
    });
    this.#writers = new OpenWriters({
      ...{ files, directory, index, contents, committer, upkeep, held, health, space },
      inlineBytes: limits.inlineBytes,
      bufferedBytes: limits.bufferedBytes,
      mustBeOpen: () => this.#mustBeOpen(),
    });
    this.#metadata = metadata;
    this.#contents = contents;
    this.#health = health;
    this.#space = space;
    this.#envelopes = envelopes;
    this.#upkeep = upkeep;
    this.#committer = committer;
    this.#held = held;
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
      await this.#space.ask();
    } catch (error) {
      // What is queued can still be seen; a probe tries again.
      this.#health.failed("starting a log", error, { logIntact: false });
    }
    return recovered;
  }

  begin(id: MessageId): Promise<ContentWriter> {
    return this.#writers.begin(id);
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
        this.#upkeep.start("setting a damaged message aside", () => this.#lookAgain(id));
    }
    return found;
  }

  read(id: MessageId, range?: { readonly start: number; readonly end?: number }): Readable {
    this.#mustBeOpen();
    return readContent(id, () => this.#opener.open(id), range);
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

  async #submit(records: readonly MetadataRecord[], urgency?: "urgent" | "patient"): Promise<void> {
    this.#health.mustWrite();
    if (records.length > 0) await this.#committer.submitRecords(records, urgency);
  }

  async #lookAgain(id: MessageId): Promise<void> {
    if (this.#life === "open") await this.#settingAside.lookAgain(id);
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
      await this.#space.ask();
    } catch (error) {
      this.#health.failed("trying the spool again", error, { logIntact: false });
    }
    return this.health;
  }

  #mustBeOpen(): void {
    if (this.#life === "new") throw new Error("Cannot use the spool before recover().");
    if (this.#life === "closing") throw new SpoolError("Cannot use the spool: it is closed.");
  }

  async #close(): Promise<void> {
    const wasOpen = this.#life === "open";
    this.#life = "closing";
    await this.#writers.abortAll();
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
