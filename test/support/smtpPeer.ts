/**
 * A receiving SMTP server that does what a test tells it: refuse, hang, drop, answer nonsense, change
 * its mind. It speaks on a raw TCP socket and keeps what it saw: sessions, commands, envelopes, content.
 *
 *   const peer = await smtpPeer().on("RCPT", "450 4.2.1 later", { times: 1 }).hangAt("DATA").start();
 *   … deliver to peer.host, peer.port …
 *   await peer.until(() => peer.messages.length === 1);
 *   await peer.stop();
 *
 * Without a script it accepts everything. Rules of a step are used in the order they were given.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";

export type PeerStep =
  /** A connection was opened: the greeting. */
  | "CONNECT"
  | "EHLO"
  | "HELO"
  | "STARTTLS"
  /** The TLS handshake, after STARTTLS or at once. */
  | "TLS"
  | "AUTH"
  | "MAIL"
  | "RCPT"
  | "DATA"
  /** The first bytes after 354 arrived. */
  | "CONTENT"
  /** The final dot arrived. */
  | "DOT"
  | "RSET"
  | "NOOP"
  | "QUIT";

type Action =
  /** One reply; several lines make a multi-line reply. Lines bring their own codes. */
  | { readonly kind: "reply"; readonly lines: readonly string[] }
  | { readonly kind: "raw"; readonly bytes: string | Uint8Array }
  /** Says nothing and reads nothing any more. */
  | { readonly kind: "hang" }
  /** Resets the connection. */
  | { readonly kind: "drop" }
  /** Ends the connection in order. */
  | { readonly kind: "close" };

export interface RuleOptions {
  /** How often it holds before the next rule of the step does; absent: for ever. */
  readonly times?: number;
  /** Only for commands (with their arguments) that match. */
  readonly when?: RegExp;
}

interface Rule extends RuleOptions {
  readonly step: PeerStep;
  readonly action: Action;
  used: number;
}

export interface PeerSession {
  readonly remoteAddress: string;
  /** Argument of the last EHLO or HELO. */
  heloName: string | null;
  tls: boolean;
  /** Server name the client asked for in the TLS handshake. */
  serverName: string | null;
  /** Command lines as received, AUTH continuations included, content not. */
  readonly commands: string[];
  /** The same, by the reads they came in: commands sent in one write stand together. */
  readonly bursts: string[][];
  open: boolean;
}

export interface PeerMessage {
  readonly session: PeerSession;
  readonly from: string;
  readonly mailParameters: string;
  readonly recipients: readonly { readonly address: string; readonly parameters: string }[];
  /** Content as received, dot-unstuffed, without the final dot. */
  readonly content: Buffer;
  /** The same before unstuffing. */
  readonly wire: Buffer;
}

export interface SmtpPeer {
  readonly host: string;
  readonly port: number;
  readonly sessions: readonly PeerSession[];
  /** Messages answered with 2xx after the final dot. */
  readonly messages: readonly PeerMessage[];
  /** Everything whose final dot arrived, accepted or not. */
  readonly contents: readonly PeerMessage[];
  /** Resolves as soon as the condition holds; it is looked at after everything that happens. */
  until(condition: () => boolean): Promise<void>;
  /** Adds a rule to the running peer. */
  on(step: PeerStep, reply: string | readonly string[], options?: RuleOptions): void;
  /** Sends bytes in every open session, asked for or not. */
  say(bytes: string): void;
  /** Ends every open session as if the host went away. */
  dropAll(): void;
  stop(): Promise<void>;
}

export interface PeerTls {
  readonly key: string;
  readonly cert: string;
}

const defaultExtensions = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 0"];

export function smtpPeer(): PeerScript {
  return new PeerScript();
}

export class PeerScript {
  readonly rules: Rule[] = [];
  extensions: readonly string[] = defaultExtensions;
  certificate: PeerTls | null = null;
  tlsFirst = false;

