/**
 * One client's dialogue: smtp-server's connection (socket, TLS upgrade, AUTH exchange, closing) with our
 * rules for what is said. Greeting → EHLO → STARTTLS → AUTH → MAIL → RCPT → DATA → 250, and the refusals.
 *
 * What smtp-server's connection leaves open is overridden here and in receiveConnection.ts: it waits 100 ms
 * to greet, shows AUTH before TLS, takes any line end, and leaves senders, parameters and content to us.
 * The pinned version and the dialogue tests keep the two together.
 */
import type { Socket } from "node:net";

import type { SMTPServer } from "smtp-server";
import type { SMTPConnectionOptions } from "smtp-server/lib/smtp-connection.js";

import type { Credential } from "../contract/config.ts";
import type { ContentWriter } from "../queue/spool.ts";
import { TamedConnection } from "./receiveConnection.ts";
import type { HostedSession, SessionHost } from "./receiveHost.ts";
import { type CommandFault, LineReader } from "./receiveLines.ts";
import { type MessageReceiver, type Reception, storeRefusal } from "./receiveMessage.ts";
import {
  addRecipient,
  authRequired,
  openTransaction,
  outOfOrder,
  readyForContent,
  receiveMessage,
  type Transaction,
} from "./receiveTransaction.ts";
import { SessionWatch } from "./receiveWatch.ts";
import { type Refusal, refusal } from "./refusal.ts";
import type { Submitter } from "./submission.ts";

/** Commands before a client says who it is; EHLO, STARTTLS, EHLO, AUTH and a few slips. */
const MOST_ANONYMOUS_COMMANDS = 20;
/** Commands out of order or malformed, until a message is queued. */
const MOST_SLIPS = 20;
/** Refused logins of one session. */
const MOST_FAILED_LOGINS = 5;

export class ReceivingSession extends TamedConnection implements HostedSession {
  readonly #host: SessionHost;
  readonly #watch: SessionWatch;
  #credential: Credential | undefined;
  #transaction: Transaction | undefined;
  #receiver: MessageReceiver | undefined;
  #anonymousCommands = 0;
  #failedLogins = 0;
  #slips = 0;
  #isRetiring = false;

  constructor(server: SMTPServer, socket: Socket, options: SMTPConnectionOptions, host: SessionHost) {
    super(server, socket, options);
    this.#host = host;
    this.#watch = new SessionWatch(host.clock, () => this.#timedOut());
  }

  get isBusy(): boolean {
    return this.#transaction !== undefined || this.#receiver !== undefined;
  }

  retire(): void {
    this.#isRetiring = true;
    if (!this.isBusy) this.#hangUp(this.#host.closedReason() ?? shuttingDown);
  }

  expel(): void {
    this.#isRetiring = true;
    if (this.#receiver?.isEnding !== true) this.#hangUp(shuttingDown);
  }

  // --- what the library asks of a connection, answered our way ---

  /** Without the delay of 100 ms that is to catch clients who talk first: they only get their reply early. */
  override init(): void {
    this._setListeners(() => {
      const why = this.#host.admit(this);
      if (why === undefined) this.connectionReady();
      else this.#hangUp(why);
    });
  }

  override _createParser(): LineReader {
    const reader: LineReader = new LineReader({
      socket: () => this._socket,
      onCommand: (line, next) => this._onCommand(line, next),
      onFault: (fault) => this.#hangUp(commandFaults[fault]),
    });
    return reader;
  }

  override _onClose(): void {
    this.#watch.stop();
    this.#receiver?.abandon();
    this.#receiver = undefined;
    this.#transaction = undefined;
    this.#host.left(this);
    super._onClose();
  }

  /** EHLO, RSET, a finished message and STARTTLS all begin anew. */
  override _resetSession(): void {
    super._resetSession();
    this.#transaction = undefined;
  }

  override _onCommand(line: Buffer, next?: () => void): void {
    // A client that is nobody yet has the watch's patience once, not once a command.
    const isKnown = this.#submitter() !== undefined;
    if (isKnown) this.#watch.progress();
    const verb = /^[A-Za-z]+(?= |$)/.exec(line.toString("latin1", 0, 16))?.[0].toUpperCase() ?? "";
    if (this._upgrading || this._nextHandler !== false) return super._onCommand(line, next);
    const closed = this.#isRetiring || this.isBusy ? undefined : this.#host.closedReason();
    if (closed !== undefined && verb !== "QUIT") return this.#hangUp(closed);
    if (!isKnown && verb !== "AUTH" && verb !== "QUIT") {
      this.#anonymousCommands++;
      if (this.#anonymousCommands > MOST_ANONYMOUS_COMMANDS) {
        return this.#hangUp(refusal(421, "4.7.0", "Too many commands without authentication"));
      }
    }
    if (next === undefined || !this.#isOpen) return super._onCommand(line, next);
    // As the library would, which looks at each command for more than these can be.
    if (verb === "MAIL") return this.#run(next, (done) => this.handler_MAIL(line, done));
    if (verb === "RCPT") return this.#run(next, (done) => this.handler_RCPT(line, done));
    if (verb === "DATA") return this.#run(next, (done) => this.handler_DATA(line, done));
    return super._onCommand(line, next);
  }

  /** Greeted, introduced, and not about to end: what the library asks before each command. */
  get #isOpen(): boolean {
    return this._ready && this._server._closeTimeout === false && this.hostNameAppearsAs !== false;
  }

  #run(next: () => void, handler: (done: () => void) => void): void {
    let isDone = false;
    const done = () => {
      isDone = true;
      this._handlerPending = false;
      this._whenWritable(next);
    };
    this._handlerPending = true;
    try {
      handler(done);
    } catch (error) {
      this.#host.log.error("a command failed by a fault of this relay", { error });
      if (isDone) return;
      this.#say(refusal(451, "4.3.0", "Internal error, try again later"));
      done();
    }
  }

