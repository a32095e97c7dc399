/**
 * Messages that are set aside: the envelope cannot be read any more, neither in the logs nor in the journal of its
 * segment, so that nobody knows where it was to go. What is left is kept in a file of its own, so that checkpoints
 * and compaction go on without it, until a person has looked (docs/runbooks/broken-disk.md).
 *
 *   01J….aside = header facts bytes-of-the-envelope block* end      each a record (record.ts) but the header
 *
 * Blocks are kept as they lie in the spool, with their own checksums: what of the content is damaged shows when it
 * is exported. Releases that do not know the file leave it alone.
 */
import { join } from "node:path";

import { isUlid } from "../../kit/ulid.ts";
import type { Instant, MessageId } from "../../message.ts";
import { type Files, ignoreFailure, type StoredFile } from "../files.ts";
import type { SetAside } from "../spool.ts";
import { BLOCK_BYTES, blockPlace, openBlock } from "./contentBlocks.ts";
import { damagedBlock } from "./contentReader.ts";
import {
  decodeFileHeader,
  encodeFileHeader,
  encodeRecord,
  FILE_HEADER_BYTES,
  RECORD_HEADER_BYTES,
} from "./record.ts";
import { scanRecords } from "./scan.ts";

/** Types of records in such a file. */
const types = { facts: 1, envelope: 2, block: 3, end: 4 } as const;
const SUFFIX = ".aside";
/** Bytes of a damaged envelope that are kept for a person with `strings`: its length may be the damage. */
export const KEPT_ENVELOPE_BYTES = 4096;

/** What is left of a message. */
export interface Remains {
  readonly id: MessageId;
  readonly reason: string;
  readonly sizeBytes: number;
  /** The bytes where its envelope was. */
  readonly envelope: Buffer;
  /** Where its content is; null when that is gone as well. */
  readonly content: { readonly file: Pick<StoredFile, "read">; readonly offset: number } | null;
}

export class AsideStore {
  readonly #files: Files;
  readonly #directory: string;
  readonly #now: () => Instant;
  readonly #kept = new Map<MessageId, SetAside>();

  constructor(options: { files: Files; directory: string; now: () => Instant }) {
    this.#files = options.files;
    this.#directory = options.directory;
    this.#now = options.now;
  }

  get all(): readonly SetAside[] {
    return [...this.#kept.values()];
  }

  async recover(): Promise<void> {
    for (const name of await this.#files.list(this.#directory)) {
      const id = asideId(name);
      if (id === null) continue;
      const { about } = await readAside(this.#files, join(this.#directory, name), id);
      this.#kept.set(id, about);
    }
  }

  /** Resolves when the file is on stable storage, name included. */
  async keep({ id, reason, sizeBytes, envelope, content }: Remains): Promise<void> {
    const path = join(this.#directory, `${id}${SUFFIX}`);
    const temporary = `${path}.tmp`;
    const about: SetAside = { id, reason, sizeBytes, at: this.#now() };
    await this.#files.remove(temporary);
    const file = await this.#files.create(temporary);
    try {
      let position = 0;
      const put = async (buffers: readonly Buffer[]) => {
        await file.write(buffers, position);
        for (const { length } of buffers) position += length;
      };
      await put([encodeFileHeader({ kind: "aside", sequence: 0, previous: { sequence: 0, bytes: 0 } })]);
      await put(encodeRecord(types.facts, Buffer.from(JSON.stringify(about)), 0));
      await put(encodeRecord(types.envelope, envelope, 0));
      let blocks = 0;
      if (content !== null) {
        for (; blocks * BLOCK_BYTES < sizeBytes; blocks++) {
          const place = blockPlace(blocks, sizeBytes);
          const block = await content.file.read(place.bytes, content.offset + place.offset);
          await put(encodeRecord(types.block, block, 0));
        }
      }
      await put(encodeRecord(types.end, Buffer.from(JSON.stringify({ blocks })), 0));
      await file.datasync();
      await file.close();
    } catch (error) {
      await ignoreFailure(file.close());
      await ignoreFailure(this.#files.remove(temporary));
      throw error;
    }
    await this.#files.rename(temporary, path);
    await this.#files.syncFolder(this.#directory);
    this.#kept.set(id, about);
  }
}

/** The id in the name of such a file, or null when it is another's. */
export function asideId(name: string): MessageId | null {
  const id = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : "";
  return isUlid(id) ? id : null;
}

export interface AsideFile {
  readonly about: SetAside;
  readonly envelope: Buffer;
  /** Whether the file is as it was written; its blocks are judged one by one. */
  readonly isWhole: boolean;
  /** The blocks of the content in order; an error in the place of one that is damaged. */
  content(): AsyncGenerator<Buffer | Error>;
}

/** Reads all but the content. Never rejects for what the file holds. */
export async function readAside(files: Pick<Files, "open">, path: string, id: MessageId): Promise<AsideFile> {
  let about: SetAside = { id, at: 0, reason: "the file that tells why is damaged", sizeBytes: 0 };
  let envelope = Buffer.alloc(0);
  let ended = false;
  const blocks: { readonly offset: number; readonly bytes: number }[] = [];
  const file = await files.open(path);
  let damaged = false;
  try {
    const size = await file.size();
    const header = decodeFileHeader(await file.read(FILE_HEADER_BYTES, 0));
    const scan = await scanRecords(file, {
      ...{ seed: 0, size, finished: true },
      onRecord: (type, payload, offset) => {
        if (type === types.facts) about = JSON.parse(payload.toString()) as SetAside;
        else if (type === types.envelope) envelope = Buffer.from(payload);
        else if (type === types.block) blocks.push({ offset, bytes: payload.length });
        else if (type === types.end) ended = true;
      },
    });
    damaged = header?.kind !== "aside" || scan.damagedBytes > 0 || scan.tornBytes > 0;
  } finally {
    await file.close();
  }
  const { sizeBytes } = about;
  return {
    about,
    envelope,
    isWhole: ended && !damaged,
    async *content() {
      const open = await files.open(path);
      try {
        for (let number = 0; number * BLOCK_BYTES < sizeBytes; number++) {
          const place = blocks[number];
          const bytes = await (place === undefined
            ? Buffer.alloc(0)
            : open.read(place.bytes, place.offset + RECORD_HEADER_BYTES));
          yield openBlock(id, number, bytes) ?? damagedBlock(id, number);
        }
      } finally {
        await open.close();
      }
    },
  };
}
