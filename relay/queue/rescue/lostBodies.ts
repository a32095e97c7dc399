/**
 * Content without an envelope, in a folder whose logs are damaged: of messages that were set aside, and whatever in
 * segments and files belongs to no message that is queued. Much of the latter was delivered and waits for its
 * segment to be deleted; what any log or journal tells to be final is left out, and of the rest nobody can
 * know, so it is never sent without a person's word.
 *
 * The journal of a segment has the envelopes of the messages that came with it, as they were accepted: where the log
 * lost one, it is found there again, with the changes that can still be read.
 */
import { join } from "node:path";

import type { MessageId, QueuedMessage } from "../../message.ts";
import { type Files, withFile } from "../files.ts";
import { asideId, readAside } from "../log/aside.ts";
import { BLOCK_BYTES, storedBytes } from "../log/contentBlocks.ts";
import { ownerOf, segmentOf } from "../log/contentFiles.ts";
import { readBlock } from "../log/contentReader.ts";
import { FRAME_BYTES, frameSays } from "../log/contentStore.ts";
import { sequenceOfLog } from "../log/logFiles.ts";
import { decodeMetadata, type RawMetadata, recordTypes } from "../log/metadata.ts";
import { FILE_HEADER_BYTES, readRecord, RECORD_HEADER_BYTES } from "../log/record.ts";
import { scanRecords } from "../log/scan.ts";
import { FRAME_TYPE, JOURNAL_TYPE, PADDING_TYPE, recordsIn } from "../log/segmentJournal.ts";
import type { RecipientUpdate } from "../spool.ts";

export interface LostBody {
  readonly id: MessageId;
  /** The file it was found in. */
  readonly file: string;
  readonly sizeBytes: number;
  /** The envelope as accepted, with what is known of its recipients since; null: it is gone. */
  readonly message: QueuedMessage | null;
  /** Bytes of what was the envelope, for a person; empty when there are none. */
  readonly remains: Buffer;
  /** What is known of how it came to this. */
  readonly fact: string;
  /** Blocks in order; an error in the place of one that is damaged. */
  content(): AsyncGenerator<Buffer | Error>;
}

interface Place {
  readonly file: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface LostSearch {
  readonly directory: string;
  readonly files: Files;
  readonly isQueued: (id: MessageId) => boolean;
  /** Whether logs are damaged: only then does content without an envelope mean anything. */
  readonly isDamaged: boolean;
  readonly progress: (text: string) => void;
}

export async function* lostBodies(search: LostSearch): AsyncGenerator<LostBody> {
  const { directory, files, isQueued, isDamaged } = search;
  const names = (await files.list(directory)).toSorted();
  const aside = new Set<MessageId>();
  for (const name of names) {
    const id = asideId(name);
    if (id === null) continue;
    aside.add(id);
    const found = await readAside(files, join(directory, name), id);
    const { at, reason, sizeBytes } = found.about;
    const fact = `set aside ${new Date(at).toISOString()}: ${reason}${found.isWhole ? "" : "; its file is damaged"}`;
    yield {
      ...{ id, sizeBytes, fact, file: name, message: null, remains: found.envelope },
      content: () => found.content(),
    };
  }
  if (!isDamaged) return;

  const known = new KnownOfLost(isQueued);
  for (const name of names) {
    const sequence = sequenceOfLog(name);
    if (sequence === null) continue;
    search.progress(`reading ${name} again`);
    await withFile(files, join(directory, name), async (file) => {
      const options = { seed: sequence, size: await file.size(), finished: true };
      await scanRecords(file, { ...options, onRecord: (type, payload) => known.hear({ type, payload }) });
    });
  }
  for (const name of names) {
    const segment = segmentOf(name);
    if (segment === null) continue;
    search.progress(`reading ${name}`);
    await withFile(files, join(directory, name), async (file) => {
      // A segment is left at some 32 MiB: it fits into memory, and damage in it can be stepped over.
      walkSegment(await file.read(await file.size(), 0), segment, {
        frame: (id, offset, sizeBytes) => known.found(id, { file: name, offset, sizeBytes }),
        journal: (records) => {
          for (const record of records) known.hear(record);
        },
      });
    });
  }
  for (const name of names) {
    const id = ownerOf(name);
    if (id === null) continue;
    const size = await withFile(files, join(directory, name), (file) => file.size());
    known.found(id, {
      file: name,
      offset: FILE_HEADER_BYTES,
      sizeBytes: contentIn(size - FILE_HEADER_BYTES),
    });
  }
  search.progress("");
  for (const [id, place] of known.places()) {
    if (aside.has(id)) continue;
    const message = known.envelopeOf(id);
    const own = segmentOf(place.file) === null;
    const fact =
      message !== null
        ? "its envelope was found in the journal of its segment, as it was accepted; it may have been sent since"
        : own
          ? "its envelope is lost; it may have been sent already, or never have been accepted"
          : "its envelope is lost; it may have been sent already";
    yield {
      ...{ id, message, fact, file: place.file, sizeBytes: place.sizeBytes, remains: Buffer.alloc(0) },
      content: () => blocksOf(files, join(directory, place.file), id, place),
    };
  }
}

/** What logs and journals tell of messages that are not queued, in any order. */
class KnownOfLost {
  readonly #isQueued: (id: MessageId) => boolean;
  readonly #final = new Set<MessageId>();
  readonly #accepted = new Map<MessageId, QueuedMessage>();
  readonly #updates = new Map<MessageId, RecipientUpdate[]>();
  readonly #places = new Map<MessageId, Place>();

