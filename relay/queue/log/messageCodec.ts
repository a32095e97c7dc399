/**
 * The records that recovery reads by the million, in bytes: what an index needs stands in front at fixed
 * places, so that a start neither parses nor builds a message (some 170 bytes and a microsecond each).
 * Addresses, names and replies are plain UTF-8, for a person with `strings`. Pure.
 *
 *   message = id(16) segment(4) offset(4) size(6) header(4) received(6) expires(6) flags(2)
 *             recipients(4) waiting(4) due(6) dueIndex(4) [sendingDomain] [credential] [queueClass]
 *             recipient* from [envid] bodyHash(32 or text)
 *   recipient = flags(1) state(1) at(6) attempts(4) address [domain] [notify(1)] [orcpt] [last: length(4) JSON]
 *   update  = id(16) count(2) { index(4) state(1) at(6) attempts(4) lastLength(4) last: JSON }*
 *   removed = id(16)
 *
 * Numbers are big-endian, text is length(2) bytes. Segment 0: the content lies in a file of its own.
 * `waiting` counts recipients that wait, `due` is the earliest of them, `dueIndex` which one.
 */
import type {
  Envelope,
  LastAttempt,
  Notify,
  QueuedMessage,
  Recipient,
  RecipientState,
} from "../../message.ts";
import { packId, unpackId } from "../idTable.ts";
import type { RecipientUpdate } from "../spool.ts";
import type { ContentLocation } from "./contentLocation.ts";

export const ID_BYTES = 16;
const FIXED_BYTES = 66;
const at = {
  segment: 16,
  offset: 20,
  size: 24,
  header: 30,
  received: 34,
  expires: 40,
  flags: 46,
  recipients: 48,
  waiting: 52,
  due: 56,
  dueIndex: 62,
} as const;

const flag = {
  smtpUtf8: 1,
  eightBitMime: 2,
  requireTls: 4,
  retFull: 8,
  retHdrs: 16,
  envid: 32,
  credential: 64,
  sendingDomain: 128,
  /** The body hash is 32 bytes in Base64, as it always is but in tests. */
  rawHash: 256,
  queueClass: 512,
} as const;
const recipientFlag = { notify: 1, orcpt: 2, last: 4, ownDomain: 8 } as const;
const notifyBits: Readonly<Record<Notify, number>> = { NEVER: 1, SUCCESS: 2, FAILURE: 4, DELAY: 8 };

const states = ["waiting", "delivered", "Refused", "Expired", "Operator"] as const;
export const WAITING = 0;

/** Grows as needed; one for all, since encoding never pauses. */
let scratch = Buffer.alloc(64 * 1024);
let end = 0;
const words = new Uint32Array(4);

function room(bytes: number): void {
  if (end + bytes <= scratch.length) return;
  const larger = Buffer.alloc(Math.max(scratch.length * 2, end + bytes));
  scratch.copy(larger, 0, 0, end);
  scratch = larger;
}

function finish(): Buffer {
  const bytes = Buffer.from(scratch.subarray(0, end));
  end = 0;
  return bytes;
}

function putNumber(value: number, bytes: number): void {
  room(bytes);
  // Throws a RangeError when it does not fit: better than to write another number.
  scratch.writeUIntBE(value, end, bytes);
  end += bytes;
}

function putText(text: string, lengthBytes: 2 | 4 = 2): void {
  const most = text.length * 3;
  room(lengthBytes + most);
  const written = scratch.write(text, end + lengthBytes);
  scratch.writeUIntBE(written, end, lengthBytes);
  end += lengthBytes + written;
}

function putId(id: string): void {
  packId(id, words);
  for (const word of words) putNumber(word, 4);
}

function putState(state: RecipientState): void {
  const name = state.kind === "bounced" ? state.reason : state.kind;
  putNumber(states.indexOf(name), 1);
  putNumber(state.kind === "waiting" ? state.dueAt : state.at, 6);
}

