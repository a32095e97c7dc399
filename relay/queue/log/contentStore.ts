/**
 * Where content lies: shared segments for small messages, appended to batch by batch, and a file of its own
 * for a large one. Keeps the books of what is still needed: a segment nobody needs is deleted whole, and
 * one that holds mostly dead bytes is named for compaction.
 *
 *   content-0000000003.seg   header, then for each message a frame record and its blocks, and behind each
 *                            batch its journal and, where it pays, padding (segmentJournal.ts)
 *   01J….msg                 header, then the blocks of that message
 *
 * A segment is never appended to after a failure or in a later life of the process (files.ts says why).
 */
import { basename, join } from "node:path";

import type { MessageId } from "../../message.ts";
import { codeOf, type Files, ignoreFailure, type StoredFile } from "../files.ts";
import { aroundBadPlaces } from "./badPlaces.ts";
import { storedBytes } from "./contentBlocks.ts";
import { ownerOf, ownFileName, segmentName, segmentOf } from "./contentFiles.ts";
import type { ContentLocation, RawMetadata } from "./metadata.ts";
import {
  encodeFileHeader,
  encodeRecord,
  FILE_HEADER_BYTES,
  readRecord,
  RECORD_HEADER_BYTES,
} from "./record.ts";
import {
  encodeJournal,
  encodePadding,
  FRAME_TYPE,
  type JournalPlace,
  readJournals,
} from "./segmentJournal.ts";

/** The frame in front of a message's blocks: its id and size, so that a segment can be read without a log. */
const FRAME_PAYLOAD_BYTES = 26 + 6;
const NO_PREVIOUS = { sequence: 0, bytes: 0 };
export const FRAME_BYTES = RECORD_HEADER_BYTES + FRAME_PAYLOAD_BYTES;

export interface Content {
  readonly id: MessageId;
  readonly sizeBytes: number;
  readonly blocks: readonly Buffer[];
}

export interface SegmentUse {
  readonly sequence: number;
  /** Bytes of the file, and those of messages that are still queued. */
  bytes: number;
  liveBytes: number;
  messages: number;
  /** A block of it could not be read: it is kept as it is. */
  damaged: boolean;
}

export class ContentStore {
  readonly #files: Files;
  readonly #directory: string;
  readonly #segmentBytes: number;
  /** Whether a segment's journal has what is in no log yet. */
  readonly #isNeededByLog: (sequence: number) => boolean;
  readonly #segments = new Map<number, SegmentUse>();
  /** Without messages, and kept for their journals. */
  readonly #kept = new Set<SegmentUse>();
  #active: { file: StoredFile; use: SegmentUse; named: boolean } | undefined;
  #lastSequence = 0;
  /** Segments up to this may hold content of messages that are lost: none of them is deleted. */
  #pinnedThrough = 0;

  constructor(options: {
    files: Files;
    directory: string;
    segmentBytes: number;
    isNeededByLog?: (sequence: number) => boolean;
  }) {
    this.#files = options.files;
    this.#directory = options.directory;
    this.#segmentBytes = options.segmentBytes;
    this.#isNeededByLog = options.isNeededByLog ?? (() => false);
  }

  /** Finds the segments of former lives; `hold` then says what of them is needed. */
  async recover(): Promise<void> {
    for (const name of await this.#files.list(this.#directory)) {
      const sequence = segmentOf(name);
      if (sequence === null) continue;
      const file = await this.#files.open(join(this.#directory, name));
      const bytes = await file.size();
      await file.close();
      this.#segments.set(sequence, { sequence, bytes, liveBytes: 0, messages: 0, damaged: false });
      this.#lastSequence = Math.max(this.#lastSequence, sequence);
    }
  }