  on(step: PeerStep, reply: string | readonly string[], options: RuleOptions = {}): this {
    return this.#rule(step, { kind: "reply", lines: typeof reply === "string" ? [reply] : reply }, options);
  }
  /** Sends these bytes instead of a reply. */
  raw(step: PeerStep, bytes: string | Uint8Array, options: RuleOptions = {}): this {
    return this.#rule(step, { kind: "raw", bytes }, options);
  }
  hangAt(step: PeerStep, options: RuleOptions = {}): this {
    return this.#rule(step, { kind: "hang" }, options);
  }
  dropAt(step: PeerStep, options: RuleOptions = {}): this {
    return this.#rule(step, { kind: "drop" }, options);
  }
  closeAt(step: PeerStep, options: RuleOptions = {}): this {
    return this.#rule(step, { kind: "close" }, options);
  }
  /** What EHLO announces; STARTTLS is added by `tls`. */
  offers(...extensions: string[]): this {
    this.extensions = extensions;
    return this;
  }
  /** Offers STARTTLS with this certificate. */
  tls(certificate: PeerTls): this {
    this.certificate = certificate;
    return this;
  }
  /** TLS from the first byte. */
  implicitTls(certificate: PeerTls): this {
    this.tlsFirst = true;
    return this.tls(certificate);
  }

  async start(options: { readonly host?: string; readonly port?: number } = {}): Promise<SmtpPeer> {
    const peer = new RunningPeer(this, options.host ?? "127.0.0.1");
    await peer.listen(options.port ?? 0);
    return peer;
  }

  #rule(step: PeerStep, action: Action, options: RuleOptions): this {
    this.rules.push({ step, action, ...options, used: 0 });
    return this;
  }
}

class RunningPeer implements SmtpPeer {
  readonly host: string;
  readonly sessions: PeerSession[] = [];
  readonly messages: PeerMessage[] = [];
  readonly contents: PeerMessage[] = [];
  readonly script: PeerScript;
  readonly #server: Server;
  readonly #open = new Set<Dialogue>();
  #waiting: { condition: () => boolean; resolve: () => void }[] = [];

  constructor(script: PeerScript, host: string) {
    this.script = script;
    this.host = host;
    this.#server = createServer({ allowHalfOpen: false, noDelay: true }, (socket) => {
      const dialogue = new Dialogue(this, socket, () => this.#open.delete(dialogue));
      this.#open.add(dialogue);
      dialogue.greet();
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, this.host, () => resolve());
    });
  }

  on(step: PeerStep, reply: string | readonly string[], options: RuleOptions = {}): void {
    this.script.on(step, reply, options);
  }

  say(bytes: string): void {
    for (const dialogue of this.#open) dialogue.write(bytes);
  }

  dropAll(): void {
    for (const dialogue of this.#open) dialogue.drop();
  }

  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }));
  }

  happened(): void {
    this.#waiting = this.#waiting.filter(({ condition, resolve }) => {
      if (!condition()) return true;
      resolve();
      return false;
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.dropAll();
    });
  }
}

/** What came after 354: `tail` is the last four bytes, where a final dot may have begun. */
interface Content {
  readonly chunks: Buffer[];
  tail: Buffer;
  started: boolean;
}

/** One connection: a line at a time, or content until the final dot. */
class Dialogue {
  readonly #peer: RunningPeer;
  readonly #ended: () => void;
  readonly session: PeerSession;
  #plain: Socket;
  #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #silent = false;
  #closing = false;
  #authLines = 0;
  #from = "";
  #mailParameters = "";
  #recipients: { address: string; parameters: string }[] = [];
  #content: Content | null = null;

  constructor(peer: RunningPeer, socket: Socket, ended: () => void) {
    this.#peer = peer;
    this.#plain = socket;
    this.#socket = socket;
    this.#ended = ended;
    this.session = {
      remoteAddress: socket.remoteAddress ?? "",
      heloName: null,
      tls: false,
      serverName: null,
      commands: [],
      bursts: [],
      open: true,
    };
    peer.sessions.push(this.session);
    socket.on("close", () => {
      this.session.open = false;
      this.#ended();
      peer.happened();
    });
    this.#listenTo(socket);
  }

