/**
 * How content begins and ends within a session: DATA was granted, a writer is opened, 354 is said; and at the true
 * end the client hears what became of its message.
 */
import type { ContentWriter } from "../queue/spool.ts";
import { EndingConnection, shuttingDown } from "./receiveEnding.ts";
import type { LineReader } from "./receiveLines.ts";
import { type MessageReceiver, type Reception, storeRefusal } from "./receiveMessage.ts";
import { receiveMessage, type Transaction } from "./receiveTransaction.ts";

export class ContentConnection extends EndingConnection {
  /** `next` is called when 354 was said, or why not. */
  protected async beginContent(
    transaction: Transaction,
    reader: LineReader,
    next: () => void,
  ): Promise<void> {
    const id = this.host.newId();
    try {
      const writer = await this.host.spool.begin(id);
      // The client may have gone meanwhile.
      if (this._parser !== reader) return await writer.abort();
      this.receiver = this.#receive(transaction, writer);
      reader.takeContent(this.receiver);
      this.sendLine("354 End data with <CR><LF>.<CR><LF>");
    } catch (error) {
      this._resetSession();
      this.host.log.error("spool refused a message", { id, error });
      this.say(storeRefusal(this.host.spool.health));
    }
    return next();
  }

  #receive(transaction: Transaction, writer: ContentWriter): MessageReceiver {
    return receiveMessage(this.host, transaction, {
      writer,
      client: {
        helo: this.hostNameAppearsAs || "",
        clientAddress: this.remoteAddress,
        extended: this.openingCommand === "EHLO",
        tls: this.tlsFacts(),
      },
      onProgress: (bytes) => this.watch.received(bytes),
      onFlood: (why) => this.hangUp(why),
      onEnd: (reception, done) => this.#ended(reception, done),
    });
  }

  #ended(reception: Reception, done: () => void): void {
    this.receiver = undefined;
    this._resetSession();
    this._transactionCounter++;
    this._unrecognizedCommands = 0;
    this.slips = 0;
    this.watch.progress();
    if (reception.kind === "queued") {
      this.sendLine(`250 2.0.0 Ok: queued as ${reception.message.id}`);
      this.host.accepted(reception.message, this.remoteAddress);
    } else {
      this.say(reception.refusal);
    }
    if (this.isRetiring) this.hangUp(shuttingDown);
    done();
  }
}
