/**
 * A client that says to an SMTP server exactly what a test writes, byte for byte, and reads its replies:
 *
 *   const client = await SmtpClient.connect({ port });
 *   await client.expect(220);
 *   await client.say("EHLO client.example", 250);
 *   client.raw("MAIL FROM:<a@example.com>\nRCPT …");
 *
 * Every wait ends when the server closes, with an error that tells what was said before.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls, TLSSocket } from "node:tls";

export interface ClientReply {
  readonly code: number;
  /** Text of each line, without code and separator. */
  readonly lines: readonly string[];
  /** The lines as they came, joined by "\n". */
  readonly whole: string;
}

export interface ConnectOptions {
  readonly port: number;
  readonly host?: string;
  /** Address to connect from, to be another client on the same machine. */
  readonly from?: string;
  readonly tls?: boolean;
}

/** A server that does not answer in this time is broken: nothing here waits that long on purpose. */
const PATIENCE_MS = 10_000;

export class SmtpClient {
  #socket: Socket;
  #input = "";
  #waiting: (() => void)[] = [];
  #isClosed = false;
  readonly #transcript: string[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen();
  }

  static async connect({ port, host = "127.0.0.1", from, tls = false }: ConnectOptions): Promise<SmtpClient> {
    const socket = connect({ port, host, ...(from === undefined ? {} : { localAddress: from }) });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const client = new SmtpClient(socket);
    if (tls) await client.handshake();
    return client;
  }

  /** Whether the server has closed the connection. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Common name of the server's certificate; undefined in plain text. */
  get peerName(): string | undefined {
    const name = this.#socket instanceof TLSSocket ? this.#socket.getPeerCertificate().subject.CN : undefined;
    return Array.isArray(name) ? name[0] : name;
  }

  /** Sends these bytes (latin1) and nothing else. */
  raw(bytes: string | Buffer): void {
    this.#transcript.push(`C: ${JSON.stringify(bytes.toString("latin1").slice(0, 200))}`);
    this.#socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Sends a line and expects a reply. */
  async say(line: string, expected: number | string): Promise<ClientReply> {
    this.raw(Buffer.from(`${line}\r\n`));
    return this.expect(expected);
  }

  /** Reads one reply: a code, or the beginning of its last line, such as "550 5.7.1". */
  async expect(expected: number | string): Promise<ClientReply> {
    const reply = await this.reply();
    const last = reply.whole.split("\n").at(-1) ?? "";
    if (!last.startsWith(String(expected))) {
      throw new Error(`Expected ${expected}, got:\n${reply.whole}\nafter\n${this.#transcript.join("\n")}`);
    }
    return reply;
  }

  async reply(): Promise<ClientReply> {
    for (;;) {
      const match = /^(?:\d{3}-[^\n]*\n)*(\d{3})(?: [^\n]*)?\n/.exec(this.#input);
      if (match !== null) {
        this.#input = this.#input.slice(match[0].length);
        const lines = match[0].trimEnd().split("\r\n");
        this.#transcript.push(...lines.map((line) => `S: ${line}`));
        return { code: Number(match[1]), lines: lines.map((line) => line.slice(4)), whole: lines.join("\n") };
      }
      if (this.#isClosed) {
        throw new Error(`Connection closed without a reply after\n${this.#transcript.join("\n")}`);
      }
      await this.#more();
    }
  }

  /** Resolves when the server closes; rejects when it says anything more. */
  async expectClosed(): Promise<void> {
    while (!this.#isClosed) await this.#more();
    if (this.#input !== "") throw new Error(`Expected the end, got ${JSON.stringify(this.#input)}`);
  }

  /** STARTTLS and EHLO again. Returns the reply to EHLO. */
  async startTls(): Promise<ClientReply> {
    await this.say("STARTTLS", 220);
    await this.handshake();
    return this.say("EHLO client.example", 250);
  }

  /** The handshake alone; whatever was read so far stays read. */
  async handshake(): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners("data").removeAllListeners("close").removeAllListeners("error");
    const secure = connectTls({ socket: plain, rejectUnauthorized: false });
    await new Promise<void>((resolve, reject) => {
      secure.once("secureConnect", resolve);
      secure.once("error", reject);
      secure.once("close", () => reject(new Error("Closed during the handshake")));
    });
    secure.removeAllListeners("error").removeAllListeners("close");
    this.#socket = secure;
    this.#listen();
  }

  /** AUTH PLAIN in one line. */
  async login(username: string, password: string, expected: number | string = 235): Promise<ClientReply> {
    const token = Buffer.from(`\0${username}\0${password}`).toString("base64");
    return this.say(`AUTH PLAIN ${token}`, expected);
  }

  /** MAIL, RCPT and DATA, up to 354. */
  async begin(from: string, ...recipients: readonly string[]): Promise<void> {
    await this.say(`MAIL FROM:<${from}>`, 250);
    for (const recipient of recipients) await this.say(`RCPT TO:<${recipient}>`, 250);
    await this.say("DATA", 354);
  }

  /** Goes away as a crashed program does. */
  vanish(): void {
    this.#socket.destroy();
  }

  /** Reads nothing any more and keeps the connection open. */
  ignore(): void {
    this.#socket.pause();
  }

  /** Closes our half. */
  end(): void {
    this.#socket.end();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => {
      this.#input += chunk.toString("utf8");
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`No word from the server after\n${this.#transcript.join("\n")}`)),
        PATIENCE_MS,
      );
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
