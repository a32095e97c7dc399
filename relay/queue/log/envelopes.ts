/**
 * Envelopes, read from the logs when a message's turn comes: the message record, and the updates after it
 * applied. Many are read in one call, since their records lie side by side.
 */
import type { MessageId, QueuedMessage, Recipient } from "../../message.ts";
import { codeOf } from "../files.ts";
import { SpoolError } from "../spool.ts";
import { reasonOf } from "./health.ts";
import { placeContent } from "./messageCodec.ts";
import type { MessageColumns } from "./messageColumns.ts";
import { decodeMetadata, encodeMetadata, type RawMetadata, recordTypes } from "./metadata.ts";
import type { LogPlace } from "./metadataLog.ts";
import { damagedRecord, readRecords, type RecordSource } from "./recordReader.ts";

/** An envelope as a checkpoint writes it. */
export interface EnvelopeRecord {
  readonly slot: number;
  readonly id: MessageId;
  readonly chain: number;
  readonly record: RawMetadata;
}

interface Wanted {
  readonly slot: number;
  readonly id: MessageId;
  readonly chain: number;
  readonly places: readonly LogPlace[];
}

/** A file may be replaced by a checkpoint between looking a place up and opening it. */
const TRIES = 4;

export class Envelopes {
  readonly #index: MessageColumns;
  readonly #source: RecordSource;

  constructor(index: MessageColumns, source: RecordSource) {
    this.#index = index;
    this.#source = source;
  }

  /** In the order of `ids`: null for one that is gone, an error for one that cannot be read. */
  async load(ids: readonly MessageId[]): Promise<(QueuedMessage | SpoolError | null)[]> {
    const slots = ids.map((id) => this.#index.slotOf(id));
    const { wanted, raw } = await this.#read(slots.filter((slot) => slot !== undefined));
    const found = new Map<MessageId, QueuedMessage | SpoolError>();
    for (const [position, want] of wanted.entries()) {
      // Gone while it was read: its slot may be another's by now.
      if (this.#index.slotOf(want.id) !== want.slot) continue;
      try {
        found.set(want.id, composed(want, raw[position] ?? []).message);
      } catch (error) {
        if (!(error instanceof SpoolError)) throw error;
        found.set(want.id, error);
      }
    }
    return ids.map((id) => found.get(id) ?? null);
  }

  /** One record each, with the content where it lies now; those that are gone are left out. */
  async records(slots: readonly number[]): Promise<EnvelopeRecord[]> {
    const { wanted, raw } = await this.#read(slots);
    return wanted.flatMap((want, position): EnvelopeRecord[] => {
      const { slot, id, chain } = want;
      const stored = this.#index.get(id);
      if (stored === undefined) return [];
      const [base, ...updates] = raw[position] ?? [];
      if (base?.type === recordTypes.message && updates.length === 0) {
        placeContent(base.payload, stored.content);
        return [{ slot, id, chain, record: base }];
      }
      const { message } = composed(want, raw[position] ?? []);
      return [
        { slot, id, chain, record: encodeMetadata({ kind: "message", message, content: stored.content }) },
      ];
    });
  }

  async #read(slots: readonly number[]): Promise<{
    readonly wanted: readonly Wanted[];
    readonly raw: readonly (readonly (RawMetadata | null)[])[];
  }> {
    for (let attempt = 1; ; attempt++) {
      const wanted = slots.flatMap((slot): Wanted[] =>
        !this.#index.isUsed(slot)
          ? []
          : [
              {
                slot,
                id: this.#index.idAt(slot),
                chain: this.#index.chainOf(slot),
                places: this.#index.placesOf(slot),
              },
            ],
      );
      try {
        const records = await readRecords(
          this.#source,
          wanted.flatMap(({ places }) => places),
        );
        let next = 0;
        return { wanted, raw: wanted.map(({ places }) => records.slice(next, (next += places.length))) };
      } catch (error) {
        if (codeOf(error) === "ENOENT" && attempt < TRIES) continue;
        throw new SpoolError(`Cannot read envelopes of the spool: ${reasonOf(error)}.`, { cause: error });
      }
    }
  }
}

function composed({ id, places }: Wanted, raw: readonly (RawMetadata | null)[]): { message: QueuedMessage } {
  let message: QueuedMessage | undefined;
  let recipients: Recipient[] = [];
  for (const [position, record] of raw.entries()) {
    const place = places[position] ?? { file: 0, offset: 0 };
    const decoded = record === null ? null : decodeMetadata(record);
    if (decoded?.kind === "message" && decoded.message.id === id) {
      message = decoded.message;
      recipients = [...message.recipients];
    } else if (decoded?.kind === "update" && decoded.id === id) {
      for (const { index, recipient } of decoded.changes) {
        const before = recipients[index];
        if (before !== undefined) recipients[index] = { ...before, ...recipient };
      }
    } else throw damagedRecord(id, place);
  }
  if (message === undefined) throw damagedRecord(id, places[0] ?? { file: 0, offset: 0 });
  return { message: { ...message, recipients } };
}
