/**
 * The file spool's index: which messages are queued, and what is known of each, in columns of typed arrays, some
 * 50 bytes a message. Here is where its content lies; where its envelope does is in envelopePlaces.ts, which of its
 * recipients wait in recipientColumns.ts. Envelopes stay on disk, and are read when a message's turn comes
 * (`placesOf`). Pure: records go in, and what they removed comes out. Recovery and daily work use the same
 * `apply`, so that what a restart finds is what was there.
 */
import type { Instant, MessageId } from "../../message.ts";
import { grown, IdTable } from "../idTable.ts";
import type { RecipientUpdate, UsageRecord, WaitingMessage } from "../spool.ts";
import { AllowanceUse } from "./allowanceUse.ts";
import { EnvelopePlaces } from "./envelopePlaces.ts";
import type { LogPlace } from "./logFiles.ts";
import { encodeMessage, encodeUpdate } from "./messageEncoder.ts";
import { readChanges, readFront } from "./messageFacts.ts";
import {
  type ContentLocation,
  decodeMetadata,
  type MetadataRecord,
  type RawMetadata,
  recordTypes,
} from "./metadata.ts";
import { RecipientColumns } from "./recipientColumns.ts";
import { byAge, RecoveryColumns } from "./recoveryColumns.ts";

/** No slot. */
const NONE = -1;
/** Room for new messages after a recovery. */
const SPARE = 50_000;
/** Of content: what the columns hold. */
export const MOST_BYTES = 2 ** 32 - 1;

/** A queued message, as far as its content goes. */
export interface StoredContent {
  readonly id: MessageId;
  readonly content: ContentLocation;
  readonly sizeBytes: number;
}

export interface Applied {
  readonly removed?: StoredContent;
  /** The location it left behind. */
  readonly left?: ContentLocation;
}
const nothing: Applied = {};

export class MessageColumns {
  readonly #ids: IdTable;
  /** Where the content lies: segment 0 stands for a file of its own. */
  #segment = new Uint32Array(0);
  #contentOffset = new Uint32Array(0);
  #size = new Uint32Array(0);
  readonly #envelopes = new EnvelopePlaces();
  readonly #recipients = new RecipientColumns();
  readonly #use = new AllowanceUse();
  /** Until all that waits was told. */
  #recovery: RecoveryColumns | null = new RecoveryColumns();

