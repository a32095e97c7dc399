/**
 * What the metadata log says: the changes of the spool's state, one record each. Pure.
 *
 * Every record sets, none adds or toggles, so that replaying a stretch of the log over a state that
 * already holds it changes nothing. Checkpoints that are taken while the log grows rely on that.
 */
import type { Instant, MessageId, QueuedMessage } from "../../message.ts";
import type { RecipientUpdate } from "../spool.ts";
import type { ContentLocation } from "./contentLocation.ts";
import { decodeMessage, decodeUpdate, readId } from "./messageDecoder.ts";
import { encodeMessage, encodeRemoved, encodeUpdate } from "./messageEncoder.ts";

export type { ContentLocation };

export type MetadataRecord =
  /** A message was accepted, or (in a checkpoint) is still queued with these recipient states. */
  | { readonly kind: "message"; readonly message: QueuedMessage; readonly content: ContentLocation }
  /** New states of some recipients. A message whose recipients are all final is gone with it. */
  | ({ readonly kind: "update" } & RecipientUpdate)
  /** The message is gone: all recipients final, or withdrawn because it never became durable. */
  | { readonly kind: "removed"; readonly id: MessageId }
  /** Its content was copied elsewhere by compaction. */
  | { readonly kind: "moved"; readonly id: MessageId; readonly content: ContentLocation }
  /** Use of an allowance, in all; `at` tells when it last grew, so that old ones can be forgotten. */
  | { readonly kind: "usage"; readonly counter: string; readonly taken: number; readonly at: Instant }
  /** Everything after this begins a write that shares one sync. Recovery doubts the last such batch only. */
  | { readonly kind: "batch"; readonly number: number }
  /**
   * Every batch up to `through` is in the log before this record; journals from this place among the
   * segments on may hold later ones.
   */
  | {
      readonly kind: "journal";
      readonly through: number;
      readonly segment: number;
      readonly offset: number;
    }
  /** Last record of a complete checkpoint. */
  | { readonly kind: "checkpointEnd"; readonly messages: number };

/** Type bytes on disk: never reused for another meaning. 0 is what an empty disk holds, so it is none. */
export const recordTypes = {
  batch: 1,
  /** Formats 1 and 2 wrote these three as JSON; they are read for ever, and written no more. */
  messageJson: 2,
  updateJson: 3,
  removedJson: 4,
  usage: 5,
  moved: 6,
  checkpointEnd: 7,
  journal: 8,
  /** Format 3, in bytes (messageFormat.ts). */
  message: 9,
  update: 10,
  removed: 11,
} as const;

const jsonKinds = new Map<number, MetadataRecord["kind"]>([
  [recordTypes.batch, "batch"],
  [recordTypes.messageJson, "message"],
  [recordTypes.updateJson, "update"],
  [recordTypes.removedJson, "removed"],
  [recordTypes.usage, "usage"],
  [recordTypes.moved, "moved"],
  [recordTypes.checkpointEnd, "checkpointEnd"],
  [recordTypes.journal, "journal"],
]);

export interface RawMetadata {
  readonly type: number;
  readonly payload: Buffer;
}

/** The few are JSON, the many are bytes; the frame around both is binary (record.ts). */
export function encodeMetadata(record: MetadataRecord): RawMetadata {
  switch (record.kind) {
    case "message":
      return { type: recordTypes.message, payload: encodeMessage(record.message, record.content) };
    case "update":
      return { type: recordTypes.update, payload: encodeUpdate(record) };
    case "removed":
      return { type: recordTypes.removed, payload: encodeRemoved(record.id) };
    case "batch":
    case "usage":
    case "moved":
    case "journal":
    case "checkpointEnd": {
      const { kind, ...rest } = record;
      return { type: recordTypes[kind], payload: Buffer.from(JSON.stringify(rest)) };
    }
  }
}

/**
 * Null when the type is not known: a record of a newer release, which the caller must not skip silently.
 * The payload was verified by its CRC, so its shape is what its release wrote.
 */
export function decodeMetadata({ type, payload }: RawMetadata): MetadataRecord | null {
  switch (type) {
    case recordTypes.message:
      return { kind: "message", ...decodeMessage(payload) };
    case recordTypes.update:
      return { kind: "update", ...decodeUpdate(payload) };
    case recordTypes.removed:
      return { kind: "removed", id: readId(payload) };
    default: {
      const kind = jsonKinds.get(type);
      if (kind === undefined) return null;
      return { kind, ...(JSON.parse(payload.toString()) as object) } as MetadataRecord;
    }
  }
}

export const BATCH_TYPE = recordTypes.batch;

const known = new Set<number>(Object.values(recordTypes));

export function isKnownType(type: number): boolean {
  return known.has(type);
}
