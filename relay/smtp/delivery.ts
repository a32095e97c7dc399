/**
 * What the engine asks of the outbound SMTP side, and what it gets back: types only.
 * `deliver.ts` speaks SMTP, `resolveMx.ts` finds hosts; the engine owns neither rule nor socket.
 */
import type { Readable } from "node:stream";

import type { Envelope, Notify, Outcome, SmtpStage } from "../message.ts";

/** One MX host with its addresses, in the order to try. */
export interface MxHost {
  readonly name: string;
  readonly preference: number;
  readonly addresses: readonly string[];
}

/** Where the mail of a domain goes. A site is the sorted set of MX names, so that domains share it. */
export type Resolution =
  | {
      readonly kind: "hosts";
      /** Key of the site: the MX names, sorted, joined by commas; bounded by a hash beyond 200 characters. */
      readonly site: string;
      /** Ascending preference, equal ones shuffled by the draw (RFC 5321 §5.1). */
      readonly hosts: readonly MxHost[];
    }
  | {
      readonly kind: "unroutable";
      /** NXDOMAIN, null MX, MX without address: permanent. SERVFAIL, time-out: not. */
      readonly permanent: boolean;
      /** RFC 3463 code: 5.1.2, 5.1.10 (RFC 7505), 4.4.3, 5.4.4, 5.4.6. */
      readonly enhanced: string;
      readonly reason: string;
    };

export interface MxResolver {
  /** Never rejects. Answers are kept for their TTL, bounded in number. */
  resolve(domain: string): Promise<Resolution>;
  /** Addresses of one host name (a smart host), same rules without MX. */
  resolveHost(name: string): Promise<Resolution>;
}

/** TLS towards this peer: Opportunistic falls back to plain text once, Required and Verify never do. */
export type OutboundTls = {
  readonly mode: "Opportunistic" | "Required" | "Verify";
  /** TLS from the first byte (port 465). */
  readonly implicit: boolean;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
};

export interface DeliveryJob {
  /** Egress source: connections are kept and reused per (source, site, tls, auth). */
  readonly source: { readonly name: string; readonly address: string | null; readonly ehloName: string };
  readonly site: string;
  readonly hosts: readonly MxHost[];
  readonly port: number;
  readonly tls: OutboundTls;
  readonly auth: { readonly username: string; readonly password: string } | null;
  readonly envelope: Envelope;
  /** Bytes of the content, for SIZE=. */
  readonly sizeBytes: number;
  readonly recipients: readonly {
    readonly address: string;
    readonly notify?: readonly Notify[];
    readonly orcpt?: string;
  }[];
  /** A fresh stream of the content with CRLF line ends, signatures in front, not dot-stuffed. */
  content(): Readable;
  /** The same bytes, when they are in memory, which nobody changes; null or absent: stream them. */
  contentAtHand?(): readonly Buffer[] | null;
  /** Ends the transaction at once; what is not answered by then is `unreachable`. */
  readonly signal: AbortSignal;
  /** Called at every reply and every block written, so that the engine's watchdog sees that it moves. */
  readonly progress?: () => void;
  /** Transactions a connection may carry before it is closed; absent: the deliverer's own default. */
  readonly messagesPerConnection?: number;
}

export interface DeliveryResult {
  /** One a recipient, in the order of the job. */
  readonly outcomes: readonly Outcome[];
  /** Host and address spoken to last; null when no connection came about. */
  readonly host: string | null;
  readonly address: string | null;
  readonly tls: { readonly version: string; readonly cipher: string; readonly verified: boolean } | null;
  /** Where the session broke, when it did: such outcomes speak of the site, not of the message. */
  readonly failedAt: SmtpStage | null;
  /** Why no connection could be bound to the source's address; null where that was not what failed. */
  readonly unbound: string | null;
  /** Whether the peer took DSN parameters; if not, we owe the success notice (RFC 3461 §5.2.3). */
  readonly dsnTaken: boolean;
}

export interface Deliverer {
  /** Never rejects. Opens, reuses and keeps connections within the limits it is told. */
  deliver(job: DeliveryJob): Promise<DeliveryResult>;
  /** Connections open now (busy and idle) of a source towards a site. */
  connections(sourceName: string, site: string): number;
  /** Ends idle connections at once, busy ones after their message; then resolves. */
  close(): Promise<void>;
}