export function encodeMessage(message: QueuedMessage, content: ContentLocation): Buffer {
  const { envelope, recipients } = message;
  let waiting = 0;
  let due = Number.POSITIVE_INFINITY;
  let dueIndex = 0;
  for (const [index, { state }] of recipients.entries()) {
    if (state.kind !== "waiting") continue;
    waiting++;
    if (state.dueAt >= due) continue;
    due = state.dueAt;
    dueIndex = index;
  }
  const hash = Buffer.from(message.bodyHash, "base64");
  const rawHash = hash.length === 32 && hash.toString("base64") === message.bodyHash;
  putId(message.id);
  putNumber(content?.segment ?? 0, 4);
  putNumber(content?.offset ?? 0, 4);
  putNumber(message.sizeBytes, 6);
  putNumber(message.headerBytes, 4);
  putNumber(message.receivedAt, 6);
  putNumber(message.expiresAt, 6);
  putNumber(
    (envelope.smtpUtf8 ? flag.smtpUtf8 : 0) |
      (envelope.eightBitMime ? flag.eightBitMime : 0) |
      (envelope.requireTls ? flag.requireTls : 0) |
      (envelope.ret === "FULL" ? flag.retFull : 0) |
      (envelope.ret === "HDRS" ? flag.retHdrs : 0) |
      (envelope.envid === undefined ? 0 : flag.envid) |
      (message.credential === null ? 0 : flag.credential) |
      (message.sendingDomain === null ? 0 : flag.sendingDomain) |
      (rawHash ? flag.rawHash : 0) |
      (message.queueClass === undefined ? 0 : flag.queueClass),
    2,
  );
  putNumber(recipients.length, 4);
  putNumber(waiting, 4);
  putNumber(waiting === 0 ? 0 : due, 6);
  putNumber(dueIndex, 4);
  if (message.sendingDomain !== null) putText(message.sendingDomain);
  if (message.credential !== null) putText(message.credential);
  if (message.queueClass !== undefined) putText(message.queueClass);
  for (const recipient of recipients) putRecipient(recipient);
  putText(envelope.from);
  if (envelope.envid !== undefined) putText(envelope.envid);
  if (rawHash) {
    room(32);
    end += hash.copy(scratch, end);
  } else putText(message.bodyHash);
  return finish();
}

function putRecipient({ address, domain, notify, orcpt, state, attempts, last }: Recipient): void {
  const ownDomain = domainOf(address) !== domain;
  putNumber(
    (notify === undefined ? 0 : recipientFlag.notify) |
      (orcpt === undefined ? 0 : recipientFlag.orcpt) |
      (last === null ? 0 : recipientFlag.last) |
      (ownDomain ? recipientFlag.ownDomain : 0),
    1,
  );
  putState(state);
  putNumber(attempts, 4);
  putText(address);
  if (ownDomain) putText(domain);
  if (notify !== undefined)
    putNumber(
      notify.reduce((bits, word) => bits | notifyBits[word], 0),
      1,
    );
  if (orcpt !== undefined) putText(orcpt);
  if (last !== null) putText(JSON.stringify(last), 4);
}

export function encodeUpdate({ id, changes }: RecipientUpdate): Buffer {
  putId(id);
  putNumber(changes.length, 2);
  for (const { index, recipient } of changes) {
    putNumber(index, 4);
    putState(recipient.state);
    putNumber(recipient.attempts, 4);
    if (recipient.last === null) putNumber(0, 4);
    else putText(JSON.stringify(recipient.last), 4);
  }
  return finish();
}

export function encodeRemoved(id: string): Buffer {
  putId(id);
  return finish();
}

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

/** Whose turn a message waits for: who sent it, in which class, and the domain of the recipient that is due first. */
export interface LaneName {
  readonly sendingDomain: string | null;
  readonly credential: string | null;
  readonly queueClass?: string;
  readonly domain: string;
  /** As they stand in a record: flags, the sender's with their lengths, then the domain's. */
  readonly bytes: Buffer;
  readonly flags: number;
}

const laneFlags = flag.sendingDomain | flag.credential | flag.queueClass;
const flagsOf = (payload: Buffer) => payload.readUInt16BE(at.flags) & laneFlags;

