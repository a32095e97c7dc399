/**
 * Envelopes, read from the logs when a message's turn comes: the message record, and the updates after it
 * applied. Many are read in one call, since their records lie side by side.
 *
 * A damaged record, or one the disk cannot read (recordReader.ts), costs as little as can be. Of a message record there is a second one in the journal of its
 * segment; without an update the recipients are as they were before it, but for those the index knows to be final.
 * Only a message whose record is nowhere any more cannot be read.
 */
import type { MessageId, QueuedMessage, Recipient } from "../../message.ts";
import { codeOf } from "../files.ts";
import { SpoolError } from "../spool.ts";
import { reasonOf } from "./health.ts";
import type { LogPlace } from "./logFiles.ts";
import { placeContent } from "./messageFacts.ts";
import type { MessageColumns } from "./messageColumns.ts";
import { decodeMetadata, encodeMetadata, type RawMetadata, recordTypes } from "./metadata.ts";
import { damagedRecord, readRecords, type RecordSource } from "./recordReader.ts";

/** An envelope as a checkpoint writes it. */
export interface EnvelopeRecord {
  readonly slot: number;
  readonly id: MessageId;
  readonly chain: number;
  readonly record: RawMetadata;
}

/** One that cannot be read any more. */
export interface LostEnvelope {
  readonly slot: number;
  readonly id: MessageId;
  /** Where its record was. */
  readonly place: LogPlace;
  /** It may be there still: the disk cannot read it. */
  readonly isUnreadable: boolean;
}

/** Where records lie: in logs and checkpoints, and once more in the journals of segments. */
export interface EnvelopeSource extends RecordSource {
  /** Message records of these in the journals of one segment, as they were accepted. */
  copies(segment: number, ids: ReadonlySet<MessageId>): Promise<ReadonlyMap<MessageId, RawMetadata>>;
}

interface Wanted {
  /** Whether what is read is all there is; not so when a copy stands for the record. */
  isWhole: boolean;
  /** The disk cannot read the message record. */
  readonly isUnreadable: boolean;
  readonly slot: number;
  readonly id: MessageId;
  readonly chain: number;
  readonly places: readonly LogPlace[];
}

/** A file may be replaced by a checkpoint between looking a place up and opening it. */
const TRIES = 4;

export class Envelopes {
  readonly #index: MessageColumns;
  readonly #source: EnvelopeSource;

  constructor(index: MessageColumns, source: EnvelopeSource) {
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
        found.set(want.id, this.#composed(want, raw[position] ?? []));
      } catch (error) {
        if (!(error instanceof SpoolError)) throw error;
        found.set(want.id, error);
      }
    }
    return ids.map((id) => found.get(id) ?? null);
  }

  /** One record each, with the content where it lies now; those that are gone are left out. */
  async records(
    slots: readonly number[],
  ): Promise<{ readonly records: readonly EnvelopeRecord[]; readonly lost: readonly LostEnvelope[] }> {
    const { wanted, raw } = await this.#read(slots);
    const records: EnvelopeRecord[] = [];
    const lost: LostEnvelope[] = [];
    for (const [position, want] of wanted.entries()) {
      const { slot, id, chain } = want;
      const stored = this.#index.get(id);
      if (stored === undefined) continue;
      const [base, ...updates] = raw[position] ?? [];
      if (base?.type === recordTypes.message && updates.length === 0 && want.isWhole) {
        placeContent(base.payload, stored.content);
        records.push({ slot, id, chain, record: base });
        continue;
      }
      try {
        const message = this.#composed(want, raw[position] ?? []);
        const record = encodeMetadata({ kind: "message", message, content: stored.content });
        records.push({ slot, id, chain, record });
      } catch (error) {
        if (!(error instanceof SpoolError)) throw error;
        const { isUnreadable } = want;
        lost.push({ slot, id, isUnreadable, place: want.places[0] ?? { file: 0, offset: 0 } });
      }
    }
    return { records, lost };
  }

  async #read(slots: readonly number[]): Promise<{
    readonly wanted: readonly Wanted[];
    readonly raw: readonly (readonly (RawMetadata | null)[])[];
  }> {
    for (let attempt = 1; ; attempt++) {
      const looked = slots.flatMap((slot) =>
        !this.#index.isUsed(slot)
          ? []
          : [
              {
                isWhole: true,
                slot,
                id: this.#index.idAt(slot),
                chain: this.#index.chainOf(slot),
                places: this.#index.placesOf(slot),
              },
            ],
      );
      try {
        const { records, unreadable } = await readRecords(
          this.#source,
          looked.flatMap(({ places }) => places),
        );
        const wanted: Wanted[] = [];
        const raw: (RawMetadata | null)[][] = [];
        let next = 0;
        for (const each of looked) {
          wanted.push({ ...each, isUnreadable: unreadable.has(next) });
          raw.push(records.slice(next, (next += each.places.length)));
        }
        await this.#takeCopies(wanted, raw);
        return { wanted, raw };
      } catch (error) {
        if (codeOf(error) === "ENOENT" && attempt < TRIES) continue;
        throw new SpoolError(`Cannot read envelopes of the spool: ${reasonOf(error)}.`, { cause: error });
      }
    }
  }

  /** Puts what the journals have in the place of damaged message records; each segment is read once. */
  async #takeCopies(wanted: readonly Wanted[], raw: (RawMetadata | null)[][]): Promise<void> {
    const bySegment = new Map<number, Map<MessageId, number>>();
    for (const [position, { id }] of wanted.entries()) {
      const segment = this.#index.get(id)?.content?.segment;
      if (raw[position]?.[0] !== null || segment === undefined) continue;
      const known = bySegment.get(segment);
      if (known === undefined) bySegment.set(segment, new Map([[id, position]]));
      else known.set(id, position);
    }
    for (const [segment, positions] of bySegment) {
      const copies = await this.#source.copies(segment, new Set(positions.keys()));
      for (const [id, copy] of copies) {
        const position = positions.get(id) ?? -1;
        raw[position]?.splice(0, 1, copy);
        const want = wanted[position];
        if (want !== undefined) want.isWhole = false;
      }
    }
  }

  #composed(
    { slot, id, places, isWhole, isUnreadable }: Wanted,
    raw: readonly (RawMetadata | null)[],
  ): QueuedMessage {
    let message: QueuedMessage | undefined;
    let recipients: Recipient[] = [];
    let isLacking = !isWhole;
    for (const record of raw) {
      const decoded = record === null ? null : decodeMetadata(record);
      if (decoded?.kind === "message" && decoded.message.id === id) {
        message = decoded.message;
        recipients = [...message.recipients];
      } else if (decoded?.kind === "update" && decoded.id === id) {
        for (const { index, recipient } of decoded.changes) {
          const before = recipients[index];
          if (before !== undefined) recipients[index] = { ...before, ...recipient };
        }
      } else isLacking = true;
    }
    if (message === undefined) throw damagedRecord(id, places[0] ?? { file: 0, offset: 0 }, isUnreadable);
    if (isLacking) {
      for (const index of this.#index.settledIn(slot)) {
        const before = recipients[index];
        // Delivered or bounced, which of the two was in the record that is gone: nothing is sent there again.
        if (before?.state.kind === "waiting")
          recipients[index] = { ...before, state: { kind: "delivered", at: message.receivedAt } };
      }
    }
    return { ...message, recipients };
  }
}
