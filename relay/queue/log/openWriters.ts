/**
 * The messages that are being written: who may begin one, and what their writers (contentWriter.ts) ask of the
 * spool on the way to the commit.
 */
import { isUlid } from "../../kit/ulid.ts";
import type { MessageId, QueuedMessage } from "../../message.ts";
import type { Files, StoredFile } from "../files.ts";
import type { ContentWriter } from "../spool.ts";
import type { Committer } from "./committer.ts";
import { dataOf } from "./contentBlocks.ts";
import type { Content, ContentStore } from "./contentStore.ts";
import { type MemoryBudget, SpoolWriter, type WriterHost } from "./contentWriter.ts";
import type { FreeSpace } from "./freeSpace.ts";
import type { StoreHealth } from "./health.ts";
import type { HeldContents } from "./heldContents.ts";
import { type MessageColumns, MOST_BYTES } from "./messageColumns.ts";
import type { ContentLocation, MetadataRecord } from "./metadata.ts";
import { MOST_RECIPIENTS } from "./recipientColumns.ts";
import type { Upkeep } from "./upkeep.ts";

export interface OpenWritersParts {
  readonly files: Files;
  readonly directory: string;
  readonly inlineBytes: number;
  readonly bufferedBytes: number;
  readonly index: MessageColumns;
  readonly contents: ContentStore;
  readonly committer: Committer;
  readonly upkeep: Upkeep;
  readonly held: HeldContents;
  readonly health: StoreHealth;
  readonly space: FreeSpace;
  /** Throws when the spool is closed. */
  readonly mustBeOpen: () => void;
}

export class OpenWriters implements WriterHost {
  readonly inlineBytes: number;
  readonly budget: MemoryBudget;
  readonly #parts: OpenWritersParts;
  readonly #writers = new Map<MessageId, SpoolWriter>();

  constructor(parts: OpenWritersParts) {
    this.#parts = parts;
    this.inlineBytes = parts.inlineBytes;
    this.budget = { usedBytes: 0, limitBytes: parts.bufferedBytes };
  }

  async begin(id: MessageId): Promise<ContentWriter> {
    const { health, space, mustBeOpen } = this.#parts;
    mustBeOpen();
    // The id becomes a file name.
    if (!isUlid(id)) throw new Error(`Cannot begin message ${JSON.stringify(id)}: the id is no ULID.`);
    if (this.#writers.has(id)) throw new Error(`Cannot begin message ${id}: it was begun before.`);
    health.mustWrite();
    if (space.isOld) await this.use(() => space.ask());
    health.mustAccept();
    mustBeOpen();
    const writer = new SpoolWriter(id, this);
    this.#writers.set(id, writer);
    return writer;
  }

  /** Commits under way are waited for, everything else that was begun is dropped. */
  async abortAll(): Promise<void> {
    await Promise.all(Array.from(this.#writers.values(), (writer) => writer.abort()));
  }

  isQueued(id: MessageId): boolean {
    return this.#parts.index.has(id);
  }

  async use<T>(operation: () => Promise<T>): Promise<T> {
    const { health } = this.#parts;
    health.mustWrite();
    try {
      return await operation();
    } catch (error) {
      throw health.failed("writing a message", error, { logIntact: true });
    }
  }

  createFile(id: MessageId): Promise<StoredFile> {
    return this.#parts.contents.createMessageFile(id);
  }

  removeFile(id: MessageId): Promise<void> {
    const { contents, upkeep, files } = this.#parts;
    const path = contents.messagePath(id);
    return upkeep.tidy("deleting an unfinished message", () => files.remove(path));
  }

  syncFolder(): Promise<void> {
    return this.#parts.files.syncFolder(this.#parts.directory);
  }

  async submit(message: QueuedMessage, content: Content | null): Promise<void> {
    const { committer, held } = this.#parts;
    if (message.recipients.length > MOST_RECIPIENTS || message.sizeBytes > MOST_BYTES) {
      throw new Error(
        `Cannot commit message ${message.id}: it has ${message.recipients.length} recipients and ${message.sizeBytes} bytes, ` +
          `the spool takes ${MOST_RECIPIENTS} and ${MOST_BYTES}.`,
      );
    }
    const records = (location: ContentLocation): MetadataRecord[] => [
      { kind: "message", message, content: location },
    ];
    if (content === null) return committer.submitRecords(records(null));
    await committer.submitContent(content, records, message.recipients.length);
    held.hold(message.id, dataOf(content.blocks));
  }

  ended(writer: SpoolWriter): void {
    this.#writers.delete(writer.id);
  }
}
