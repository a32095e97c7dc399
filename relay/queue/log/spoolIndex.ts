/**
 * The spool's state in memory: which messages are queued, in which state, and where their content lies.
 * Pure: records go in, and what they removed comes out. Recovery and daily work use the same `apply`, so
 * that what a restart finds is what was there.
 *
 * Messages are handed out as read-only values and never changed in place: the first update copies the
 * list of recipients, later ones reuse the copy.
 */
import type { Instant, MessageId, QueuedMessage, Recipient } from "../../message.ts";
import type { RecipientUpdate, UsageRecord } from "../spool.ts";
import { AllowanceUse } from "./allowanceUse.ts";
import type { ContentLocation, MetadataRecord } from "./metadata.ts";

export interface IndexEntry {
  readonly message: QueuedMessage;
  readonly content: ContentLocation;
  /** Recipients in state `waiting`. */
  readonly waiting: number;
}

interface Entry {
  message: QueuedMessage;
  content: ContentLocation;
  waiting: number;
  /** Our own copy of the recipients, which nobody else holds; undefined until the first update. */
  recipients: Recipient[] | undefined;
}

export class SpoolIndex {
  readonly #entries = new Map<MessageId, Entry>();
  readonly #use = new AllowanceUse();

  get size(): number {
    return this.#entries.size;
  }

  get(id: MessageId): IndexEntry | undefined {
    return this.#entries.get(id);
  }

  ids(): MessageId[] {
    return [...this.#entries.keys()];
  }

  /** Applies one record. Says which entry it removed, if any, and which location it left behind. */
  apply(record: MetadataRecord): { readonly removed?: IndexEntry; readonly left?: ContentLocation } {
    switch (record.kind) {
      case "message": {
        const { message, content } = record;
        const waiting = countWaiting(message.recipients);
        if (waiting === 0) return this.#remove(message.id);
        this.#entries.set(message.id, { message, content, waiting, recipients: undefined });
        return {};
      }
      case "update":
        return this.#update(record);
      case "removed":
        return this.#remove(record.id);
      case "moved": {
        const entry = this.#entries.get(record.id);
        if (entry === undefined) return {};
        const left = entry.content;
        entry.content = record.content;
        return { left };
      }
      case "usage":
        this.#use.apply(record);
        return {};
      case "batch":
      case "journal":
      case "checkpointEnd":
        return {};
    }
  }

  /**
   * The record that tells the log about `update`: a mere removal when nobody waits afterwards, null when
   * the message is gone already. Throws when it names a recipient the message does not have.
   */
  recordOf(update: RecipientUpdate): MetadataRecord | null {
    const entry = this.#entries.get(update.id);
    if (entry === undefined) return null;
    const { recipients } = entry.message;
    const final = new Set<number>();
    const changes = update.changes.map(({ index, recipient: { state, attempts, last } }) => {
      if (!Number.isInteger(index) || index < 0 || index >= recipients.length) {
        throw new Error(
          `Cannot record recipient ${index} of message ${update.id}: it has ${recipients.length}.`,
        );
      }
      if (state.kind === "waiting") final.delete(index);
      else if (recipients[index]?.state.kind === "waiting") final.add(index);
      return { index, recipient: { state, attempts, last } };
    });
    return final.size === entry.waiting
      ? { kind: "removed", id: update.id }
      : { kind: "update", id: update.id, changes };
  }

  /** Every queued message as it is now, oldest first. They stay as they are when the index moves on. */
  messages(): QueuedMessage[] {
    const messages: QueuedMessage[] = [];
    for (const entry of this.#entries.values()) {
      entry.recipients = undefined;
      messages.push(entry.message);
    }
    return messages.toSorted((a, b) => a.receivedAt - b.receivedAt || (a.id < b.id ? -1 : 1));
  }

  /** What is known of allowances. */
  usage(now: Instant): (UsageRecord & { readonly at: Instant })[] {
    return this.#use.all(now);
  }

  #update(update: RecipientUpdate): { removed?: IndexEntry } {
    const entry = this.#entries.get(update.id);
    if (entry === undefined) return {};
    if (entry.recipients === undefined) {
      entry.recipients = [...entry.message.recipients];
      entry.message = { ...entry.message, recipients: entry.recipients };
    }
    for (const { index, recipient } of update.changes) {
      const before = entry.recipients[index];
      if (before === undefined) continue;
      entry.recipients[index] = { ...before, ...recipient };
      entry.waiting += Number(recipient.state.kind === "waiting") - Number(before.state.kind === "waiting");
    }
    return entry.waiting === 0 ? this.#remove(update.id) : {};
  }

  #remove(id: MessageId): { removed?: IndexEntry } {
    const entry = this.#entries.get(id);
    if (entry === undefined) return {};
    this.#entries.delete(id);
    return { removed: entry };
  }
}

function countWaiting(recipients: readonly Recipient[]): number {
  let waiting = 0;
  for (const recipient of recipients) if (recipient.state.kind === "waiting") waiting++;
  return waiting;
}
