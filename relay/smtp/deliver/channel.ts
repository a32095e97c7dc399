/**
 * One connection to a peer: commands out, replies in, each wait bounded by the Clock. It owes its reader
 * exactly one reply a command: a reply nobody asked for, bytes that are no reply, silence beyond the
 * time, and the end of the connection all break it, once, with a reason.
 *
 * Waiting for a reply rejects with `SessionBroken`; that error never leaves relay/smtp.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";

import type { Clock } from "../../kit/clock.ts";
import type { Reply, SmtpStage } from "../../message.ts";
import { codeOf, type RawReply, ReplyParser, replyOf, replyText } from "./replies.ts";
import {
  type BreakKind,
  ENDED_BY_US,
  seconds,
  SessionBroken,
  socketFault,
  tlsFault,
} from "./sessionBroken.ts";

export interface ConnectOptions {
  readonly clock: Clock;
  readonly address: string;
  readonly port: number;
  readonly localAddress: string | null;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Where replies in plain text arrive, of all connections: each is looked at before the next is read. A buffer of its
 * own for each read, as sockets make them, is 64 KiB of memory for a line of fifty bytes.
 */
const arrivals = Buffer.allocUnsafeSlow(64 * 1024);

interface Waiter {
  readonly what: "reply" | "room";
  readonly timeoutMs: number;
  readonly until: number;
  readonly resolve: () => void;
}

export class SmtpChannel {
  readonly #clock: Clock;
  readonly #plain: Socket;
  #socket: Socket;
  readonly #parser = new ReplyParser();
  readonly #replies: RawReply[] = [];
  /** Replies the peer owes us: the greeting, then one a command. */
  #owed = 1;
  #broken: { readonly kind: BreakKind; readonly reason: string } | null = null;
  #waiter: Waiter | null = null;
  /** One timer a connection, not one a wait: when it rings, it looks whether somebody waits too long. */
  #alarm: { readonly at: number; readonly cancel: () => void } | null = null;
  #heard = 0;
  readonly #listeners = new Set<() => void>();
  /** Called at every reply and at every block the system took. */
  progress: (() => void) | null = null;

  private constructor(socket: Socket, clock: Clock) {
    this.#plain = socket;
    this.#socket = socket;
    this.#clock = clock;
    this.#listenTo(socket);
  }

  /** Opens a connection. Rejects with `SessionBroken` at stage connect. */
  static connect(options: ConnectOptions): Promise<SmtpChannel> {
    return new Promise((resolve, reject) => {
      let read = (_reply: Buffer): void => {};
      const socket = connect({
        host: options.address,
        port: options.port,
        noDelay: true,
        onread: {
          buffer: arrivals,
          callback: (bytes) => {
            read(arrivals.subarray(0, bytes));
            return true;
          },
        },
        ...(options.localAddress === null ? {} : { localAddress: options.localAddress }),
      });
      const end = () => {
        cancel();
        options.signal.removeEventListener("abort", abort);
        socket.removeListener("error", failed);
        socket.removeListener("connect", connected);
      };
      const fail = (kind: BreakKind, reason: string) => {
        end();
        socket.on("error", () => {});
        socket.destroy();
        reject(new SessionBroken("connect", kind, reason));
      };
      const failed = (error: NodeJS.ErrnoException) => {
        const { kind, reason } = socketFault(error, options.localAddress);
        fail(kind, reason);
      };
      const connected = () => {
        end();
        const channel = new SmtpChannel(socket, options.clock);
        read = (reply) => channel.#read(reply);
        resolve(channel);
      };
      const abort = () => fail("local", ENDED_BY_US);
      const cancel = options.clock.after(options.timeoutMs, () =>
        fail("timeout", `did not answer within ${seconds(options.timeoutMs)}`),
      );
      socket.once("error", failed);
      socket.once("connect", connected);
      options.signal.addEventListener("abort", abort, { once: true });
      if (options.signal.aborted) abort();
    });
  }

  get usable(): boolean {
    return this.#broken === null && this.#owed === 0 && !this.#parser.inside;
  }

  /** Replies heard so far: none since a command went out means that the peer may never have seen it. */
  get heard(): number {
    return this.#heard;
  }