/** Where the recipients begin. */
function recipientsStart(payload: Buffer): number {
  const flags = flagsOf(payload);
  let position = FIXED_BYTES;
  for (const each of [flag.sendingDomain, flag.credential, flag.queueClass])
    if ((flags & each) !== 0) position += 2 + payload.readUInt16BE(position);
  return position;
}

/** Finds both in a message record, without a string or an object for each of a million. */
export class LaneBytes {
  #tenantEnd = FIXED_BYTES;
  #domainStart = 0;
  #domainEnd = 0;

  find(payload: Buffer): void {
    let position = recipientsStart(payload);
    this.#tenantEnd = position;
    for (let skip = payload.readUInt32BE(at.dueIndex); skip > 0; skip--)
      position = skipRecipient(payload, position);
    const flags = payload[position] ?? 0;
    position += 12;
    let length = payload.readUInt16BE(position);
    position += 2;
    let start = position;
    if ((flags & recipientFlag.ownDomain) === 0) {
      start = position + length;
      while (start > position && payload[start - 1] !== 0x40) start--;
    } else {
      position += length;
      length = payload.readUInt16BE(position);
      position += 2;
      start = position;
    }
    this.#domainStart = start;
    this.#domainEnd = position + length;
  }

  hash(payload: Buffer): number {
    let hash = 0;
    for (let position = FIXED_BYTES; position < this.#tenantEnd; position++)
      hash = Math.imul(hash ^ (payload[position] ?? 0), 0x0100_0193);
    for (let position = this.#domainStart; position < this.#domainEnd; position++)
      hash = Math.imul(hash ^ (payload[position] ?? 0), 0x0100_0193);
    return hash;
  }

  equals(payload: Buffer, { bytes, flags }: LaneName): boolean {
    if (flags !== flagsOf(payload)) return false;
    const tenantBytes = this.#tenantEnd - FIXED_BYTES;
    if (bytes.length !== tenantBytes + this.#domainEnd - this.#domainStart) return false;
    for (let index = 0; index < bytes.length; index++) {
      const from = index < tenantBytes ? FIXED_BYTES + index : this.#domainStart + index - tenantBytes;
      if (bytes[index] !== payload[from]) return false;
    }
    return true;
  }

  name(payload: Buffer): LaneName {
    const flags = flagsOf(payload);
    const reader = new Reader(payload, FIXED_BYTES);
    const domain = payload.subarray(this.#domainStart, this.#domainEnd);
    const text = (each: number) => ((flags & each) === 0 ? null : reader.text());
    const sendingDomain = text(flag.sendingDomain);
    const credential = text(flag.credential);
    const queueClass = text(flag.queueClass);
    return {
      ...{ sendingDomain, credential, flags },
      ...(queueClass === null ? {} : { queueClass }),
      domain: domain.toString(),
      bytes: Buffer.concat([payload.subarray(FIXED_BYTES, this.#tenantEnd), domain]),
    };
  }
}

function skipRecipient(payload: Buffer, start: number): number {
  const flags = payload[start] ?? 0;
  let position = start + 12;
  position += 2 + payload.readUInt16BE(position);
  if ((flags & recipientFlag.ownDomain) !== 0) position += 2 + payload.readUInt16BE(position);
  if ((flags & recipientFlag.notify) !== 0) position += 1;
  if ((flags & recipientFlag.orcpt) !== 0) position += 2 + payload.readUInt16BE(position);
  if ((flags & recipientFlag.last) !== 0) position += 4 + payload.readUInt32BE(position);
  return position;
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

class Reader {
  readonly #bytes: Buffer;
  #position: number;

  constructor(bytes: Buffer, position = 0) {
    this.#bytes = bytes;
    this.#position = position;
  }

  number(bytes: number): number {
    const value = this.#bytes.readUIntBE(this.#position, bytes);
    this.#position += bytes;
    return value;
  }

  text(lengthBytes: 2 | 4 = 2): string {
    return this.bytes(this.number(lengthBytes)).toString();
  }

  bytes(length: number): Buffer {
    const start = this.#position;
    this.#position += length;
    return this.#bytes.subarray(start, this.#position);
  }

  id(): string {
    for (let word = 0; word < 4; word++) words[word] = this.number(4);
    return unpackId(words);
  }

  state(): RecipientState {
    const name = states[this.number(1)];
    const time = this.number(6);
    switch (name) {
      case "waiting":
        return { kind: name, dueAt: time };
      case "delivered":
        return { kind: name, at: time };
      case "Refused":
      case "Expired":
      case "Operator":
        return { kind: "bounced", at: time, reason: name };
      default:
        throw new Error("Cannot read a recipient: its state is none that this release knows.");
    }
  }

  last(): LastAttempt | null {
    const text = this.text(4);
    return text === "" ? null : (JSON.parse(text) as LastAttempt);
  }
}

export function decodeMessage(payload: Buffer): {
  readonly message: QueuedMessage;
  readonly content: ContentLocation;
} {
  const reader = new Reader(payload);
  const id = reader.id();
  const segment = reader.number(4);
  const offset = reader.number(4);
  const sizeBytes = reader.number(6);
  const headerBytes = reader.number(4);
  const receivedAt = reader.number(6);
  const expiresAt = reader.number(6);
  const flags = reader.number(2);
  const has = (bit: number) => (flags & bit) !== 0;
  const count = reader.number(4);
  reader.bytes(FIXED_BYTES - at.waiting);
  const sendingDomain = has(flag.sendingDomain) ? reader.text() : null;
  const credential = has(flag.credential) ? reader.text() : null;
  const queueClass = has(flag.queueClass) ? reader.text() : undefined;
  const recipients = Array.from({ length: count }, () => decodeRecipient(reader));
  const from = reader.text();
  const envid = has(flag.envid) ? reader.text() : undefined;
  const bodyHash = has(flag.rawHash) ? reader.bytes(32).toString("base64") : reader.text();
  const ret = has(flag.retFull) ? "FULL" : has(flag.retHdrs) ? "HDRS" : undefined;
  const envelope: Envelope = {
    from,
    ...(ret === undefined ? {} : { ret }),
    ...(envid === undefined ? {} : { envid }),
    smtpUtf8: has(flag.smtpUtf8),
    eightBitMime: has(flag.eightBitMime),
    requireTls: has(flag.requireTls),
  };
  return {
    message: {
      ...{ id, receivedAt, expiresAt, envelope, credential, sendingDomain },
      ...{ sizeBytes, headerBytes, bodyHash, recipients },
      ...(queueClass === undefined ? {} : { queueClass }),
    },
    content: segment === 0 ? null : { segment, offset },
  };
}

function decodeRecipient(reader: Reader): Recipient {
  const flags = reader.number(1);
  const has = (bit: number) => (flags & bit) !== 0;
  const state = reader.state();
  const attempts = reader.number(4);
  const address = reader.text();
  const domain = has(recipientFlag.ownDomain) ? reader.text() : domainOf(address);
  const notify = has(recipientFlag.notify) ? notifyOf(reader.number(1)) : undefined;
  const orcpt = has(recipientFlag.orcpt) ? reader.text() : undefined;
  const last = has(recipientFlag.last) ? reader.last() : null;
  return {
    address,
    domain,
    ...(notify === undefined ? {} : { notify }),
    ...(orcpt === undefined ? {} : { orcpt }),
    ...{ state, attempts, last },
  };
}

function notifyOf(bits: number): Notify[] {
  return (Object.keys(notifyBits) as Notify[]).filter((word) => (bits & notifyBits[word]) !== 0);
}

export function decodeUpdate(payload: Buffer): RecipientUpdate {
  const reader = new Reader(payload);
  const id = reader.id();
  const count = reader.number(2);
  const changes = Array.from({ length: count }, () => {
    const index = reader.number(4);
    const state = reader.state();
    const attempts = reader.number(4);
    return { index, recipient: { state, attempts, last: reader.last() } };
  });
  return { id, changes };
}

/** The id in front of a message, update or removal. */
export function readId(payload: Buffer): string {
  return new Reader(payload).id();
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}
