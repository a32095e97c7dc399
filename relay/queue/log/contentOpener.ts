/** Where the content of a message is to be read now: compaction may move it while it is being looked for. */
import type { MessageId } from "../../message.ts";
import { SpoolError } from "../spool.ts";
import type { OpenContent } from "./contentReader.ts";
import { type ContentStore, isMissing } from "./contentStore.ts";
import { reasonOf } from "./health.ts";
import type { MessageColumns } from "./messageColumns.ts";
import type { ContentLocation } from "./metadata.ts";
import type { SharedFiles } from "./sharedFiles.ts";

/** A file may be gone between looking a place up and opening it. */
const TRIES = 4;

export class ContentOpener {
  readonly #index: MessageColumns;
  readonly #contents: ContentStore;
  readonly #reading: SharedFiles;

  constructor(parts: { index: MessageColumns; contents: ContentStore; reading: SharedFiles }) {
    this.#index = parts.index;
    this.#contents = parts.contents;
    this.#reading = parts.reading;
  }

  /** An open file with the content; looked up again when compaction moved it in between. */
  async open(id: MessageId): Promise<OpenContent> {
    for (let attempt = 1; ; attempt++) {
      const entry = this.#index.get(id);
      if (entry === undefined) throw new SpoolError(`Cannot read message ${id}: it is not in the spool.`);
      const { content, sizeBytes } = entry;
      const { path, offset } = this.#contents.placeOf(id, content);
      try {
        return { file: await this.#reading.open(path), offset, sizeBytes };
      } catch (error) {
        if (isMissing(error) && attempt < TRIES && !same(this.#index.get(id)?.content, content)) continue;
        throw new SpoolError(`Cannot read message ${id}: ${reasonOf(error)}.`, { cause: error });
      }
    }
  }
}

function same(a: ContentLocation | undefined, b: ContentLocation): boolean {
  return a?.segment === b?.segment && a?.offset === b?.offset;
}
