/**
 * What a record says (messageFormat.ts), read where it stands in the bytes: for an index that is told of a
 * million messages, and builds none of them. Pure.
 */
import type { ContentLocation } from "./contentLocation.ts";
import { at, FIXED_BYTES, flag, ID_BYTES, recipientFlag, WAITING } from "./messageFormat.ts";

/** What the front of a message record says, without building it. */
export interface MessageFront {
  readonly content: ContentLocation;
  readonly sizeBytes: number;
  readonly expiresAt: number;
  readonly recipients: number;
  readonly waiting: number;
  readonly dueAt: number;
}

export function readFront(payload: Buffer): MessageFront {
  const segment = payload.readUInt32BE(at.segment);
  return {
    content: segment === 0 ? null : { segment, offset: payload.readUInt32BE(at.offset) },
    sizeBytes: payload.readUIntBE(at.size, 6),
    expiresAt: payload.readUIntBE(at.expires, 6),
    recipients: payload.readUInt32BE(at.recipients),
    waiting: payload.readUInt32BE(at.waiting),
    dueAt: payload.readUIntBE(at.due, 6),
  };
}

/** Where the content lies now, written into the record of a message that was moved. */
export function placeContent(payload: Buffer, content: ContentLocation): void {
  payload.writeUInt32BE(content?.segment ?? 0, at.segment);
  payload.writeUInt32BE(content?.offset ?? 0, at.offset);
}

/** State and time of every recipient of a message record, in order. */
export function* readStates(payload: Buffer): Generator<{ readonly waiting: boolean; readonly at: number }> {
  let position = recipientsStart(payload);
  const count = payload.readUInt32BE(at.recipients);
  for (let index = 0; index < count; index++) {
    yield { waiting: payload[position + 1] === WAITING, at: payload.readUIntBE(position + 2, 6) };
    position = skipRecipient(payload, position);
  }
}

/** The changes of an update record, without what the last attempts said. */
export function* readChanges(
  payload: Buffer,
): Generator<{ readonly index: number; readonly waiting: boolean; readonly at: number }> {
  let position = ID_BYTES + 2;
  for (let left = payload.readUInt16BE(ID_BYTES); left > 0; left--) {
    yield {
      index: payload.readUInt32BE(position),
      waiting: payload[position + 4] === WAITING,
      at: payload.readUIntBE(position + 5, 6),
    };
    position += 19 + payload.readUInt32BE(position + 15);
  }
}

/** Where the recipients begin. */
export function recipientsStart(payload: Buffer): number {
  const flags = payload.readUInt16BE(at.flags);
  let position = FIXED_BYTES;
  for (const each of [flag.sendingDomain, flag.credential, flag.queueClass])
    if ((flags & each) !== 0) position += 2 + payload.readUInt16BE(position);
  return position;
}

/** Where the next recipient begins. */
export function skipRecipient(payload: Buffer, start: number): number {
  const flags = payload[start] ?? 0;
  let position = start + 12;
  position += 2 + payload.readUInt16BE(position);
  if ((flags & recipientFlag.ownDomain) !== 0) position += 2 + payload.readUInt16BE(position);
  if ((flags & recipientFlag.notify) !== 0) position += 1;
  if ((flags & recipientFlag.orcpt) !== 0) position += 2 + payload.readUInt16BE(position);
  if ((flags & recipientFlag.last) !== 0) position += 4 + payload.readUInt32BE(position);
  return position;
}