  /** Reads the journals from this place on, in order. Segments with damage in between are told by name. */
  async readJournals(
    from: JournalPlace,
    onBatch: (records: readonly RawMetadata[], segment: number) => void,
  ): Promise<{
    readonly tornBytes: number;
    readonly damagedBytes: number;
    readonly damagedFiles: readonly string[];
  }> {
    let tornBytes = 0;
    let damagedBytes = 0;
    const damagedFiles: string[] = [];
    const sequences = [...this.#segments.keys()].filter((sequence) => sequence >= from.segment);
    for (const sequence of sequences.toSorted((a, b) => a - b)) {
      const file = aroundBadPlaces(await this.#files.open(this.#segmentPath(sequence)));
      try {
        const start = sequence === from.segment ? from.offset : 0;
        const found = await readJournals(file, sequence, start, (records) => onBatch(records, sequence));
        tornBytes += Math.max(0, (await file.size()) - found.end);
        const damaged = Math.max(found.damagedBytes, file.badBytes);
        damagedBytes += damaged;
        if (damaged > 0) damagedFiles.push(basename(this.#segmentPath(sequence)));
      } finally {
        await file.close();
      }
    }
    return { tornBytes, damagedBytes, damagedFiles };
  }

  /** Where the next batch will lie. */
  get nextPlace(): JournalPlace {
    return this.#active === undefined
      ? { segment: this.#lastSequence + 1, offset: 0 }
      : { segment: this.#active.use.sequence, offset: this.#active.use.bytes };
  }

  /** The log has caught up with the journals. */
  async logCaughtUp(): Promise<void> {
    for (const use of this.#kept) {
      this.#kept.delete(use);
      await this.#dropIfEmpty(use);
    }
  }

  /** From now on nothing that is there now, and no segment up to `through`, is deleted. */
  pin(through: number): void {
    this.#pinnedThrough = through;
  }

  get lastSegment(): number {
    return this.#lastSequence;
  }

  /** Deletes segments and message files nobody needs, left by a kill between a record and its deletion. */
  async sweep(isQueuedInOwnFile: (id: MessageId) => boolean): Promise<void> {
    for (const use of this.#segments.values()) await this.#dropIfEmpty(use);
    for (const name of await this.#files.list(this.#directory)) {
      const id = ownerOf(name);
      if (id !== null && !isQueuedInOwnFile(id)) {
        await this.#files.remove(join(this.#directory, name));
      }
    }
  }

  /** A message at this place is queued. False when there is no such place. */
  hold(content: ContentLocation, sizeBytes: number): boolean {
    if (content === null) return true;
    const use = this.#segments.get(content.segment);
    if (use === undefined) return false;
    use.messages++;
    use.liveBytes += FRAME_BYTES + storedBytes(sizeBytes);
    return content.offset + storedBytes(sizeBytes) <= use.bytes;
  }

  /** The message at this place is gone, or lies elsewhere now. Its bytes are deleted with the last of its segment. */
  async release(id: MessageId, content: ContentLocation, sizeBytes: number): Promise<void> {
    if (content === null) return this.#files.remove(this.messagePath(id));
    const use = this.#segments.get(content.segment);
    if (use === undefined) return;
    use.messages--;
    use.liveBytes -= FRAME_BYTES + storedBytes(sizeBytes);
    await this.#dropIfEmpty(use);
  }

  /**
   * Gives each content of a batch its place, in the active segment, which is begun if there is none.
   * `append` writes them there next.
   */
  async place(contents: readonly Content[]): Promise<readonly ContentLocation[]> {
    if (contents.length === 0) return [];
    this.#active ??= await this.#create();
    const { use } = this.#active;
    let offset = use.bytes;
    return contents.map(({ sizeBytes }) => {
      const location = { segment: use.sequence, offset: offset + FRAME_BYTES };
      offset = location.offset + storedBytes(sizeBytes);
      return location;
    });
  }

  /** Writes and syncs what `place` gave places to, and the records of its batch. */
  async append(contents: readonly Content[], records: readonly RawMetadata[]): Promise<{ accept(): void }> {
    const active = this.#active;
    if (active === undefined) throw new Error("Cannot append content that was given no place.");
    const { file, use } = active;
    const buffers: Buffer[] = [];
    for (const content of contents) buffers.push(...frameOf(content, use.sequence), ...content.blocks);
    buffers.push(...encodeJournal(records, use.sequence));
    const bytes = totalBytes(buffers);
    buffers.push(...encodePadding(use.bytes + bytes, bytes, use.sequence));
    await file.write(buffers, use.bytes);
    await file.datasync();
    if (!active.named) await this.#files.syncFolder(this.#directory);
    active.named = true;
    return {
      accept: () => {
        use.bytes += totalBytes(buffers);
      },
    };
  }

  /** Whether the active segment is to be sealed. */
  get isFull(): boolean {
    return this.#active !== undefined && this.#active.use.bytes >= this.#segmentBytes;
  }

  /** Leaves the active segment for good: it is full, or the process ends. */
  async seal(): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    if (active === undefined) return;
    await active.file.close();
    await this.#dropIfEmpty(active.use);
  }

  /** Leaves it after a failed batch, whose bytes are given back if the disk lets us. */
  async abandon(): Promise<void> {
    await ignoreFailure(this.#active?.file.truncate(this.#active.use.bytes));
    await ignoreFailure(this.seal());
  }

  /** A new file of a large message, with its header. Leaves nothing behind when it rejects. */
  async createMessageFile(id: MessageId): Promise<StoredFile> {
    const path = this.messagePath(id);
    const file = await this.#files.create(path);
    try {
      await file.write([encodeFileHeader({ kind: "message", sequence: 0, previous: NO_PREVIOUS })], 0);
      return file;
    } catch (error) {
      await ignoreFailure(file.close());
      await ignoreFailure(this.#files.remove(path));
      throw error;
    }
  }

  /** The file and offset of the first block. */
  placeOf(id: MessageId, content: ContentLocation): { readonly path: string; readonly offset: number } {
    return content === null
      ? { path: this.messagePath(id), offset: FILE_HEADER_BYTES }
      : { path: this.#segmentPath(content.segment), offset: content.offset };
  }

  messagePath(id: MessageId): string {
    return join(this.#directory, ownFileName(id));
  }

  /** The sealed segment with the least to copy, when dead bytes outweigh live ones by more than `slackBytes`. */
  compactionVictim(slackBytes: number): SegmentUse | null {
    let dead = 0;
    let live = 0;
    let victim: SegmentUse | null = null;
    for (const use of this.#segments.values()) {
      // One without messages has nothing to copy: it goes by itself once its last removal is durable.
      if (use === this.#active?.use || use.damaged || use.messages === 0 || this.#isPinned(use)) continue;
      dead += use.bytes - use.liveBytes;
      live += use.liveBytes;
      if (victim === null || use.liveBytes / use.bytes < victim.liveBytes / victim.bytes) victim = use;
    }
    return dead > live + slackBytes ? victim : null;
  }

  async #create(): Promise<{ file: StoredFile; use: SegmentUse; named: boolean }> {
    const sequence = ++this.#lastSequence;
    const file = await this.#files.create(this.#segmentPath(sequence));
    const use = { sequence, bytes: FILE_HEADER_BYTES, liveBytes: 0, messages: 0, damaged: false };
    this.#segments.set(sequence, use);
    // Named at once, so that a failure below seals and deletes it as any other.
    this.#active = { file, use, named: false };
    await file.write([encodeFileHeader({ kind: "segment", sequence, previous: NO_PREVIOUS })], 0);
    return this.#active;
  }

  #isPinned({ sequence }: SegmentUse): boolean {
    return sequence <= this.#pinnedThrough;
  }

  async #dropIfEmpty(use: SegmentUse): Promise<void> {
    if (use.messages > 0 || use === this.#active?.use || !this.#segments.has(use.sequence)) return;
    if (this.#isPinned(use)) return;
    if (this.#isNeededByLog(use.sequence)) return void this.#kept.add(use);
    this.#segments.delete(use.sequence);
    await this.#files.remove(this.#segmentPath(use.sequence));
  }

  #segmentPath(sequence: number): string {
    return join(this.#directory, segmentName(sequence));
  }
}

function totalBytes(buffers: readonly Buffer[]): number {
  let bytes = 0;
  for (const buffer of buffers) bytes += buffer.length;
  return bytes;
}

/** Whether a file was missing: deleted since somebody looked its name up. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}

/** What a frame says, or null when it is damaged. */
export function frameSays(
  bytes: Buffer,
  segment: number,
): { readonly id: MessageId; readonly sizeBytes: number } | null {
  const read = readRecord(bytes, 0, segment);
  if (read.kind !== "record" || read.payload.length !== FRAME_PAYLOAD_BYTES) return null;
  return { id: read.payload.toString("latin1", 0, 26), sizeBytes: read.payload.readUIntBE(26, 6) };
}

function frameOf(content: Content, seed: number): Buffer[] {
  const payload = Buffer.alloc(FRAME_PAYLOAD_BYTES);
  payload.write(content.id, "latin1");
  payload.writeUIntBE(content.sizeBytes, 26, 6);
  return encodeRecord(FRAME_TYPE, payload, seed);
}
