/**
 * One message on its way from DATA to the spool. The content streams through the filter into a writer;
 * at the true end it is committed, and only then is there anything to say "250" about. Whatever goes wrong
 * (a refusal, a failing store, a client that vanishes) aborts the writer, and nothing is left behind.
 */
import { ContentFilter, type ContentRules, faultRefusal } from "./content.ts";
import type { LineFault } from "./dataDecoder.ts";
import type { Log } from "../kit/log.ts";
import type { Instant, QueuedMessage, Recipient } from "../message.ts";
import { DEFAULT_CLASS, type QueueClass } from "../policy/queueClass.ts";
import type { ContentWriter, SpoolHealth } from "../queue/spool.ts";
import type { ContentSink } from "./receiveLines.ts";
import { type Refusal, refusal } from "./refusal.ts";

export type Reception =
  | { readonly kind: "queued"; readonly message: QueuedMessage }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** What is known of a message before its content is. */
export interface ReceivingMessage {
  readonly envelope: QueuedMessage["envelope"];
  readonly credential: string | null;
  readonly recipients: readonly Recipient[];
  readonly receivedAt: Instant;
}

export interface MessageReceiverOptions {
  readonly writer: ContentWriter;
  readonly rules: Omit<ContentRules, "judgeFrom" | "judgeClass">;
  readonly judgeFrom: ContentRules["judgeFrom"];
  readonly judgeClass: (value: string | null) => QueueClass | Refusal;
  readonly message: ReceivingMessage;
  readonly log: Log;
  readonly health: () => SpoolHealth;
  /** Bytes came in; the session's watch wants to know. */
  readonly onProgress: (bytes: number) => void;
  /** The client goes on and on after what it sends was refused: the session must end now. */
  readonly onFlood: (why: Refusal) => void;
  /** The message ended, one way or the other; `done` lets the next command in. */
  readonly onEnd: (reception: Reception, done: () => void) => void;
}

export class MessageReceiver implements ContentSink {
  readonly #options: MessageReceiverOptions;
  readonly #filter: ContentFilter;
  #sendingDomain: string | null = null;
  #queueClass: QueueClass | null = null;
  #pieces: Buffer[] = [];
  #refusal: Refusal | undefined;
  #bytesAfterRefusal = 0;
  #ended = false;

  constructor(options: MessageReceiverOptions) {
    this.#options = options;
    this.#filter = new ContentFilter({
      ...options.rules,
      judgeFrom: (mailboxes) => {
        // RFC 7489 §3.1: the first author's domain is the one receivers align the signature with.
        this.#sendingDomain = mailboxes[0].domain;
        return options.judgeFrom(mailboxes);
      },
      judgeClass: (value) => {
        const judged = options.judgeClass(value);
        if ("code" in judged) return judged;
        this.#queueClass = judged;
        return undefined;
      },
    });
  }

  /** The end was read: what remains is ours to do, whatever the client does. */
  get isEnding(): boolean {
    return this.#ended;
  }

  push(piece: Buffer): void {
    this.#pieces.push(...this.#filter.push(piece));
  }

  flush({ bytes, fault }: { bytes: number; fault: LineFault | undefined }): Promise<void> | undefined {
    this.#options.onProgress(bytes);
    this.#refusal ??= this.#filter.refusal ?? (fault === undefined ? undefined : faultRefusal(fault));
    if (this.#refusal !== undefined) {
      this.#pieces = [];
      // An honest client sends the rest of its message before it reads the reply. As much as a message may
      // have is read over; more is no message.
      this.#bytesAfterRefusal += bytes;
      if (this.#bytesAfterRefusal > 2 * this.#options.rules.messageSizeBytes) {
        this.#options.onFlood(this.#refusal);
      }
      return undefined;
    }
    return this.#write();
  }

  end(done: () => void): void {
    this.#ended = true;
    void this.#finish().then((reception) => this.#options.onEnd(reception, done));
  }

  /** The session is gone. A message whose end was read is ours already and goes on. */
  abandon(): void {
    if (this.#ended) return;
    this.#refusal ??= refusal(451, "4.4.2", "Connection lost");
    void this.#options.writer.abort();
  }

  async #finish(): Promise<Reception> {
    this.#pieces.push(...this.#filter.end());
    this.#refusal ??= this.#filter.refusal;
    if (this.#refusal === undefined) await this.#write();
    if (this.#refusal !== undefined) {
      await this.#options.writer.abort();
      return { kind: "refused", refusal: this.#refusal };
    }
    const { eightBit, ...measured } = this.#filter.measure();
    const { envelope, ...rest } = this.#options.message;
    const queueClass = this.#queueClass;
    // The filter asks for it before it lets anything through.
    if (queueClass === null) throw new Error("Cannot queue a message: its class was never asked for.");
    const message: QueuedMessage = {
      id: this.#options.writer.id,
      ...rest,
      expiresAt: rest.receivedAt + queueClass.expireAfterSeconds * 1000,
      ...(queueClass.name === DEFAULT_CLASS ? {} : { queueClass: queueClass.name }),
      envelope: { ...envelope, eightBitMime: envelope.eightBitMime || eightBit },
      sendingDomain: this.#sendingDomain,
      ...measured,
    };
    try {
      // Durable before we say 250: after it the message is ours to lose.
      await this.#options.writer.commit(message);
    } catch (error) {
      return { kind: "refused", refusal: this.#storeFailed(error) };
    }
    return { kind: "queued", message };
  }

  /** Writes what a packet brought in one call. Never rejects. */
  #write(): Promise<void> | undefined {
    const pieces = this.#pieces;
    if (pieces.length === 0) return undefined;
    this.#pieces = [];
    return this.#options.writer.write(...pieces).catch((error: unknown) => {
      this.#refusal ??= this.#storeFailed(error);
    });
  }

  #storeFailed(error: unknown): Refusal {
    this.#options.log.error("spool failed while a message came in", { id: this.#options.writer.id, error });
    return storeRefusal(this.#options.health());
  }
}

/** What a client hears while the store cannot take messages: a full one has its own code (RFC 3463 X.3.1). */
export function storeRefusal(health: SpoolHealth): Refusal {
  return health.state === "Failed" && health.full === true
    ? refusal(452, "4.3.1", "The queue is full, try again later")
    : refusal(451, "4.3.0", "The queue cannot store messages now, try again later");
}