  greet(): void {
    if (this.#peer.script.tlsFirst) return this.#startTls();
    this.#answer("CONNECT", "", ["220 peer.test ESMTP"]);
    this.#peer.happened();
  }

  write(bytes: string | Uint8Array): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  drop(): void {
    this.#plain.resetAndDestroy();
  }

  #listenTo(socket: Socket): void {
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      if (this.#silent) return;
      this.session.bursts.push([]);
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      this.#read();
      this.#peer.happened();
    });
  }

  #read(): void {
    while (this.#pending.length > 0 && !this.#silent && !this.#closing) {
      if (this.#content !== null) {
        if (!this.#readContent(this.#content)) return;
        continue;
      }
      const end = this.#pending.indexOf("\n");
      if (end < 0) return;
      const line = this.#pending.subarray(0, end).toString("utf8").replace(/\r$/, "");
      this.#pending = this.#pending.subarray(end + 1);
      this.session.commands.push(line);
      this.session.bursts.at(-1)?.push(line);
      this.#command(line);
    }
  }

  #command(line: string): void {
    if (this.#authLines > 0) {
      this.#authLines--;
      const done = this.#authLines === 0;
      this.write(done ? "235 2.7.0 authenticated\r\n" : "334 UGFzc3dvcmQ6\r\n");
      return;
    }
    const verb = (line.split(/[ :]/, 1)[0] ?? "").toUpperCase();
    switch (verb) {
      case "EHLO":
      case "HELO":
        this.session.heloName = line.slice(5);
        this.#answer(verb, line, verb === "HELO" ? ["250 peer.test"] : this.#ehloLines());
        return;
      case "STARTTLS":
        if (this.#peer.script.certificate === null) return this.write("502 5.5.1 not offered\r\n");
        if (this.#answer("STARTTLS", line, ["220 2.0.0 go ahead"])) this.#startTls();
        return;
      case "AUTH":
        if (this.#hasRule("AUTH", line)) return void this.#answer("AUTH", line, []);
        if (/^AUTH LOGIN$/i.test(line)) {
          this.#authLines = 2;
          return this.write("334 VXNlcm5hbWU6\r\n");
        }
        return this.write("235 2.7.0 authenticated\r\n");
      case "MAIL": {
        const [, from = "", parameters = ""] = /^MAIL FROM:<(.*?)>(?: (.*))?$/i.exec(line) ?? [];
        if (!this.#answer("MAIL", line, ["250 2.1.0 sender ok"])) return;
        this.#from = from;
        this.#mailParameters = parameters;
        this.#recipients = [];
        return;
      }
      case "RCPT": {
        const [, address = "", parameters = ""] = /^RCPT TO:<(.*?)>(?: (.*))?$/i.exec(line) ?? [];
        if (this.#answer("RCPT", line, ["250 2.1.5 recipient ok"]))
          this.#recipients.push({ address, parameters });
        return;
      }
      case "DATA": {
        const usual = this.#recipients.length > 0 ? "354 end with a dot" : "554 5.5.1 no valid recipients";
        if (this.#answer("DATA", line, [usual]))
          this.#content = { chunks: [], tail: Buffer.from("\r\n"), started: false };
        return;
      }
      case "RSET":
        this.#recipients = [];
        this.#answer("RSET", line, ["250 2.0.0 reset"]);
        return;
      case "NOOP":
        this.#answer("NOOP", line, ["250 2.0.0 ok"]);
        return;
      case "QUIT":
        if (this.#answer("QUIT", line, ["221 2.0.0 bye"])) this.#close();
        return;
      default:
        this.write("500 5.5.2 unknown command\r\n");
    }
  }

  /** True when the end was found and the rest is commands again. */
  #readContent(content: Content): boolean {
    if (!content.started) {
      content.started = true;
      if (this.#hasRule("CONTENT", "")) this.#answer("CONTENT", "", []);
      if (this.#silent || this.#closing) return false;
    }
    const window = Buffer.concat([content.tail, this.#pending]);
    const at = window.indexOf("\r\n.\r\n");
    if (at < 0) {
      content.chunks.push(this.#pending);
      content.tail = Buffer.from(window.subarray(-4));
      this.#pending = Buffer.alloc(0);
      return false;
    }
    const taken = at + 5 - content.tail.length;
    content.chunks.push(this.#pending.subarray(0, taken));
    this.#pending = Buffer.from(this.#pending.subarray(taken));
    this.#content = null;
    const wire = Buffer.concat(content.chunks).subarray(0, -3);
    const message: PeerMessage = {
      session: this.session,
      from: this.#from,
      mailParameters: this.#mailParameters,
      recipients: this.#recipients,
      content: unstuffed(wire),
      wire,
    };
    this.#recipients = [];
    this.#peer.contents.push(message);
    if (this.#answer("DOT", "", ["250 2.0.0 accepted"])) this.#peer.messages.push(message);
    return true;
  }

  /** Carries out the rule of this step, or the usual reply. True when the answer was positive. */
  #answer(step: PeerStep, line: string, usual: readonly string[]): boolean {
    const action = this.#take(step, line) ?? ({ kind: "reply", lines: usual } as const);
    switch (action.kind) {
      case "reply": {
        this.write(action.lines.map((text) => `${text}\r\n`).join(""));
        const last = action.lines.at(-1) ?? "";
        if (last.startsWith("421")) this.#close();
        return /^[23]/.test(last);
      }
      case "raw":
        this.write(action.bytes);
        return /^[23]/.test(Buffer.from(action.bytes).toString("latin1"));
      case "hang":
        this.#silent = true;
        this.#socket.pause();
        return false;
      case "drop":
        this.#closing = true;
        this.drop();
        return false;
      case "close":
        this.#close();
        return false;
    }
  }

  #hasRule(step: PeerStep, line: string): boolean {
    return this.#find(step, line) !== undefined;
  }

  #take(step: PeerStep, line: string): Action | undefined {
    const rule = this.#find(step, line);
    if (rule !== undefined) rule.used++;
    return rule?.action;
  }

  #find(step: PeerStep, line: string): Rule | undefined {
    return this.#peer.script.rules.find(
      (rule) => rule.step === step && rule.used < (rule.times ?? Infinity) && (rule.when?.test(line) ?? true),
    );
  }

  #close(): void {
    this.#closing = true;
    this.#socket.end();
  }

  #ehloLines(): string[] {
    const tlsOffered = this.#peer.script.certificate !== null && !this.session.tls;
    const offered = [...this.#peer.script.extensions, ...(tlsOffered ? ["STARTTLS"] : [])];
    const lines = ["peer.test greets you", ...offered];
    return lines.map((text, index) => `250${index === lines.length - 1 ? " " : "-"}${text}`);
  }

  #startTls(): void {
    const rule = this.#take("TLS", "");
    if (rule?.kind === "raw") {
      // In answer to the client's part of the handshake.
      this.#plain.removeAllListeners("data");
      this.#plain.once("data", () => this.#plain.write(rule.bytes));
    }
    if (rule?.kind === "hang") this.#silent = true;
    if (rule?.kind === "drop") this.drop();
    if (rule !== undefined) return;
    const { certificate } = this.#peer.script;
    if (certificate === null) throw new Error("the peer needs a certificate: call tls() or implicitTls()");
    this.#plain.removeAllListeners("data");
    this.#pending = Buffer.alloc(0);
    const secured = new TLSSocket(this.#plain, {
      isServer: true,
      secureContext: createSecureContext(certificate),
      SNICallback: (name, done) => {
        this.session.serverName = name;
        done(null);
      },
    });
    secured.once("secure", () => {
      this.session.tls = true;
      if (this.#peer.script.tlsFirst) this.#answer("CONNECT", "", ["220 peer.test ESMTP"]);
      this.#peer.happened();
    });
    this.#socket = secured;
    this.#listenTo(secured);
  }
}

/** RFC 5321 §4.5.2: one dot at the start of a line is taken away. */
function unstuffed(wire: Buffer): Buffer {
  return Buffer.from(wire.toString("latin1").replaceAll(/(^|\r\n)\./g, "$1"), "latin1");
}
