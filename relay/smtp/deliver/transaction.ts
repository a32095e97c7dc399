/**
 * One message in one session: MAIL, RCPT for each recipient, DATA, content, and what became of each.
 *
 * Outcomes are written as they become known, so that when the session breaks (it rejects with
 * `SessionBroken`) what was already answered stays answered. With PIPELINING (RFC 2920) the envelope and
 * DATA leave in one write.
 */
import type { Readable } from "node:stream";

import type { Outcome, Reply, SmtpStage } from "../../message.ts";
import type { DeliveryJob } from "../delivery.ts";
import { DotStuffing } from "./dotStuffing.ts";
import { mailCommand, rcptCommand } from "./envelopeCommands.ts";
import { replyText } from "./replies.ts";
import type { Session, Timeouts } from "./session.ts";
import { SessionBroken } from "./sessionBroken.ts";

/** Outcomes by index of recipient; null while unknown. */
export type Outcomes = (Outcome | null)[];

export async function transact(
  session: Session,
  job: DeliveryJob,
  pending: readonly number[],
  outcomes: Outcomes,
  timeouts: Timeouts,
): Promise<void> {
  const dialogue = new Transaction(session, job, outcomes, timeouts);
  session.transactions++;
  const accepted = await dialogue.envelope(pending);
  if (accepted.length > 0) await dialogue.content(accepted);
}

class Transaction {
  readonly #session: Session;
  readonly #job: DeliveryJob;
  readonly #outcomes: Outcomes;
  readonly #timeouts: Timeouts;

  constructor(session: Session, job: DeliveryJob, outcomes: Outcomes, timeouts: Timeouts) {
    this.#session = session;
    this.#job = job;
    this.#outcomes = outcomes;
    this.#timeouts = timeouts;
  }

