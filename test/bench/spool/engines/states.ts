/** What the foreign engines do with the spool's codec: a state onto an envelope, the lane of one. */
import type { QueuedMessage } from "../../../../relay/message.ts";
import { LaneBytes } from "../../../../relay/queue/log/laneBytes.ts";
import type { RecipientUpdate } from "../../../../relay/queue/spool.ts";

export function applied(message: QueuedMessage, update: RecipientUpdate): QueuedMessage {
  const recipients = [...message.recipients];
  for (const { index, recipient } of update.changes) {
    const before = recipients[index];
    if (before !== undefined) recipients[index] = { ...before, ...recipient };
  }
  return { ...message, recipients };
}

/** The recipient domain of an envelope, with one string for all that have the same, as our index does it. */
export function domainsOf(): (payload: Buffer) => string {
  const bytes = new LaneBytes();
  const known = new Map<number, string>();
  return (payload) => {
    bytes.find(payload);
    const hash = bytes.hash(payload);
    let domain = known.get(hash);
    if (domain === undefined) known.set(hash, (domain = bytes.name(payload).domain));
    return domain;
  };
}
