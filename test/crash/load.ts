/**
 * Sessions that submit through every crash, as a well-behaved client does: what was answered with 250 is the
 * relay's, what was not is given up (a client of its own would send it again; here that would hide losses).
 */
import { connect, type Socket } from "node:net";

import type { Random } from "../../relay/kit/random.ts";
import { bounceKey, type Fate, type Ledger, recipientKey } from "./ledger.ts";
import { hashOf } from "./sink.ts";

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  readonly sessions: number;
  readonly random: Random;
  readonly ledger: Ledger;
  /** The load rests while more than this waits for its end: a queue that only grows is never empty. */
  readonly mostOpen: number;
  readonly senderDomain: string;
  readonly recipientDomain: string;
  /** Shares of recipients that are deferred, and refused. */
  readonly later: number;
  readonly never: number;
  /** Bytes of the largest bodies, one in twenty. */
  readonly largeBytes: number;
}

const CONNECT_AGAIN_MS = 5;
/** A relay that says nothing for so long is dead or stuck; the session begins anew. */
const PATIENCE_MS = 15_000;

export class Load {
  /** Messages answered 250. */
  accepted = 0;
  /** Replies other than 250 to DATA: what a sick disk brings. */
  refused = 0;
  readonly #options: LoadOptions;
  #isOver = false;
  #resting = true;
  #number = 0;
  #wake: (() => void)[] = [];
  #welcome: (() => void)[] = [];
  #answered = 0;
  #milestones: { readonly at: number; readonly reached: () => void }[] = [];
  readonly #sessions: Promise<void>[];

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#sessions = Array.from({ length: options.sessions }, () => this.#live());
  }

  /** Resolves when so many more messages were answered. */
  progress(messages: number): Promise<void> {
    if (messages <= 0) return Promise.resolve();
    const at = this.#answered + messages;
    return new Promise((resolve) => this.#milestones.push({ at, reached: resolve }));
  }

  /** Nobody waits for them any more. */
  forgetMilestones(): void {
    this.#milestones = [];
  }

  go(): void {
    this.#resting = false;
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** Resolves at the next greeting of the relay. */
  greeted(): Promise<void> {
    return new Promise((resolve) => this.#welcome.push(resolve));
  }

  async end(): Promise<void> {
    this.#isOver = true;
    this.go();
    await Promise.all(this.#sessions);
  }

  async #live(): Promise<void> {
    while (!this.#isOver) {
      if (this.#resting) {
        await new Promise<void>((resolve) => this.#wake.push(resolve));
        continue;
      }
      const session = await Dialogue.open(this.#options);
      if (session === null) {
        await pause(CONNECT_AGAIN_MS);
        continue;
      }
      try {
        await session.expect("220");
        for (const resolve of this.#welcome.splice(0)) resolve();
        await session.say("EHLO client.example\r\n", "250");
        // One that rests must notice a death too: else nobody greets the next life.
        while (!this.#isOver && !this.#resting && !session.isClosed) {
          if (this.#options.ledger.open > this.#options.mostOpen) await pause(10);
          else await this.#submit(session);
        }
      } catch {
        // Killed under us, or refused: begin again.
      } finally {
        session.close();
      }
    }
  }

  async #submit(session: Dialogue): Promise<void> {
    const { random, ledger, senderDomain, recipientDomain, later, never, largeBytes } = this.#options;
    const message = `m${this.#number++}`;
    const recipients = 1 + Math.floor(random.draw() ** 2 * 3);
    const keys = Array.from({ length: recipients }, (_, index) => {
      const chance = random.draw();
      // One refused recipient a message at most, always the first: its bounce is then its own.
      const fate: Fate = index === 0 && chance < never ? "never" : chance > 1 - later ? "later" : "ok";
      return recipientKey(message, index, fate);
    });
    const bytes = random.draw() < 0.05 ? largeBytes : 40 + Math.floor(random.draw() ** 3 * 6000);
    const body = bodyOf(message, bytes, random);
    const hash = hashOf(body);
    for (const key of keys) ledger.sent(key, hash);
    const sender = `${bounceKey(message)}@${senderDomain}`;
    await session.say(`MAIL FROM:<${sender}>\r\n`, "250");
    for (const key of keys) await session.say(`RCPT TO:<${key}@${recipientDomain}>\r\n`, "250");
    await session.say("DATA\r\n", "354");
    const header = `From: <${sender}>\r\nTo: <${keys[0]}@${recipientDomain}>\r\nSubject: ${message}\r\n`;
    session.send(`${header}\r\n${body.replace(/(^|\r\n)\./g, "$1..")}.\r\n`);
    const reply = await session.reply();
    if (reply.startsWith("250")) {
      this.accepted++;
      for (const key of keys) ledger.accept(key);
    } else this.refused++;
    this.#answered++;
    for (const { at, reached } of this.#milestones) if (at <= this.#answered) reached();
    if (reply.startsWith("421")) throw new Error(reply);
  }
}

/** Lines of which some begin with dots, so that a body that is cut or mixed up shows. */
function bodyOf(message: string, bytes: number, random: Random): string {
  const line = `${random.draw() < 0.3 ? "." : ""}${message} ${Math.floor(random.draw() * 1e9).toString(36)} ${"x".repeat(50)}\r\n`;
  return `${message}\r\n${line.repeat(Math.ceil(bytes / line.length))}`;
}

class Dialogue {
  readonly #socket: Socket;
  #input = "";
  #closed = false;
  #more: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#input += chunk.toString("latin1");
      this.#more?.();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#closed = true;
      this.#more?.();
    });
  }

  static open({ host, port }: { host: string; port: number }): Promise<Dialogue | null> {
    return new Promise((resolve) => {
      const socket = connect({ host, port });
      socket.once("connect", () => resolve(new Dialogue(socket)));
      socket.once("error", () => resolve(null));
    });
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  send(text: string): void {
    this.#socket.write(text, "latin1");
  }

  async say(text: string, expected: string): Promise<void> {
    this.send(text);
    await this.expect(expected);
  }

  async expect(code: string): Promise<void> {
    const reply = await this.reply();
    if (!reply.startsWith(code)) throw new Error(reply);
  }

  /** The last line of the next reply. Rejects when the connection ends before it. */
  async reply(): Promise<string> {
    for (;;) {
      for (let end = this.#input.indexOf("\r\n"); end !== -1; end = this.#input.indexOf("\r\n")) {
        const line = this.#input.slice(0, end);
        this.#input = this.#input.slice(end + 2);
        if (line[3] !== "-") return line;
      }
      if (this.#closed) throw new Error("closed");
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("no word from the relay")), PATIENCE_MS);
        this.#more = () => {
          clearTimeout(timer);
          this.#more = undefined;
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
