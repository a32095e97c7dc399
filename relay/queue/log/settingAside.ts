/**
 * What becomes of a message whose envelope is lost: what is left of it is kept in a file of its own (aside.ts), it
 * leaves the queue, and a person is told.
 *
 * An envelope that the disk cannot read may come back with the disk, so there is a line behind which the store has a
 * fault instead, and keeps its queue: when bad places run on (recordReader.ts); when the content, which lies in
 * another file, cannot be read either, or what is left cannot be made durable; when many were set aside for it
 * already. The log it is in is kept then, for whoever can read the disk with more patience.
 */
import { basename } from "node:path";

import type { Log } from "../../kit/log.ts";
import type { MessageId } from "../../message.ts";
import type { Files } from "../files.ts";
import { SpoolError } from "../spool.ts";
import { type AsideStore, KEPT_ENVELOPE_BYTES } from "./aside.ts";
import type { ContentOpener } from "./contentOpener.ts";
import type { Envelopes, LostEnvelope } from "./envelopes.ts";
import { isMissing } from "./contentStore.ts";
import type { MessageColumns } from "./messageColumns.ts";
import type { MetadataRecord } from "./metadata.ts";
import type { MetadataLog } from "./metadataLog.ts";

/** Of unreadable ones in a life of the relay: what the longest run of bad places spoils, some 150 bytes each. */
const MOST_UNREADABLE = 400;

export interface SettingAsideParts {
  readonly files: Files;
  readonly log: Log;
  readonly index: MessageColumns;
  readonly envelopes: Envelopes;
  readonly metadata: MetadataLog;
  readonly opener: ContentOpener;
  readonly aside: AsideStore;
  /** Makes records durable. */
  readonly submit: (records: readonly MetadataRecord[]) => Promise<void>;
}

export class SettingAside {
  readonly #parts: SettingAsideParts;
  readonly #leaving = new Set<MessageId>();
  #unreadable = 0;

  constructor(parts: SettingAsideParts) {
    this.#parts = parts;
  }

  /** Looks at a message that could not be read once more, and sets it aside when its envelope is gone. */
  async lookAgain(id: MessageId): Promise<void> {
    const slot = this.#parts.index.slotOf(id);
    if (slot === undefined) return;
    const { lost } = await this.#parts.envelopes.records([slot]);
    for (const each of lost) await this.setAside(each);
  }

  /** What is left of a message is kept in a file of its own, durable before the message leaves the queue. */
  async setAside({ id, place, isUnreadable }: LostEnvelope): Promise<void> {
    const { files, log, index, metadata, opener, aside, submit } = this.#parts;
    const entry = index.get(id);
    if (entry === undefined || this.#leaving.has(id)) return;
    const path = metadata.pathOf(place.file);
    if (isUnreadable && this.#unreadable >= MOST_UNREADABLE) {
      throw new SpoolError(
        `Cannot read message ${id}: its envelope, at byte ${place.offset} of ${basename(path)}, cannot be read from the disk (EIO), and ${MOST_UNREADABLE} others could not either.`,
      );
    }
    this.#leaving.add(id);
    // Counted before anything is waited for: many are looked at at once.
    if (isUnreadable) this.#unreadable++;
    let isKept = false;
    try {
      const what = isUnreadable ? "cannot be read from the disk (EIO)" : "is damaged";
      const reason = `its envelope, at byte ${place.offset} of ${basename(path)}, ${what}, and no other copy of it is left`;
      const { sizeBytes } = entry;
      const envelope = await readSome(files, path, place.offset);
      const open = await opener.open(id).catch((error: unknown) => {
        // Gone is gone; what cannot be opened now is not given up.
        if (index.get(id) === undefined || (error instanceof SpoolError && isMissing(error.cause)))
          return null;
        throw error;
      });
      try {
        if (index.get(id) === undefined) return;
        const content = open === null ? null : { file: open.file, offset: open.offset };
        await aside.keep({ id, reason, sizeBytes, envelope, content });
        isKept = true;
      } finally {
        await open?.file.close();
      }
      if (isUnreadable) metadata.keep(place.file);
      await submit([{ kind: "removed", id }]);
      log.error('a message is set aside, for nobody knows where it was to go: see "smtp-relay spool check"', {
        ...{ id, reason, sizeBytes },
      });
    } finally {
      if (isUnreadable && !isKept) this.#unreadable--;
      this.#leaving.delete(id);
    }
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