  constructor() {
    this.#ids = new IdTable((capacity) => {
      this.#segment = grown(this.#segment, capacity);
      this.#contentOffset = grown(this.#contentOffset, capacity);
      this.#size = grown(this.#size, capacity);
      this.#envelopes.grow(capacity);
      this.#recipients.grow(capacity);
    });
  }

  get count(): number {
    return this.#ids.size;
  }

  /** Updates in chains of more than one message's worth: a reason to write them together. */
  get chained(): number {
    return this.#envelopes.chained;
  }

  has(id: MessageId): boolean {
    return this.#ids.find(id) !== NONE;
  }

  get(id: MessageId): StoredContent | undefined {
    const slot = this.#ids.find(id);
    return slot === NONE ? undefined : this.#stored(slot);
  }

  /** All, in no order. What is removed or added meanwhile may or may not come. */
  *slots(): Generator<number> {
    for (let slot = 0; slot < this.#ids.end; slot++) if (this.#ids.isUsed(slot)) yield slot;
  }

  idAt(slot: number): MessageId {
    return this.#ids.idOf(slot);
  }

  isUsed(slot: number): boolean {
    return this.#ids.isUsed(slot);
  }

  sizeAt(slot: number): number {
    return this.#size[slot] ?? 0;
  }

  contentAt(slot: number): ContentLocation {
    const segment = this.#segment[slot] ?? 0;
    return segment === 0 ? null : { segment, offset: this.#contentOffset[slot] ?? 0 };
  }

  /**
   * Makes room for so many, before any come. Grown step by step the columns would leave holes in memory that are
   * never given back.
   */
  expect(count: number): void {
    this.#ids.reserve(count + SPARE);
    this.#recovery?.reserve(count + SPARE);
  }

  slotOf(id: MessageId): number | undefined {
    const slot = this.#ids.find(id);
    return slot === NONE ? undefined : slot;
  }

  /** Ids with content in a segment. */
  idsIn(segment: number): MessageId[] {
    const ids: MessageId[] = [];
    for (let slot = 0; slot < this.#ids.end; slot++) {
      if (this.#segment[slot] === segment && this.#ids.isUsed(slot)) ids.push(this.#ids.idOf(slot));
    }
    return ids;
  }

  /** Where the envelope lies: the message record, then its updates, oldest first. */
  placesOf(slot: number): readonly LogPlace[] {
    return this.#envelopes.of(slot);
  }

  /** Recipients of a slot's message that are final; none are named of one with a single recipient. */
  settledIn(slot: number): Iterable<number> {
    return this.#recipients.settledOf(slot);
  }

  /** Applies one record, which lies at `place`. Says what it removed, and which location it left behind. */
  apply(raw: RawMetadata, file: number, offset: number): Applied {
    const { type, payload } = raw;
    switch (type) {
      case recordTypes.message:
        return this.#message(payload, file, offset);
      case recordTypes.update:
        return this.#update(payload, file, offset);
      case recordTypes.removed:
        return this.#remove(this.#ids.findBytes(payload, 0));
      case recordTypes.batch:
      case recordTypes.journal:
      case recordTypes.checkpointEnd:
        return nothing;
      default: {
        const record = decodeMetadata(raw);
        return record === null ? nothing : this.#applyDecoded(record, file, offset);
      }
    }
  }

  /** A record that was pending as `number` lies here now. */
  placed(raw: RawMetadata, number: number, file: number, offset: number): void {
    const slot = this.#slotOfRecord(raw);
    if (slot !== NONE) this.#envelopes.placed(slot, number, file, offset);
  }

  #slotOfRecord(raw: RawMetadata): number {
    switch (raw.type) {
      case recordTypes.message:
      case recordTypes.update:
        return this.#ids.findBytes(raw.payload, 0);
      case recordTypes.messageJson:
      case recordTypes.updateJson: {
        const record = decodeMetadata(raw);
        if (record?.kind === "message") return this.#ids.find(record.message.id);
        return record?.kind === "update" ? this.#ids.find(record.id) : NONE;
      }
      default:
        return NONE;
    }
  }

  /**
   * The record that tells the log about `update`: a mere removal when nobody waits afterwards, null when
   * the message is gone already. Throws when it names a recipient the message does not have.
   */
  recordOf(update: RecipientUpdate): MetadataRecord | null {
    const slot = this.#ids.find(update.id);
    return slot === NONE ? null : this.#recipients.recordOf(slot, update);
  }

  /** What is known of allowances. */
  usage(now: Instant): (UsageRecord & { readonly at: Instant })[] {
    return this.#use.all(now);
  }

  /**
   * After recovery, once: what waits, oldest first, and the columns only recovery needs are given up with
   * the last. Messages that are gone by then are left out.
   */
  *waiting(): Generator<WaitingMessage> {
    const recovery = this.#recovery;
    this.#recovery = null;
    if (recovery === null) return;
    recovery.forgetDueTimes();
    for (const slot of byAge(this.#ids, this.#ids.end)) {
      if (!this.#ids.isUsed(slot)) continue;
      const { sendingDomain, credential, queueClass, domain } = recovery.laneOf(slot);
      // Field by field: to spread parts of it takes three times as long, a million times.
      const message = {
        id: this.#ids.idOf(slot),
        dueAt: recovery.dueAt[slot] ?? 0,
        expiresAt: recovery.expiresAt[slot] ?? 0,
        recipients: this.#recipients.waitingOf(slot),
        several: this.#recipients.countOf(slot) > 1,
        sendingDomain,
        credential,
        domain,
      };
      yield queueClass === undefined ? message : { ...message, queueClass };
    }
  }

  /** Begins to collect where a checkpoint puts envelopes. */
  beginRelocation(): void {
    this.#envelopes.beginRelocation(this.#ids.end);
  }

  /** The chain of a slot as it is read now; `relocate` is told the same. */
  chainOf(slot: number): number {
    return this.#envelopes.chainOf(slot);
  }

  /** The envelope in `slot`, with its updates up to `chain`, was written at `offset`. */
  relocate(slot: number, id: MessageId, offset: number, chain: number): void {
    if (this.#ids.find(id) === slot) this.#envelopes.relocate(slot, offset, chain);
  }

  /** The checkpoint is durable as `file` (null: it came to nothing): its envelopes are read from there. */
  endRelocation(file: number | null): void {
    this.#envelopes.endRelocation(file);
  }

  #applyDecoded(record: MetadataRecord, file: number, offset: number): Applied {
    switch (record.kind) {
      // As format 1 wrote them; the place is that of the record as it is.
      case "message":
        return this.#message(encodeMessage(record.message, record.content), file, offset);
      case "update":
        return this.#update(encodeUpdate(record), file, offset);
      case "removed":
        return this.#remove(this.#ids.find(record.id));
      case "moved": {
        const slot = this.#ids.find(record.id);
        if (slot === NONE) return nothing;
        const left = this.#stored(slot).content;
        this.#place(slot, record.content);
        return { left };
      }
      case "usage":
        this.#use.apply(record);
        return nothing;
      case "batch":
      case "journal":
      case "checkpointEnd":
        return nothing;
    }
  }

  #message(payload: Buffer, file: number, offset: number): Applied {
    const front = readFront(payload);
    if (front.waiting === 0) return this.#remove(this.#ids.findBytes(payload, 0));
    const slot = this.#ids.addBytes(payload, 0);
    this.#forget(slot);
    this.#envelopes.put(slot, file, offset);
    this.#place(slot, front.content);
    this.#size[slot] = front.sizeBytes;
    this.#recipients.put(slot, payload, front.recipients, front.waiting);
    this.#recovery?.message(slot, payload, front.recipients, front.dueAt, front.expiresAt);
    return nothing;
  }

  #update(payload: Buffer, file: number, offset: number): Applied {
    const slot = this.#ids.findBytes(payload, 0);
    if (slot === NONE) return nothing;
    for (const { index, waiting, at } of readChanges(payload)) {
      if (!this.#recipients.change(slot, index, waiting)) continue;
      this.#recovery?.change(slot, index, waiting ? at : Number.POSITIVE_INFINITY);
    }
    if (this.#recipients.waitingOf(slot) === 0) return this.#remove(slot);
    // A single recipient's last state is all there is to know.
    this.#envelopes.add(slot, file, offset, this.#recipients.countOf(slot) === 1);
    return nothing;
  }

  #remove(slot: number): Applied {
    if (slot === NONE) return nothing;
    const removed = this.#stored(slot);
    this.#forget(slot);
    this.#ids.remove(slot);
    return { removed };
  }

  /** What is known of a slot's message beside its columns. */
  #forget(slot: number): void {
    this.#envelopes.forget(slot);
    this.#recipients.forget(slot);
    this.#recovery?.forget(slot);
  }

  #stored(slot: number): StoredContent {
    return { id: this.#ids.idOf(slot), content: this.contentAt(slot), sizeBytes: this.sizeAt(slot) };
  }

  #place(slot: number, content: ContentLocation): void {
    this.#segment[slot] = content?.segment ?? 0;
    this.#contentOffset[slot] = content?.offset ?? 0;
  }
}
