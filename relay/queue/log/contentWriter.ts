/**
 * One message on its way in. Small content waits in memory and is written with its batch; larger content
 * (or any, while too much waits already) goes to a file of its own as it streams, so that memory is bounded
 * per message and over all messages. A file of its own is synced before the batch: a slow flush of 25 MiB
 * holds nobody else up.
 */
import type { MessageId, QueuedMessage } from "../../message.ts";
import { ignoreFailure, type StoredFile } from "../files.ts";
import type { ContentWriter } from "../spool.ts";
import { checkCommit } from "./checkCommit.ts";
import { BlockBuilder } from "./contentBlocks.ts";
import type { Content } from "./contentStore.ts";
import { FILE_HEADER_BYTES } from "./record.ts";

/** Memory that waiting content takes, over all messages. */
export interface MemoryBudget {
  usedBytes: number;
  readonly limitBytes: number;
}

/** What a writer asks of the spool. Failures of `use` are translated and reported by it. */
export interface WriterHost {
  readonly inlineBytes: number;
  readonly budget: MemoryBudget;
  isQueued(id: MessageId): boolean;
  /** Runs a file operation; rejects with SpoolError, also when the store is known to fail. */
  use<T>(operation: () => Promise<T>): Promise<T>;
  createFile(id: MessageId): Promise<StoredFile>;
  removeFile(id: MessageId): Promise<void>;
  syncFolder(): Promise<void>;
  /** Makes the message durable; `content` null when it lies in its own, synced file. */
  submit(message: QueuedMessage, content: Content | null): Promise<void>;
  /** The writer holds nothing any more. */
  ended(writer: SpoolWriter): void;
}

export class SpoolWriter implements ContentWriter {
  readonly id: MessageId;
  readonly #host: WriterHost;
  readonly #builder: BlockBuilder;
  /** Complete blocks in memory; none once there is a file. */
  #blocks: Buffer[] = [];
  #budgeted = 0;
  #file: StoredFile | undefined;
  #position = FILE_HEADER_BYTES;
  #ended = false;
  /** What a write failed with: bytes are missing since, so nothing may follow. */
  #failure: Error | undefined;
  /** Operations on the file run one after the other, also for a caller that does not wait. */
  #last: Promise<void> = Promise.resolve();

  constructor(id: MessageId, host: WriterHost) {
    this.id = id;
    this.#host = host;
    this.#builder = new BlockBuilder(id);
  }

  write(...chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#ended) return Promise.reject(new Error(`Cannot write message ${this.id}: it has ended.`));
    // At once, before anything is awaited: afterwards the chunks are their owner's again.
    this.#blocks.push(...this.#builder.push(...chunks));
    return this.#inOrder(() => this.#settle());
  }

  async commit(message: QueuedMessage): Promise<void> {
    checkCommit(message, {
      id: this.id,
      bytes: this.#builder.bytes,
      ended: this.#ended,
      known: this.#host.isQueued(this.id),
    });
    this.#ended = true;
    try {
      await this.#inOrder(() => this.#host.use(() => this.#commit(message)));
    } catch (error) {
      await this.#drop();
      throw error;
    } finally {
      this.#release();
    }
  }

  /** After a commit: waits for it. */
  async abort(): Promise<void> {
    if (this.#ended) return this.#last;
    this.#ended = true;
    await this.#last;
    await this.#drop();
    this.#release();
  }

  async #commit(message: QueuedMessage): Promise<void> {
    this.#blocks.push(...this.#builder.end());
    if (this.#file === undefined) {
      const content = { id: this.id, sizeBytes: message.sizeBytes, blocks: this.#blocks };
      return this.#host.submit(message, content);
    }
    await this.#flush(this.#file);
    await this.#file.datasync();
    await this.#file.close();
    await this.#host.syncFolder();
    return this.#host.submit(message, null);
  }

  /** Keeps small content in memory within the budget, and moves on to a file otherwise. */
  async #settle(): Promise<void> {
    const { budget, inlineBytes } = this.#host;
    if (this.#file === undefined) {
      budget.usedBytes += this.#builder.bytes - this.#budgeted;
      this.#budgeted = this.#builder.bytes;
      const isOver = budget.usedBytes > budget.limitBytes && this.#blocks.length > 0;
      if (this.#builder.bytes <= inlineBytes && !isOver) return;
    }
    await this.#host.use(async () => {
      this.#file ??= await this.#host.createFile(this.id);
      await this.#flush(this.#file);
    });
    // What stays in memory is less than a block.
    budget.usedBytes -= this.#budgeted;
    this.#budgeted = 0;
  }

  async #flush(file: StoredFile): Promise<void> {
    const blocks = this.#blocks;
    if (blocks.length === 0) return;
    this.#blocks = [];
    await file.write(blocks, this.#position);
    for (const block of blocks) this.#position += block.length;
  }

  /** Never rejects: what cannot be deleted now is swept at the next start. */
  async #drop(): Promise<void> {
    if (this.#file === undefined) return;
    await ignoreFailure(this.#file.close());
    await this.#host.removeFile(this.id);
  }

  #release(): void {
    this.#host.budget.usedBytes -= this.#budgeted;
    this.#budgeted = 0;
    this.#blocks = [];
    this.#host.ended(this);
  }

  #inOrder(operation: () => Promise<void>): Promise<void> {
    const result = this.#last.then(() => {
      if (this.#failure !== undefined) throw this.#failure;
      return operation();
    });
    this.#last = result.catch((error: Error) => {
      this.#failure = error;
    });
    return result;
  }
}