  /** A reply waits to be read. */
  get hasReply(): boolean {
    return this.#replies.length > 0;
  }

  get isBroken(): boolean {
    return this.#broken !== null;
  }

  /** Calls once when the connection broke or was closed, at once when it is already. The result unsubscribes. */
  onBroken(listener: () => void): () => void {
    if (this.#broken === null) this.#listeners.add(listener);
    else listener();
    return () => this.#listeners.delete(listener);
  }

  /** Sends one or more commands that will be answered by `replies` replies. */
  send(commands: string, replies: number): void {
    if (this.#broken !== null) return;
    this.#owed += replies;
    this.#socket.write(commands);
  }

  /**
   * The next reply, at once when it is here already: those to a pipelined envelope come together. 421 breaks
   * the session (RFC 5321 §3.8), as do silence and whatever is no reply; then it throws or rejects.
   */
  reply(stage: SmtpStage, timeoutMs: number): Reply | Promise<Reply> {
    return this.hasReply ? replyOf(this.#taken(stage)) : this.#waited(stage, timeoutMs);
  }

  async rawReply(stage: SmtpStage, timeoutMs: number): Promise<RawReply> {
    if (!this.hasReply) await this.#event("reply", timeoutMs);
    return this.#taken(stage);
  }

  async #waited(stage: SmtpStage, timeoutMs: number): Promise<Reply> {
    await this.#event("reply", timeoutMs);
    return replyOf(this.#taken(stage));
  }

  #taken(stage: SmtpStage): RawReply {
    const raw = this.#replies.shift();
    if (raw === undefined) throw this.#asError(stage);
    if (codeOf(raw) === 421) {
      const reply = replyOf(raw);
      this.breakOff("closed", `closed the session: ${replyText(reply)}`);
      throw new SessionBroken(stage, "reply", replyText(reply), reply);
    }
    return raw;
  }

  /** From here the peer owes the reply to the content; one that comes early is found by `hasReply`. */
  beginContent(): void {
    this.#owed++;
    this.#socket.cork();
  }

  /**
   * Writes content. Returns when the system took it, at the latest when a reply came or the connection
   * broke; small pieces leave together.
   */
  async write(pieces: readonly Buffer[], timeoutMs: number): Promise<void> {
    let full = false;
    for (const piece of pieces) full = !this.#socket.write(piece);
    if (!full || this.#broken !== null) return;
    this.#socket.uncork();
    if (this.#socket.writableNeedDrain && !this.hasReply) {
      await this.#event("room", timeoutMs);
    }
    this.progress?.();
    if (this.#broken === null) this.#socket.cork();
  }

  endContent(last: Buffer): void {
    this.#socket.write(last);
    this.#socket.uncork();
  }

  /**
   * Speaks TLS from here on. Rejects with `SessionBroken` of kind "tls" when the handshake fails, of kind
   * "nonsense" when the peer (or someone between us) has already sent more in plain text: what was heard
   * outside TLS must not be taken for what is said inside (RFC 3207 §6, response injection).
   */
  upgrade(options: ConnectionOptions, stage: SmtpStage, timeoutMs: number): Promise<TLSSocket> {
    if (this.#parser.inside || this.#replies.length > 0) {
      this.breakOff("nonsense", "sent plain text behind its reply to STARTTLS");
    }
    if (this.#broken !== null) return Promise.reject(this.#asError(stage));
    this.#stopListeningTo(this.#plain);
    return new Promise((resolve, reject) => {
      const secured = connectTls({ ...options, socket: this.#plain });
      this.#socket = secured;
      const cancel = this.#clock.after(timeoutMs, () =>
        failed(`did not finish the TLS handshake within ${seconds(timeoutMs)}`),
      );
      const failed = (reason: string) => {
        cancel();
        secured.on("error", () => {});
        this.breakOff("tls", reason);
        reject(this.#asError(stage));
      };
      const onError = (error: Error) => failed(`failed the TLS handshake: ${tlsFault(error)}`);
      const onClose = () => failed("closed the connection during the TLS handshake");
      secured.once("error", onError);
      secured.once("close", onClose);
      secured.once("secureConnect", () => {
        cancel();
        forget();
        secured.off("error", onError);
        secured.off("close", onClose);
        this.#listenTo(secured);
        resolve(secured);
      });
      // Whoever ends the attempt ends the handshake.
      const forget = this.onBroken(() => {
        cancel();
        reject(this.#asError(stage));
      });
    });
  }

  /** Ends the connection now; waits that are open reject with this reason. Only the first reason counts. */
  breakOff(kind: BreakKind, reason: string): void {
    if (this.#broken === null) {
      this.#broken = { kind, reason };
      this.#socket.destroy();
      this.#plain.destroy();
    }
    this.#alarm?.cancel();
    this.#alarm = null;
    this.#wake();
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }

  /**
   * RFC 5321 §4.1.1.10: QUIT, and wait for its reply, but not for long. Resolves when the connection is
   * closed; never rejects.
   */
  async quit(timeoutMs: number): Promise<void> {
    if (this.#broken !== null) return;
    this.send("QUIT\r\n", 1);
    try {
      for (let replies = this.#owed; replies > 0; replies--) await this.rawReply("reset", timeoutMs);
    } catch {
      // The connection is over either way.
    }
    this.breakOff("local", ENDED_BY_US);
  }

  #asError(stage: SmtpStage): SessionBroken {
    const { kind, reason } = this.#broken ?? { kind: "closed", reason: "closed the connection" };
    return new SessionBroken(stage, kind, reason);
  }

  /** Waits for a reply, for room to write, or for the end. After `timeoutMs` the end is here. */
  #event(what: Waiter["what"], timeoutMs: number): Promise<void> {
    if (this.#broken !== null) return Promise.resolve();
    return new Promise((resolve) => {
      const until = this.#clock.now() + timeoutMs;
      this.#waiter = { what, timeoutMs, until, resolve };
      this.#setAlarm(until);
    });
  }

  #wake(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.resolve();
  }

  #setAlarm(at: number): void {
    if (this.#alarm !== null && this.#alarm.at <= at) return;
    this.#alarm?.cancel();
    const cancel = this.#clock.after(at - this.#clock.now(), () => {
      this.#alarm = null;
      const waiter = this.#waiter;
      if (waiter === null) return;
      if (waiter.until > this.#clock.now()) return this.#setAlarm(waiter.until);
      const missed = waiter.what === "reply" ? "did not answer within" : "took no data for";
      this.breakOff("timeout", `${missed} ${seconds(waiter.timeoutMs)}`);
    });
    this.#alarm = { at, cancel };
  }

  #listenTo(socket: Socket): void {
    socket.on("data", this.#onData);
    socket.on("drain", this.#onDrain);
    socket.on("error", this.#onError);
    socket.on("end", this.#onEnd);
    socket.on("close", this.#onEnd);
  }

  /** The socket under a TLS session only carries bytes; what goes wrong with it, the session reports. */
  #stopListeningTo(socket: Socket): void {
    socket.on("error", () => {});
    socket.off("data", this.#onData);
    socket.off("drain", this.#onDrain);
    socket.off("error", this.#onError);
    socket.off("end", this.#onEnd);
    socket.off("close", this.#onEnd);
  }

  readonly #onData = (chunk: Buffer) => this.#read(chunk);
  readonly #onDrain = () => {
    if (this.#waiter?.what === "room") this.#wake();
  };
  readonly #onError = (error: NodeJS.ErrnoException) =>
    this.breakOff("closed", socketFault(error, null).reason);
  readonly #onEnd = () => this.breakOff("closed", "closed the connection");

  #read(chunk: Buffer): void {
    if (this.#broken !== null) return;
    const { replies, nonsense } = this.#parser.feed(chunk);
    for (const reply of replies) {
      if (this.#owed === 0) {
        this.breakOff("closed", `spoke unasked: ${replyText(replyOf(reply))}`);
        return;
      }
      this.#owed--;
      this.#heard++;
      this.#replies.push(reply);
    }
    if (replies.length > 0) {
      this.progress?.();
      this.#wake();
    }
    if (nonsense !== null) this.breakOff("nonsense", nonsense);
  }
}
