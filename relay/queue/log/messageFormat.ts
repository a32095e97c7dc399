/**
 * How messages, updates and removals lie in bytes: the records that recovery reads by the million. What an
 * index needs stands in front at fixed places, so that a start neither parses nor builds a message (some
 * 170 bytes and a microsecond each). Addresses, names and replies are plain UTF-8, for a person with `strings`.
 * messageEncoder.ts writes them, messageDecoder.ts builds messages of them, messageFacts.ts and laneBytes.ts
 * read what is needed without building.
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
import type { Notify } from "../../message.ts";

export const ID_BYTES = 16;
/** What stands in front of a message record; then come the names of its lane. */
export const FIXED_BYTES = 66;
/** Where in it. */
export const at = {
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

export const flag = {
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
export const recipientFlag = { notify: 1, orcpt: 2, last: 4, ownDomain: 8 } as const;
export const notifyBits: Readonly<Record<Notify, number>> = { NEVER: 1, SUCCESS: 2, FAILURE: 4, DELAY: 8 };

/** By their number. */
export const states = ["waiting", "delivered", "Refused", "Expired", "Operator"] as const;
/** Number of the first. */
export const WAITING = 0;

/** A recipient's domain is written only where it is not this. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}
