/** Writes the records of messages, updates and removals (messageFormat.ts). Pure, but for one buffer that all share. */
import type { QueuedMessage, Recipient, RecipientState } from "../../message.ts";
import { packId } from "../idTable.ts";
import type { RecipientUpdate } from "../spool.ts";
import type { ContentLocation } from "./contentLocation.ts";
import { domainOf, flag, notifyBits, recipientFlag, states } from "./messageFormat.ts";

/** Grows as needed; one for all, since encoding never pauses. */
let scratch = Buffer.alloc(64 * 1024);
let end = 0;
const words = new Uint32Array(4);

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
