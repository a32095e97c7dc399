/**
 * What a session asks of the receiver it belongs to: the configuration in force, who may come in, where
 * messages go. Types only.
 */
import type { RelayConfig } from "../contract/config.ts";
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { MessageId, QueuedMessage } from "../message.ts";
import type { QueueClasses } from "../policy/queueClass.ts";
import type { Spool } from "../queue/spool.ts";
import type { Credentials } from "./credentials.ts";
import type { Refusal } from "./refusal.ts";
import type { SendingDomains } from "./submission.ts";

/** Events worth a number; a closed set, for metric labels. */
export type ReceiveEvent = "session" | "sessionRefused" | "authFailed" | "accepted" | "refused" | "deferred";

/** What the receiver sees of a session. */
export interface HostedSession {
  readonly remoteAddress: string;
  /** Between MAIL and the reply to its content. */
  readonly isBusy: boolean;
  /** Ends at once when idle, else after the running transaction. */
  retire(): void;
  /** Ends now, but not before a commit that runs has its reply. */
  expel(): void;
  /** Ends without a word. */
  drop(): void;
}

export interface SessionHost {
  readonly clock: Clock;
  readonly log: Log;
  readonly spool: Spool;
  readonly credentials: Credentials;
  readonly newId: () => MessageId;
  /** In force now; asked anew at each step, so that a change needs no new session. */
  readonly config: () => RelayConfig;
  readonly domains: () => SendingDomains;
  readonly queueClasses: () => QueueClasses;
  /** Whether a client at this address may submit without AUTH on this listener. */
  readonly isTrusted: (address: string) => boolean;
  /** Why no new transaction is taken now, or undefined. */
  readonly closedReason: () => Refusal | undefined;
  /** How long a client waits for the reply to MAIL: the pace of an overloaded relay. */
  readonly mailDelayMs: () => number;
  /** Counts a session in; a refusal when there are too many. */
  readonly admit: (session: HostedSession) => Refusal | undefined;
  readonly left: (session: HostedSession) => void;
  readonly accepted: (message: QueuedMessage, client: string) => void;
  readonly refused: (why: Refusal, client: string) => void;
  readonly count: (event: ReceiveEvent) => void;
}
