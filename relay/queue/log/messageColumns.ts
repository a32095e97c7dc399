/**
 * The file spool's index: where each queued message's envelope and content lie, and which of its recipients
 * wait, in columns of typed arrays, some 50 bytes a message. Envelopes stay on disk, and are read when
 * a message's turn comes (`placesOf`). Pure: records go in, and what they removed comes out. Recovery and daily
 * work use the same `apply`, so that what a restart finds is what was there.
 *
 * An envelope is its message record and the update records after it: with one recipient the last update
 * alone counts, with more they are chained. A checkpoint writes them together again, and `relocation` then
 * points to what it wrote.
 */
import type { Instant, MessageId } from "../../message.ts";
import { grown, IdTable } from "../idTable.ts";
import type { RecipientUpdate, UsageRecord, WaitingMessage } from "../spool.ts";
import { LaneBytes, type LaneName } from "./laneBytes.ts";
import { type LogPlace, PENDING_FILE } from "./logFiles.ts";
import { encodeMessage, encodeUpdate } from "./messageEncoder.ts";
import { readChanges, readFront, readStates } from "./messageFacts.ts";
import {
  type ContentLocation,
  decodeMetadata,
  type MetadataRecord,
  type RawMetadata,
  recordTypes,
} from "./metadata.ts";
import { USAGE_KEPT_MS } from "./spoolIndex.ts";

