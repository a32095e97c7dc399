/**
 * How a client's session ends: by itself, by our time-out, for too many slips, or because the relay stops; and
 * what is said before. A session that is busy with a message is let finish it where that is possible.
 */
import type { Socket } from "node:net";

import type { SMTPServer } from "smtp-server";
import type { SMTPConnectionOptions } from "smtp-server/lib/smtp-connection.js";

import { TamedConnection } from "./receiveConnection.ts";
import type { HostedSession, SessionHost } from "./receiveHost.ts";
import type { MessageReceiver } from "./receiveMessage.ts";
import type { Transaction } from "./receiveTransaction.ts";
import { SessionWatch } from "./receiveWatch.ts";
import { type Refusal, refusal } from "./refusal.ts";

/** Commands out of order or malformed, until a message is queued. */
const MOST_SLIPS = 20;

export class EndingConnection extends TamedConnection implements HostedSession {
  protected readonly host: SessionHost;
  protected readonly watch: SessionWatch;
  protected transaction: Transaction | undefined;
  protected receiver: MessageReceiver | undefined;
  protected slips = 0;
  protected isRetiring = false;

  constructor(server: SMTPServer, socket: Socket, options: SMTPConnectionOptions, host: SessionHost) {
    super(server, socket, options);
    this.host = host;
    this.watch = new SessionWatch(host.clock, () => this.#timedOut());
  }

  get isBusy(): boolean {
    return this.transaction !== undefined || this.receiver !== undefined;
  }

  retire(): void {
    this.isRetiring = true;
    if (!this.isBusy) this.hangUp(this.host.closedReason() ?? shuttingDown);
  }

  expel(): void {
    this.isRetiring = true;
    if (this.receiver?.isEnding !== true) this.hangUp(shuttingDown);
  }

  override _onClose(): void {
    this.watch.stop();
    this.receiver?.abandon();
    this.receiver = undefined;
    this.transaction = undefined;
    this.host.left(this);
    super._onClose();
  }

  protected say(why: Refusal): void {
    // 500 to 504 and 530: a dialogue that goes nowhere.
    if ((why.code >= 500 && why.code <= 504) || why.code === 530) this.slips++;
    this.host.refused(why, this.remoteAddress);
    this.send(why.code, `${why.enhanced} ${why.text}`);
    if (this.slips > MOST_SLIPS && !this._closing) this.hangUp(refusal(421, "4.7.0", "Too many errors"));
  }

  protected hangUp(why: Refusal): void {
    // In the middle of a handshake there is nobody to talk to; the top socket goes, never the one below it.
    if (this._upgrading) return this.drop();
    this.say(why);
    this.close();
  }

  #timedOut(): void {
    if (this.receiver?.isEnding === true || (this._handlerPending && !this._upgrading)) {
      // The client waits for us: RFC 5321 §4.5.3.2 gives it minutes, and we must not be faster.
      this.watch.progress();
      return;
    }
    this.hangUp(refusal(421, "4.4.2", "Timeout, closing connection"));
  }
}

export const shuttingDown = refusal(421, "4.3.2", "Shutting down, try again");
