/**
 * The durable queue's port: what is promised to whoever got a 250, and to the engine.
 *
 * Contract, shared by every implementation and tested by one suite (test/contract/spool):
 * 1. `commit()` resolves only after content and envelope are on stable storage, directory entries too.
 *    It rejects, and leaves nothing behind, when the store cannot promise that. Commits that arrive
 *    together share one sync (group commit).
 * 2. `record()` resolves when the states of recipients are durable. What was not recorded before a crash
 *    comes back as it was before, so it may be delivered twice, but never lost.
 * 3. `recover()` names every message with a waiting recipient, once, after any crash; `load()` gives it as it
 *    was recorded last. A torn record at the end of a log is cut off and counted, never guessed at.
 * 4. Content is streamed both ways: no call needs a whole message in memory, and a message that waits takes
 *    some 50 bytes of it.
 * 5. A failed store says so (`health`) and recovers by itself when writing works again.
 */
import type { Readable } from "node:stream";

import type { Instant, MessageId, QueuedMessage, Recipient } from "../message.ts";

/** Receives the content of one message. Exactly one of `commit` and `abort` ends it. */
export interface ContentWriter {
  readonly id: MessageId;
  /** Appends bytes, all of them copied; the promise is the back pressure. Rejects with `SpoolError` when the store fails. */
  write(...chunks: readonly Uint8Array[]): Promise<void>;
  /** Makes content and message durable together; `message.id` must be this writer's id. */
  commit(message: QueuedMessage): Promise<void>;
  /** Drops what was written. Never rejects. */
  abort(): Promise<void>;
}

/** New state of some recipients of one message, by index in `QueuedMessage.recipients`. */
export interface RecipientUpdate {
  readonly id: MessageId;
  readonly changes: readonly {
    readonly index: number;
    readonly recipient: Pick<Recipient, "state" | "attempts" | "last">;
  }[];
}

/**
 * Use of an allowance that must survive a crash: units of `counter` (for example
 * "a|google|2026-11-23") taken so far, in-flight ones included. Only ever grows within a counter.
 */
export interface UsageRecord {
  readonly counter: string;
  readonly taken: number;
}

/** What must be known of a message to wait for its turn; the rest stays on the disk until then. */
export interface WaitingMessage {
  readonly id: MessageId;
  /** The earliest due time of its waiting recipients, and the domain of that one. */
  readonly dueAt: Instant;
  readonly domain: string;
  /** It may have waiting recipients of other domains, too. */
  readonly several: boolean;
  readonly expiresAt: Instant;
  /** Recipients that wait. */
  readonly recipients: number;
  readonly sendingDomain: string | null;
  readonly credential: string | null;
  readonly queueClass?: string;
}

/** A message whose envelope cannot be read any more: kept for a person, and sent to nobody. */
export interface SetAside {
  readonly id: MessageId;
  /** When that was found. */
  readonly at: Instant;
  readonly reason: string;
  readonly sizeBytes: number;
}

export interface RecoveredSpool {
  /** How many messages have at least one waiting recipient. */
  readonly count: number;
  /** Each of them, oldest first; can be gone through once, in any number of pieces. */
  readonly waiting: Iterable<WaitingMessage>;
  readonly usage: readonly UsageRecord[];
  /** When this spool was first created: before it, use of allowances is unknown to it. */
  readonly createdAt: Instant;
  /** Bytes cut from the ends of logs, 0 after a clean stop. */
  readonly tornBytes: number;
  /** Bytes of logs that could not be read, with sound records behind them: a broken disk. Kept, not cut. */
  readonly damagedBytes: number;
}

export type SpoolHealth =
  | { readonly state: "Ok" }
  | {
      readonly state: "Failed";
      readonly reason: string;
      readonly since: Instant;
      /**
       * The disk is nearly full: new messages are refused, `record` and `recordUsage` still work, so that
       * delivery goes on and makes room. Absent: nothing can be written.
       */
      readonly full?: true;
    };

export interface Spool {
  /** Reads what a former life left. Called once, before anything else. */
  recover(): Promise<RecoveredSpool>;
  /** Starts a message. Rejects with `SpoolError` at once when the store is known to fail or is nearly full. */
  begin(id: MessageId): Promise<ContentWriter>;
  /** Makes recipient states durable. A message whose recipients are all final is removed. */
  record(updates: readonly RecipientUpdate[]): Promise<void>;
  /** Makes use of allowances durable before the units are spent. */
  recordUsage(records: readonly UsageRecord[]): Promise<void>;
  /**
   * The whole content of a message that is still in memory, for its first delivery; null: `read` it. Nobody
   * changes these bytes.
   */
  atHand(id: MessageId): readonly Buffer[] | null;
  /**
   * Messages as they stand now, in the order of `ids`: null for one that is not queued (any more), an error
   * for one that cannot be read. Many in one call cost little more than one. Rejects when nothing can be read.
   */
  load(ids: readonly MessageId[]): Promise<readonly (QueuedMessage | SpoolError | null)[]>;
  /** Content bytes [start, end) of a committed message; `end` left out means to the end. */
  read(id: MessageId, range?: { readonly start: number; readonly end?: number }): Readable;
  /** What had to be set aside, in this life or a former one, and lies there still. */
  readonly setAside: readonly SetAside[];
  readonly health: SpoolHealth;
  /** Called whenever `health` changes. */
  onHealth(listener: (health: SpoolHealth) => void): void;
  /** Tries the store again when it failed; called on a timer by the engine. */
  probe(): Promise<SpoolHealth>;
  /** Flushes and closes; afterwards every call rejects. */
  close(): Promise<void>;
}

/** A message as its turn is waited for. */
export function waitingOf(message: QueuedMessage): WaitingMessage {
  const { id, expiresAt, sendingDomain, credential, queueClass, recipients } = message;
  let count = 0;
  let dueAt = Number.POSITIVE_INFINITY;
  let domain = "";
  let several = false;
  for (const { state, domain: own } of recipients) {
    if (state.kind !== "waiting") continue;
    count++;
    several ||= count > 1 && own !== domain;
    if (state.dueAt >= dueAt) continue;
    dueAt = state.dueAt;
    domain = own;
  }
  const of = {
    id,
    expiresAt,
    sendingDomain,
    credential,
    ...(queueClass === undefined ? {} : { queueClass }),
  };
  return { ...of, dueAt, domain, several, recipients: count };
}

/** The store could not do its duty: disk full, read-only, I/O error. The client hears 4xx, never 250. */
export class SpoolError extends Error {
  override readonly name = "SpoolError";
}