/** No slot. */
const NONE = -1;
/** No node of a chain: what a new slot holds. */
const NO_UPDATE = 0;
/** Room for new messages after a recovery. */
const SPARE = 50_000;
/** Of recipients and of content: what the columns hold. */
export const MOST_RECIPIENTS = 65_535;
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
  /** The message record: file (metadataLog.ts) and offset. */
  #file = new Uint32Array(0);
  #offset = new Uint32Array(0);
  #segment = new Uint32Array(0);
  #contentOffset = new Uint32Array(0);
  #size = new Uint32Array(0);
  #recipients = new Uint16Array(0);
  #waiting = new Uint16Array(0);
  /** Latest update in the chain, or NO_UPDATE. */
  #chain = new Int32Array(0);
  readonly #updates = new Chains();
  /** Recipients that are final, of messages with more than one. */
  readonly #settled = new Map<number, Set<number>>();
  readonly #usage = new Map<string, { taken: number; at: Instant }>();
  #recovery: RecoveryColumns | null = new RecoveryColumns();
  #expected = 0;
  #relocation: { readonly offsets: Uint32Array; readonly chains: Int32Array } | null = null;

  constructor() {
    this.#ids = new IdTable((capacity) => {
      this.#file = grown(this.#file, capacity);
      this.#offset = grown(this.#offset, capacity);
      this.#segment = grown(this.#segment, capacity);
      this.#contentOffset = grown(this.#contentOffset, capacity);
      this.#size = grown(this.#size, capacity);
      this.#recipients = grown(this.#recipients, capacity);
      this.#waiting = grown(this.#waiting, capacity);
      this.#chain = grown(this.#chain, capacity);
    });
  }

  get count(): number {
    return this.#ids.size;
  }

  /** Updates in chains of more than one message's worth: a reason to write them together. */
  get chained(): number {
    return this.#updates.size;
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
   * Makes room for so many more. Grown step by step the columns would leave holes in memory that are never
   * given back.
   */
  expect(count: number): void {
    this.#expected += count;
    this.#ids.reserve(this.#expected + SPARE);
    this.#recovery?.reserve(this.#expected + SPARE);
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
    const base = { file: this.#file[slot] ?? 0, offset: this.#offset[slot] ?? 0 };
    return [base, ...this.#updates.places(this.#chain[slot] ?? NO_UPDATE)];
  }

  /** Recipients of a slot's message that are final; none are named of one with a single recipient. */
  settledIn(slot: number): Iterable<number> {
    return this.#settled.get(slot) ?? [];
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
    if (slot === NONE) return;
    if (this.#file[slot] === PENDING_FILE && this.#offset[slot] === number) {
      this.#file[slot] = file;
      this.#offset[slot] = offset;
    } else this.#updates.placed(this.#chain[slot] ?? NO_UPDATE, number, { file, offset });
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
    if (slot === NONE) return null;
    const recipients = this.#recipients[slot] ?? 0;
    const settled = this.#settled.get(slot);
    const final = new Set<number>();
    const changes = update.changes.map(({ index, recipient: { state, attempts, last } }) => {
      if (!Number.isInteger(index) || index < 0 || index >= recipients) {
        throw new Error(`Cannot record recipient ${index} of message ${update.id}: it has ${recipients}.`);
      }
      if (state.kind === "waiting") final.delete(index);
      else if (settled?.has(index) !== true) final.add(index);
      return { index, recipient: { state, attempts, last } };
    });
    return final.size === this.#waiting[slot]
      ? { kind: "removed", id: update.id }
      : { kind: "update", id: update.id, changes };
  }

  /** What is known of allowances; what did not grow since `USAGE_KEPT_MS` is forgotten. */
  usage(now: Instant): (UsageRecord & { readonly at: Instant })[] {
    for (const [counter, { at }] of this.#usage) {
      if (at < now - USAGE_KEPT_MS) this.#usage.delete(counter);
    }
    return Array.from(this.#usage, ([counter, { taken, at }]) => ({ counter, taken, at }));
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
    const known = this.#ids.end;
    for (const slot of this.#byAge(known)) {
      if (!this.#ids.isUsed(slot)) continue;
      const { sendingDomain, credential, queueClass, domain } = recovery.laneOf(slot);
      yield {
        id: this.#ids.idOf(slot),
        dueAt: recovery.dueAt[slot] ?? 0,
        expiresAt: recovery.expiresAt[slot] ?? 0,
        recipients: this.#waiting[slot] ?? 0,
        ...{ sendingDomain, credential, domain, several: (this.#recipients[slot] ?? 0) > 1 },
        ...(queueClass === undefined ? {} : { queueClass }),
      };
    }
  }

  /** Begins to collect where a checkpoint puts envelopes. */
  beginRelocation(): void {
    this.#relocation = {
      offsets: new Uint32Array(this.#ids.end),
      chains: new Int32Array(this.#ids.end),
    };
    this.#updates.keep = true;
  }

  /** The chain of a slot as it is read now; `relocate` is told the same. */
  chainOf(slot: number): number {
    return this.#chain[slot] ?? NO_UPDATE;
  }

  /** The envelope in `slot`, with its updates up to `chain`, was written at `offset`. */
  relocate(slot: number, id: MessageId, offset: number, chain: number): void {
    const relocation = this.#relocation;
    if (relocation === null || slot >= relocation.offsets.length || this.#ids.find(id) !== slot) return;
    relocation.offsets[slot] = offset;
    relocation.chains[slot] = chain;
  }

  /** The checkpoint is durable as `file` (null: it came to nothing): its envelopes are read from there. */
  endRelocation(file: number | null): void {
    const relocation = this.#relocation;
    this.#relocation = null;
    const count = file === null ? 0 : (relocation?.offsets.length ?? 0);
    for (let slot = 0; slot < count; slot++) {
      const offset = relocation?.offsets[slot] ?? 0;
      if (offset === 0) continue;
      this.#file[slot] = file ?? 0;
      this.#offset[slot] = offset;
      this.#chain[slot] = this.#updates.cut(
        this.#chain[slot] ?? NO_UPDATE,
        relocation?.chains[slot] ?? NO_UPDATE,
      );
    }
    this.#updates.keep = false;
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
      case "usage": {
        const known = this.#usage.get(record.counter);
        const taken = Math.max(known?.taken ?? 0, record.taken);
        this.#usage.set(record.counter, { taken, at: Math.max(known?.at ?? 0, record.at) });
        return nothing;
      }
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
    this.#file[slot] = file;
    this.#offset[slot] = offset;
    this.#place(slot, front.content);
    this.#size[slot] = front.sizeBytes;
    this.#recipients[slot] = front.recipients;
    this.#waiting[slot] = front.waiting;
    this.#recovery?.message(slot, payload, front.recipients, front.dueAt, front.expiresAt);
    if (front.waiting < front.recipients) {
      const settled = new Set<number>();
      let index = 0;
      for (const { waiting } of readStates(payload)) {
        if (!waiting) settled.add(index);
        index++;
      }
      this.#settled.set(slot, settled);
    }
    return nothing;
  }

  #update(payload: Buffer, file: number, offset: number): Applied {
    const slot = this.#ids.findBytes(payload, 0);
    if (slot === NONE) return nothing;
    for (const { index, waiting, at } of readChanges(payload)) {
      if (index >= (this.#recipients[slot] ?? 0)) continue;
      let settled = this.#settled.get(slot);
      if (settled === undefined) this.#settled.set(slot, (settled = new Set()));
      if (waiting ? settled.delete(index) : !settled.has(index)) {
        this.#waiting[slot] = (this.#waiting[slot] ?? 0) + (waiting ? 1 : -1);
      }
      if (!waiting) settled.add(index);
      if (settled.size === 0) this.#settled.delete(slot);
      this.#recovery?.change(slot, index, waiting ? at : Number.POSITIVE_INFINITY);
    }
    if (this.#waiting[slot] === 0) return this.#remove(slot);
    const before = this.#chain[slot] ?? NO_UPDATE;
    // A single recipient's last state is all there is to know.
    if (this.#recipients[slot] === 1) this.#updates.drop(before);
    this.#chain[slot] = this.#updates.add(
      { file, offset },
      this.#recipients[slot] === 1 ? NO_UPDATE : before,
    );
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
    this.#updates.drop(this.#chain[slot] ?? NO_UPDATE);
    this.#chain[slot] = NO_UPDATE;
    this.#settled.delete(slot);
    this.#recovery?.forget(slot);
    if (this.#relocation !== null && slot < this.#relocation.offsets.length)
      this.#relocation.offsets[slot] = 0;
  }

  #stored(slot: number): StoredContent {
    return { id: this.#ids.idOf(slot), content: this.contentAt(slot), sizeBytes: this.sizeAt(slot) };
  }

  #place(slot: number, content: ContentLocation): void {
    this.#segment[slot] = content?.segment ?? 0;
    this.#contentOffset[slot] = content?.offset ?? 0;
  }

  /** Slots in the order of their ids, which is that of acceptance. */
  *#byAge(end: number): Generator<number> {
    let ascending = true;
    let before = NONE;
    for (let slot = 0; slot < end && ascending; slot++) {
      if (!this.#ids.isUsed(slot)) continue;
      ascending = before === NONE || this.#ids.isBefore(before, slot);
      before = slot;
    }
    const order = Uint32Array.from({ length: end }, (_, slot) => slot);
    if (!ascending) order.sort((a, b) => (a === b ? 0 : this.#ids.isBefore(a, b) ? -1 : 1));
    yield* order;
  }
}

/** Chains of update records, newest first. */
class Chains {
  #file = new Uint32Array(0);
  #offset = new Uint32Array(0);
  #older = new Int32Array(0);
  #free: number[] = [];
  #next = 1;
  /** While set, nothing is given out again: somebody holds numbers of nodes. */
  #kept: number[] | null = null;

  get size(): number {
    return this.#next - 1 - this.#free.length - (this.#kept?.length ?? 0);
  }

  set keep(keep: boolean) {
    if (!keep) for (const node of this.#kept ?? []) this.#free.push(node);
    this.#kept = keep ? [] : null;
  }

  add(place: LogPlace, older: number): number {
    const node = this.#free.pop() ?? this.#next++;
    if (node >= this.#file.length) {
      const capacity = Math.max(1024, 2 * this.#file.length);
      this.#file = grown(this.#file, capacity);
      this.#offset = grown(this.#offset, capacity);
      this.#older = grown(this.#older, capacity);
    }
    this.#file[node] = place.file;
    this.#offset[node] = place.offset;
    this.#older[node] = older;
    return node;
  }

  /** Oldest first. */
  places(newest: number): LogPlace[] {
    const places: LogPlace[] = [];
    for (let node = newest; node !== NO_UPDATE; node = this.#older[node] ?? NO_UPDATE) {
      places.push({ file: this.#file[node] ?? 0, offset: this.#offset[node] ?? 0 });
    }
    return places.toReversed();
  }

  placed(newest: number, number: number, place: LogPlace): void {
    for (let node = newest; node !== NO_UPDATE; node = this.#older[node] ?? NO_UPDATE) {
      if (this.#file[node] !== PENDING_FILE || this.#offset[node] !== number) continue;
      this.#file[node] = place.file;
      this.#offset[node] = place.offset;
    }
  }

  drop(newest: number): void {
    for (let node = newest; node !== NO_UPDATE; node = this.#older[node] ?? NO_UPDATE)
      (this.#kept ?? this.#free).push(node);
  }

  /** The chain without `from` and what is older; unchanged when `from` is not of it. */
  cut(newest: number, from: number): number {
    if (from === NO_UPDATE) return newest;
    let newer = NO_UPDATE;
    for (let node = newest; node !== NO_UPDATE; node = this.#older[node] ?? NO_UPDATE) {
      if (node === from) {
        this.drop(node);
        if (newer === NO_UPDATE) return NO_UPDATE;
        this.#older[newer] = NO_UPDATE;
        return newest;
      }
      newer = node;
    }
    return newest;
  }
}

/** What the engine is told of each message after recovery, and nobody needs later. */
class RecoveryColumns {
  dueAt = new Float64Array(1024);
  expiresAt = new Float64Array(1024);
  #lane = new Uint32Array(1024);
  readonly #lanes: LaneName[] = [];
  /** By the hash of their bytes: to make two strings a message would be a third of a start. */
  readonly #byHash = new Map<number, number[]>();
  readonly #bytes = new LaneBytes();
  /** Due times of every recipient, infinite when it is final, where there is more than one. */
  readonly #dueTimes = new Map<number, Float64Array>();

  message(slot: number, payload: Buffer, recipients: number, dueAt: number, expiresAt: number): void {
    if (slot >= this.dueAt.length) this.reserve(2 * Math.max(slot, this.dueAt.length));
    this.dueAt[slot] = dueAt;
    this.expiresAt[slot] = expiresAt;
    this.#lane[slot] = this.#laneNumber(payload);
    if (recipients > 1) {
      const times = Float64Array.from(readStates(payload), ({ waiting, at }) =>
        waiting ? at : Number.POSITIVE_INFINITY,
      );
      this.#dueTimes.set(slot, times);
    }
  }

  reserve(capacity: number): void {
    if (capacity <= this.dueAt.length) return;
    this.dueAt = grown(this.dueAt, capacity);
    this.expiresAt = grown(this.expiresAt, capacity);
    this.#lane = grown(this.#lane, capacity);
  }

  change(slot: number, index: number, dueAt: number): void {
    const times = this.#dueTimes.get(slot);
    if (times !== undefined) times[index] = dueAt;
    this.dueAt[slot] = times === undefined ? dueAt : Math.min(...times);
  }

  forget(slot: number): void {
    this.#dueTimes.delete(slot);
  }

  forgetDueTimes(): void {
    this.#dueTimes.clear();
  }

  laneOf(slot: number): Omit<LaneName, "bytes" | "flags"> {
    return this.#lanes[this.#lane[slot] ?? 0] ?? { sendingDomain: null, credential: null, domain: "" };
  }

  #laneNumber(payload: Buffer): number {
    const bytes = this.#bytes;
    bytes.find(payload);
    const hash = bytes.hash(payload);
    let numbers = this.#byHash.get(hash);
    if (numbers === undefined) this.#byHash.set(hash, (numbers = []));
    for (const number of numbers) {
      const lane = this.#lanes[number];
      if (lane !== undefined && bytes.equals(payload, lane)) return number;
    }
    const number = this.#lanes.push(bytes.name(payload)) - 1;
    numbers.push(number);
    return number;
  }
}