  // --- commands ---

  override handler_EHLO(line: Buffer, next: () => void): void {
    const name = /^EHLO +(\S+) *$/i.exec(line.toString())?.[1];
    // The library's own check: bounded, no control characters, otherwise what the client likes.
    if (name === undefined || name.length > 255 || /\p{C}/u.test(name)) {
      this.send(501, "Syntax: EHLO hostname", false);
      return next();
    }
    this.hostNameAppearsAs = name;
    this._resetSession();
    const features = [
      this.name,
      "PIPELINING",
      `SIZE ${this.#host.config().limits.messageSizeBytes}`,
      "8BITMIME",
      "SMTPUTF8",
      "ENHANCEDSTATUSCODES",
      "DSN",
      ...(this.secure ? ["REQUIRETLS"] : ["STARTTLS"]),
      // RFC 4954 §4: not offered where it is not taken, and not twice.
      ...(this.secure && this.#credential === undefined ? ["AUTH PLAIN LOGIN"] : []),
    ];
    this.send(250, features, false);
    next();
  }

  override handler_AUTH(line: Buffer, next: () => void): void {
    if (this.#transaction === undefined) return super.handler_AUTH(line, next);
    // RFC 4954 §4: not during a mail transaction.
    this.#say(refusal(503, "5.5.1", "AUTH is not permitted during a mail transaction"));
    next();
  }

  override handler_MAIL(line: Buffer, next: () => void): void {
    const delayMs = this.#host.mailDelayMs();
    if (delayMs === 0) return this.#openTransaction(line, next);
    // What comes next of this client waits too: one command at a time.
    this.#host.clock.after(delayMs, () =>
      this._closing || this._closed ? next() : this.#openTransaction(line, next),
    );
  }

  #openTransaction(line: Buffer, next: () => void): void {
    const opened: Transaction | Refusal =
      this.#transaction === undefined
        ? openTransaction(this.#host, line, { submitter: this.#submitter(), secure: this.secure })
        : refusal(503, "5.5.1", "A transaction is open, RSET ends it");
    if ("code" in opened) {
      this.#say(opened);
    } else {
      this.#transaction = opened;
      this.sendLine("250 2.1.0 Ok");
    }
    next();
  }

  override handler_RCPT(line: Buffer, next: () => void): void {
    const why =
      this.#transaction !== undefined
        ? addRecipient(this.#host, this.#transaction, line)
        : this.#submitter() === undefined
          ? authRequired
          : outOfOrder;
    if (why === undefined) this.sendLine("250 2.1.5 Ok");
    else this.#say(why);
    next();
  }

  override handler_DATA(line: Buffer, next: () => void): void {
    const transaction = this.#transaction;
    const reader = this._parser;
    if (!(reader instanceof LineReader)) return next();
    if (reader.hasMore) {
      // RFC 2920 §3.1: DATA ends a group. Were it refused, the content behind it would run as commands.
      return this.#hangUp(refusal(554, "5.5.0", "Content was sent before it was asked for"));
    }
    const why = readyForContent(transaction, line);
    if (why !== undefined || transaction === undefined) {
      this.#say(why ?? outOfOrder);
      return next();
    }
    void this.#begin(transaction, reader, next);
  }

  /** AUTH's verdict, for the server's `onAuth`. */
  async authenticate(
    username: string,
    password: string,
    authorizationId: string,
  ): Promise<Refusal | undefined> {
    const verdict =
      // RFC 4616 §2: acting for somebody else is nothing we grant.
      authorizationId !== "" && authorizationId !== username
        ? ({ ok: false, refusal: refusal(535, "5.7.8", "Authentication credentials invalid") } as const)
        : await this.#host.credentials.authenticate({
            clientAddress: this.remoteAddress,
            username,
            password,
          });
    this.#watch.progress();
    if (verdict.ok) {
      this.#credential = verdict.credential;
      return undefined;
    }
    this.#failedLogins++;
    this.#host.count("authFailed");
    this.#host.log.info("login refused", {
      client: this.remoteAddress,
      user: this.#host.log.address(username),
      code: verdict.refusal.code,
    });
    return verdict.refusal;
  }

  /** After the verdict was told: enough is enough. */
  authEnded(): void {
    if (this.#failedLogins >= MOST_FAILED_LOGINS) {
      this.#hangUp(refusal(421, "4.7.0", "Too many failed logins in one session"));
    }
  }

  // --- inner steps ---

  async #begin(transaction: Transaction, reader: LineReader, next: () => void): Promise<void> {
    const id = this.#host.newId();
    try {
      const writer = await this.#host.spool.begin(id);
      // The client may have gone meanwhile.
      if (this._parser !== reader) return await writer.abort();
      this.#receiver = this.#receive(transaction, writer);
      reader.takeContent(this.#receiver);
      this.sendLine("354 End data with <CR><LF>.<CR><LF>");
    } catch (error) {
      this._resetSession();
      this.#host.log.error("spool refused a message", { id, error });
      this.#say(storeRefusal(this.#host.spool.health));
    }
    return next();
  }

  #receive(transaction: Transaction, writer: ContentWriter): MessageReceiver {
    return receiveMessage(this.#host, transaction, {
      writer,
      client: {
        helo: this.hostNameAppearsAs || "",
        clientAddress: this.remoteAddress,
        extended: this.openingCommand === "EHLO",
        tls: this.tlsFacts(),
      },
      onProgress: (bytes) => this.#watch.received(bytes),
      onFlood: (why) => this.#hangUp(why),
      onEnd: (reception, done) => this.#ended(reception, done),
    });
  }

  #ended(reception: Reception, done: () => void): void {
    this.#receiver = undefined;
    this._resetSession();
    this._transactionCounter++;
    this._unrecognizedCommands = 0;
    this.#slips = 0;
    this.#watch.progress();
    if (reception.kind === "queued") {
      this.sendLine(`250 2.0.0 Ok: queued as ${reception.message.id}`);
      this.#host.accepted(reception.message, this.remoteAddress);
    } else {
      this.#say(reception.refusal);
    }
    if (this.#isRetiring) this.#hangUp(shuttingDown);
    done();
  }

  #submitter(): Submitter | undefined {
    if (this.#credential !== undefined) {
      // Removed or changed in the configuration since: the session must log in again.
      this.#credential = this.#host.credentials.current(this.#credential);
      if (this.#credential !== undefined) return { credential: this.#credential };
      this.session.user = false;
    }
    return this.#host.isTrusted(this.remoteAddress) ? { credential: null } : undefined;
  }

  #timedOut(): void {
    if (this.#receiver?.isEnding === true || (this._handlerPending && !this._upgrading)) {
      // The client waits for us: RFC 5321 §4.5.3.2 gives it minutes, and we must not be faster.
      this.#watch.progress();
      return;
    }
    this.#hangUp(refusal(421, "4.4.2", "Timeout, closing connection"));
  }

  #say(why: Refusal): void {
    // 500 to 504 and 530: a dialogue that goes nowhere.
    if ((why.code >= 500 && why.code <= 504) || why.code === 530) this.#slips++;
    this.#host.refused(why, this.remoteAddress);
    this.send(why.code, `${why.enhanced} ${why.text}`);
    if (this.#slips > MOST_SLIPS && !this._closing) this.#hangUp(refusal(421, "4.7.0", "Too many errors"));
  }

  #hangUp(why: Refusal): void {
    // In the middle of a handshake there is nobody to talk to; the top socket goes, never the one below it.
    if (this._upgrading) return this.drop();
    this.#say(why);
    this.close();
  }
}

const shuttingDown = refusal(421, "4.3.2", "Shutting down, try again");
const commandFaults: Readonly<Record<CommandFault, Refusal>> = {
  TooLong: refusal(500, "5.5.2", "Line too long"),
  BareLineEnd: refusal(500, "5.5.2", "A command line ends with CRLF and has no other CR or LF"),
  Nul: refusal(500, "5.5.2", "A command line has no NUL"),
};