  /** The indexes of recipients whose content the peer now waits for; all others have their outcome. */
  async envelope(pending: readonly number[]): Promise<readonly number[]> {
    const { extensions, channel } = this.#session;
    const mail = mailCommand(this.#job, extensions);
    const rcpts = pending.map((index) => rcptCommand(this.#recipient(index), extensions));
    const reset = this.#session.needsReset ? "RSET\r\n" : "";
    const owed = (reset === "" ? 0 : 1) + rcpts.length + 2;
    if (extensions.pipelining) channel.send(`${reset}${mail}${rcpts.join("")}DATA\r\n`, owed);
    const turn = (command: string) => {
      if (!extensions.pipelining) channel.send(command, 1);
    };

    if (reset !== "") {
      turn(reset);
      await this.#positive("reset", this.#timeouts.resetMs);
      this.#session.needsReset = false;
    }
    turn(mail);
    const sender = await this.#judged("mail", this.#timeouts.mailMs);
    if (!isPositive(sender)) {
      for (const index of pending) this.#settle(index, "mail", sender);
      if (extensions.pipelining) await this.#hearRefusals(pending.length);
      return [];
    }
    this.#session.needsReset = true;
    const accepted: number[] = [];
    for (const [position, index] of pending.entries()) {
      turn(rcpts[position] ?? "");
      const reply = await this.#judged("rcpt", this.#timeouts.rcptMs);
      if (isPositive(reply)) accepted.push(index);
      else this.#settle(index, "rcpt", reply);
    }
    if (accepted.length === 0) {
      if (extensions.pipelining) await this.#endWithoutRecipients();
      return [];
    }
    turn("DATA\r\n");
    const go = await this.#reply("data", this.#timeouts.dataMs);
    if (go.code >= 300 && go.code < 400) return accepted;
    if (isPositive(go)) throw this.#protocolError("data", go);
    for (const index of accepted) this.#settle(index, "data", go);
    return [];
  }

  async content(accepted: readonly number[]): Promise<void> {
    const { channel } = this.#session;
    const atHand = this.#job.contentAtHand?.() ?? null;
    channel.beginContent();
    if (atHand === null) await this.#sendStream(this.#job.content());
    else await this.#sendPieces(atHand);
    const early = channel.hasReply;
    const reply = await this.#judged("content", this.#timeouts.finalDotMs);
    if (early && isPositive(reply)) throw this.#protocolError("content", reply);
    for (const index of accepted) {
      if (isPositive(reply)) this.#outcomes[index] = { kind: "delivered", reply };
      else this.#settle(index, "content", reply);
    }
    // Without the final dot the peer still reads content: only closing ends that.
    if (early) channel.breakOff("closed", `answered before the end of the content: ${replyText(reply)}`);
    else this.#session.needsReset = false;
  }

  /**
   * Writes content that is in memory, and the final dot, in one go where the system takes it; stops as
   * `#sendStream` does.
   */
  async #sendPieces(pieces: readonly Buffer[]): Promise<void> {
    const { channel } = this.#session;
    const stuffing = new DotStuffing();
    for (const piece of pieces) {
      await channel.write(stuffing.stuff(piece), this.#timeouts.blockMs);
      if (channel.hasReply || channel.isBroken) return;
    }
    channel.endContent(stuffing.end());
  }

  /** Streams content and final dot; stops where a reply comes early, whose meaning the caller knows. */
  async #sendStream(source: Readable): Promise<void> {
    const { channel } = this.#session;
    const stuffing = new DotStuffing();
    // A connection that ends while our own store is slow must end the reading too.
    const forget = channel.onBroken(() => source.destroy());
    try {
      for await (const chunk of source) {
        const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as Uint8Array);
        await channel.write(stuffing.stuff(bytes), this.#timeouts.blockMs);
        if (channel.hasReply || channel.isBroken) return;
      }
    } catch (error) {
      if (channel.isBroken) return;
      // Half a message must never look whole: close without the final dot.
      const reason = `the message cannot be read: ${error instanceof Error ? error.message : String(error)}`;
      channel.breakOff("local", reason);
      throw new SessionBroken("content", "local", reason);
    } finally {
      forget();
    }
    if (!channel.isBroken) channel.endContent(stuffing.end());
  }

  /** The sender was refused: the rest of the pipelined envelope must be refused as well. */
  async #hearRefusals(recipients: number): Promise<void> {
    for (let index = 0; index < recipients; index++) await this.#reply("rcpt", this.#timeouts.rcptMs);
    const data = await this.#reply("data", this.#timeouts.dataMs);
    // Who refuses the sender and then wants content cannot be trusted with an empty message.
    if (data.code < 400)
      this.#session.channel.breakOff("nonsense", `wants content without a sender: ${replyText(data)}`);
  }

  /** RFC 2920 §3.1: when no recipient was taken and DATA was, a lone dot ends the empty message. */
  async #endWithoutRecipients(): Promise<void> {
    const { channel } = this.#session;
    const data = await this.#reply("data", this.#timeouts.dataMs);
    if (data.code >= 400) return;
    if (data.code < 300)
      return channel.breakOff("nonsense", `took DATA without recipients: ${replyText(data)}`);
    channel.send(".\r\n", 1);
    await this.#reply("content", this.#timeouts.dataMs);
    this.#session.needsReset = false;
  }

  /** A reply that is yes or no; anything else breaks the session. */
  #judged(stage: SmtpStage, timeoutMs: number): Reply | Promise<Reply> {
    const reply = this.#reply(stage, timeoutMs);
    return reply instanceof Promise
      ? reply.then((came) => this.#yesOrNo(stage, came))
      : this.#yesOrNo(stage, reply);
  }

  #yesOrNo(stage: SmtpStage, reply: Reply): Reply {
    if (reply.code >= 300 && reply.code < 400) throw this.#protocolError(stage, reply);
    return reply;
  }

  async #positive(stage: SmtpStage, timeoutMs: number): Promise<void> {
    const reply = await this.#reply(stage, timeoutMs);
    if (!isPositive(reply)) throw this.#protocolError(stage, reply);
  }

  #reply(stage: SmtpStage, timeoutMs: number): Reply | Promise<Reply> {
    return this.#session.channel.reply(stage, timeoutMs);
  }

  #protocolError(stage: SmtpStage, reply: Reply): SessionBroken {
    const reason = `gave an answer that has no meaning here: ${replyText(reply)}`;
    this.#session.channel.breakOff("nonsense", reason);
    return new SessionBroken(stage, "nonsense", reason);
  }

  #settle(index: number, stage: SmtpStage, reply: Reply): void {
    this.#outcomes[index] ??= { kind: "replied", stage, reply };
  }

  #recipient(index: number): DeliveryJob["recipients"][number] {
    const recipient = this.#job.recipients[index];
    if (recipient === undefined) throw new Error(`recipient ${index} is not in the job`);
    return recipient;
  }
}

function isPositive(reply: Reply): boolean {
  return reply.code >= 200 && reply.code < 300;
}