  constructor(isQueued: (id: MessageId) => boolean) {
    this.#isQueued = isQueued;
  }

  hear(raw: RawMetadata): void {
    switch (raw.type) {
      case recordTypes.message:
      case recordTypes.messageJson:
      case recordTypes.update:
      case recordTypes.updateJson:
      case recordTypes.removed:
      case recordTypes.removedJson:
        break;
      default:
        return;
    }
    const record = decodeMetadata(raw);
    if (record?.kind === "removed") return this.#forget(record.id);
    const id = record?.kind === "message" ? record.message.id : record?.kind === "update" ? record.id : null;
    if (id === null || this.#isQueued(id) || this.#final.has(id)) return;
    if (record?.kind === "message") this.#accepted.set(id, record.message);
    else if (record?.kind === "update") {
      const { changes } = record;
      const updates = this.#updates.get(id);
      if (updates === undefined) this.#updates.set(id, [{ id, changes }]);
      else updates.push({ id, changes });
    }
  }

  found(id: MessageId, place: Place): void {
    // The last place counts: a message is found in the segments it was copied from as well.
    if (!this.#isQueued(id) && !this.#final.has(id)) this.#places.set(id, place);
  }

  places(): Iterable<[MessageId, Place]> {
    return this.#places;
  }

  envelopeOf(id: MessageId): QueuedMessage | null {
    const message = this.#accepted.get(id);
    if (message === undefined) return null;
    const recipients = [...message.recipients];
    for (const { changes } of this.#updates.get(id) ?? []) {
      for (const { index, recipient } of changes) {
        const before = recipients[index];
        if (before === undefined) continue;
        // Updates come in no order: whoever was final once stays so, and the most tries are the latest.
        const isLater = recipient.attempts >= before.attempts && before.state.kind === "waiting";
        if (isLater || recipient.state.kind !== "waiting") recipients[index] = { ...before, ...recipient };
      }
    }
    return { ...message, recipients };
  }

  #forget(id: MessageId): void {
    this.#final.add(id);
    this.#accepted.delete(id);
    this.#updates.delete(id);
    this.#places.delete(id);
  }
}

/** Every frame and journal of a segment that can be read; damage is stepped over. */
export function walkSegment(
  bytes: Buffer,
  segment: number,
  hears: {
    readonly frame: (id: MessageId, offset: number, sizeBytes: number) => void;
    readonly journal: (records: readonly RawMetadata[]) => void;
  },
): void {
  let position = FILE_HEADER_BYTES;
  while (position + RECORD_HEADER_BYTES <= bytes.length) {
    const type = bytes[position + 4];
    const isPossible = type === FRAME_TYPE || type === JOURNAL_TYPE || type === PADDING_TYPE;
    const read = isPossible ? readRecord(bytes, position, segment) : null;
    if (read?.kind !== "record") {
      position++;
      continue;
    }
    if (read.type === JOURNAL_TYPE) {
      hears.journal(recordsIn(read.payload, segment));
      position = read.end;
      continue;
    }
    if (read.type === PADDING_TYPE) {
      position = read.end;
      continue;
    }
    const said = frameSays(bytes.subarray(position, position + FRAME_BYTES), segment);
    if (said === null) {
      position++;
      continue;
    }
    hears.frame(said.id, read.end, said.sizeBytes);
    // Not beyond the end: the next record is looked for behind the frame when the content is cut.
    const end = read.end + storedBytes(said.sizeBytes);
    position = end <= bytes.length ? end : read.end;
  }
}

async function* blocksOf(
  files: Files,
  path: string,
  id: MessageId,
  { offset, sizeBytes }: Place,
): AsyncGenerator<Buffer | Error> {
  const file = await files.open(path);
  try {
    for (let number = 0; number * BLOCK_BYTES < sizeBytes; number++) {
      try {
        yield await readBlock(id, { file, offset, sizeBytes }, number);
      } catch (error) {
        yield error instanceof Error ? error : new Error(String(error));
      }
    }
  } finally {
    await file.close();
  }
}

/** Bytes of content in so many on the disk (contentBlocks.ts). */
function contentIn(stored: number): number {
  const blocks = Math.ceil(Math.max(0, stored) / storedBytes(BLOCK_BYTES));
  return Math.max(0, stored - (storedBytes(BLOCK_BYTES) - BLOCK_BYTES) * blocks);
}
