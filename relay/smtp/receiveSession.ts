/**
 * One client's dialogue: smtp-server's connection (socket, TLS upgrade, AUTH exchange, closing) with our
 * rules for what is said. Greeting → EHLO → STARTTLS → AUTH → MAIL → RCPT → DATA → 250, and the refusals.
 *
 * What smtp-server's connection leaves open is overridden here and in receiveConnection.ts: it waits 100 ms
 * to greet, shows AUTH before TLS, takes any line end, and leaves senders, parameters and content to us.
 * The pinned version and the dialogue tests keep the two together.
 */
import type { Credential } from "../contract/config.ts";
import { ContentConnection } from "./receiveContent.ts";
import { type CommandFault, LineReader } from "./receiveLines.ts";
import {
  addRecipient,
  authRequired,
  openTransaction,
  outOfOrder,
  readyForContent,
  type Transaction,
} from "./receiveTransaction.ts";
import { type Refusal, refusal } from "./refusal.ts";
import type { Submitter } from "./submission.ts";

/** Commands before a client says who it is; EHLO, STARTTLS, EHLO, AUTH and a few slips. */
const MOST_ANONYMOUS_COMMANDS = 20;
/** Refused logins of one session. */
const MOST_FAILED_LOGINS = 5;

export class ReceivingSession extends ContentConnection {
  #credential: Credential | undefined;
  #anonymousCommands = 0;
  #failedLogins = 0;

  // --- what the library asks of a connection, answered our way ---

  /** Without the delay of 100 ms that is to catch clients who talk first: they only get their reply early. */
  override init(): void {
    this._setListeners(() => {
      const why = this.host.admit(this);
      if (why === undefined) this.connectionReady();
      else this.hangUp(why);
    });
  }

  override _createParser(): LineReader {
    const reader: LineReader = new LineReader({
      socket: () => this._socket,
      onCommand: (line, next) => this._onCommand(line, next),
      onFault: (fault) => this.hangUp(commandFaults[fault]),
    });
    return reader;
  }

  /** EHLO, RSET, a finished message and STARTTLS all begin anew. */
  override _resetSession(): void {
    super._resetSession();
    this.transaction = undefined;
  }

  override _onCommand(line: Buffer, next?: () => void): void {
    // A client that is nobody yet has the watch's patience once, not once a command.
    const isKnown = this.#submitter() !== undefined;
    if (isKnown) this.watch.progress();
    const verb = /^[A-Za-z]+(?= |$)/.exec(line.toString("latin1", 0, 16))?.[0].toUpperCase() ?? "";
    if (this._upgrading || this._nextHandler !== false) return super._onCommand(line, next);
    const closed = this.isRetiring || this.isBusy ? undefined : this.host.closedReason();
    if (closed !== undefined && verb !== "QUIT") return this.hangUp(closed);
    if (!isKnown && verb !== "AUTH" && verb !== "QUIT") {
      this.#anonymousCommands++;
      if (this.#anonymousCommands > MOST_ANONYMOUS_COMMANDS) {
        return this.hangUp(refusal(421, "4.7.0", "Too many commands without authentication"));
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
      this.host.log.error("a command failed by a fault of this relay", { error });
      if (isDone) return;
      this.say(refusal(451, "4.3.0", "Internal error, try again later"));
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
      `SIZE ${this.host.config().limits.messageSizeBytes}`,
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
    if (this.transaction === undefined) return super.handler_AUTH(line, next);
    // RFC 4954 §4: not during a mail transaction.
    this.say(refusal(503, "5.5.1", "AUTH is not permitted during a mail transaction"));
    next();
  }

  override handler_MAIL(line: Buffer, next: () => void): void {
    const delayMs = this.host.mailDelayMs();
    if (delayMs === 0) return this.#openTransaction(line, next);
    // What comes next of this client waits too: one command at a time.
    this.host.clock.after(delayMs, () =>
      this._closing || this._closed ? next() : this.#openTransaction(line, next),
    );
  }

  #openTransaction(line: Buffer, next: () => void): void {
    const opened: Transaction | Refusal =
      this.transaction === undefined
        ? openTransaction(this.host, line, { submitter: this.#submitter(), secure: this.secure })
        : refusal(503, "5.5.1", "A transaction is open, RSET ends it");
    if ("code" in opened) {
      this.say(opened);
    } else {
      this.transaction = opened;
      this.sendLine("250 2.1.0 Ok");
    }
    next();
  }

  override handler_RCPT(line: Buffer, next: () => void): void {
    const why =
      this.transaction !== undefined
        ? addRecipient(this.host, this.transaction, line)
        : this.#submitter() === undefined
          ? authRequired
          : outOfOrder;
    if (why === undefined) this.sendLine("250 2.1.5 Ok");
    else this.say(why);
    next();
  }

  override handler_DATA(line: Buffer, next: () => void): void {
    const transaction = this.transaction;
    const reader = this._parser;
    if (!(reader instanceof LineReader)) return next();
    if (reader.hasMore) {
      // RFC 2920 §3.1: DATA ends a group. Were it refused, the content behind it would run as commands.
      return this.hangUp(refusal(554, "5.5.0", "Content was sent before it was asked for"));
    }
    const why = readyForContent(transaction, line);
    if (why !== undefined || transaction === undefined) {
      this.say(why ?? outOfOrder);
      return next();
    }
    void this.beginContent(transaction, reader, next);
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
        : await this.host.credentials.authenticate({
            clientAddress: this.remoteAddress,
            username,
            password,
          });
    this.watch.progress();
    if (verdict.ok) {
      this.#credential = verdict.credential;
      return undefined;
    }
    this.#failedLogins++;
    this.host.count("authFailed");
    this.host.log.info("login refused", {
      client: this.remoteAddress,
      user: this.host.log.address(username),
      code: verdict.refusal.code,
    });
    return verdict.refusal;
  }

  /** After the verdict was told: enough is enough. */
  authEnded(): void {
    if (this.#failedLogins >= MOST_FAILED_LOGINS) {
      this.hangUp(refusal(421, "4.7.0", "Too many failed logins in one session"));
    }
  }

  #submitter(): Submitter | undefined {
    if (this.#credential !== undefined) {
      // Removed or changed in the configuration since: the session must log in again.
      this.#credential = this.host.credentials.current(this.#credential);
      if (this.#credential !== undefined) return { credential: this.#credential };
      this.session.user = false;
    }
    return this.host.isTrusted(this.remoteAddress) ? { credential: null } : undefined;
  }
}

const commandFaults: Readonly<Record<CommandFault, Refusal>> = {
  TooLong: refusal(500, "5.5.2", "Line too long"),
  BareLineEnd: refusal(500, "5.5.2", "A command line ends with CRLF and has no other CR or LF"),
  Nul: refusal(500, "5.5.2", "A command line has no NUL"),
};
