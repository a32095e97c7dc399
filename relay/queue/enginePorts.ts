/**
 * What the engine is given: every effect it has goes through one of these. main.ts passes the real ones,
 * tests pass small programs of their own.
 */
import type { RelayConfig } from "../contract/config.ts";
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import type { Instant, MessageId, QueuedMessage, Recipient } from "../message.ts";
import type { Deliverer, MxResolver } from "../smtp/delivery.ts";
import type { Spool } from "./spool.ts";
import type { Watched } from "./watchdog.ts";

/** An order for a delivery status notification (RFC 3464). */
export interface BounceOrder {
  /** Id the notice shall have. */
  readonly id: MessageId;
  readonly at: Instant;
  /** The message it speaks of; the notice goes to its sender. */
  readonly message: QueuedMessage;
  /** Header block of that message, as queued. */
  readonly header: Buffer;
  /** Recipients to report, in their final state; "relayed": the peer takes no DSN (RFC 3461 §5.2.3). */
  readonly recipients: readonly { readonly recipient: Recipient; readonly action: "failed" | "relayed" }[];
  readonly config: RelayConfig;
}

export interface ComposedBounce {
  readonly message: QueuedMessage;
  readonly content: Uint8Array | AsyncIterable<Uint8Array>;
}

/** Counts for metrics; labels come from closed sets. */
export interface EngineMetrics {
  /** One recipient's outcome of one attempt; source "" when none was chosen. */
  outcome(labels: {
    readonly source: string;
    readonly provider: string;
    readonly result: "delivered" | "deferred" | "bounced" | "expired";
    readonly class: string;
  }): void;
  /** A recipient was delivered to, so long after the message was accepted. */
  delivered(labels: { readonly queueClass: string }, seconds: number): void;
  /** The watchdog ended something that would not end by itself. */
  watchdog(labels: { readonly what: Watched }): void;
  /** One transaction, from start to its last reply. */
  transaction(labels: { readonly source: string; readonly provider: string }, seconds: number): void;
}

export interface EnginePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly spool: Spool;
  readonly deliverer: Deliverer;
  readonly resolver: MxResolver;
  /** Header fields to put in front of the content, CRLF line ends; empty when nothing signs. */
  sign(message: QueuedMessage, config: RelayConfig): Promise<Buffer>;
  composeBounce(order: BounceOrder): Promise<ComposedBounce>;
  /** A password from the configuration folder, by file name. */
  readSecret(file: string): Promise<string>;
  /**
   * Why no connection can be made from this address of the machine; null when one can. Never rejects.
   * Absent: an address is taken to be there until a connection from it fails.
   */
  readonly bindFault?: (address: string) => Promise<string | null>;
  newId(): MessageId;
  readonly metrics: EngineMetrics;
}

/** Bounds; every one has a default that suits one process on two cores. */
export interface EngineLimits {
  /** Transactions at once, those not counted that have lasted longer than `slowAfterMs`. */
  readonly transactions: number;
  /** Transactions that have lasted longer: a socket and some 60 KiB each. */
  readonly slowTransactions: number;
  /** Far above what a peer that works takes; others wait so long for the silence of those that do not. */
  readonly slowAfterMs: number;
  /** Domains resolved at once. */
  readonly resolutions: number;
  /** Recipients of a transaction: RFC 5321 §4.5.3.1.8 lets us count on a hundred. */
  readonly recipientsPerTransaction: number;
  /** Recipients in memory; what is beyond waits on the disk (window.ts). */
  readonly inMemory: number;
}

export const defaultLimits: EngineLimits = {
  transactions: 200,
  slowTransactions: 400,
  slowAfterMs: 30_000,
  resolutions: 50,
  recipientsPerTransaction: 100,
  // Two seconds of the fastest sending there is, at some 2 KiB each.
  inMemory: 8000,
};

export const noMetrics: EngineMetrics = { outcome() {}, delivered() {}, transaction() {}, watchdog() {} };
