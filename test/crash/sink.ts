/**
 * Where everything ends: an SMTP server that counts what it takes, by key (the local part of the recipient).
 * `later` recipients are refused for now at their first tries, `never` ones for good. It has PIPELINING, so
 * that senders behave as they do towards a real peer, and keeps nothing but a hash of each body.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

import { fateOf, type Ledger } from "./ledger.ts";

export interface Sink extends AsyncDisposable {
  readonly port: number;
  /** When it last took or refused something, by performance.now(). */
  readonly lastEventAt: number;
  /** When each key of the life so far last ended, by performance.now(). */
  readonly endedAt: ReadonlyMap<string, number>;
  /** Resolves when the connections of a dead relay are read to their end; then a new life may begin. */
  drained(): Promise<void>;
  forgetLife(): void;
}

/** A `later` recipient is taken at its third try, so that it is deferred twice. */
const DEFERRALS = 2;

export async function startSink(
  ledger: Ledger,
  options: { host?: string; port?: number } = {},
): Promise<Sink> {
  const host = options.host ?? "127.0.0.1";
  const sockets = new Set<Socket>();
  const tries = new Map<string, number>();
  const endedAt = new Map<string, number>();
  let lastEventAt = performance.now();

  const judge = (key: string): string => {
    switch (fateOf(key)) {
      case "ok":
        return "250 2.1.5 Ok";
      case "never":
        lastEventAt = performance.now();
        endedAt.set(key, lastEventAt);
        ledger.refuse(key);
        return "550 5.1.1 No such mailbox here";
      case "later": {
        const count = (tries.get(key) ?? 0) + 1;
        tries.set(key, count);
        lastEventAt = performance.now();
        return count > DEFERRALS ? "250 2.1.5 Ok" : "450 4.2.1 Mailbox busy, try again later";
      }
    }
  };
  const take = (keys: readonly string[], hash: string) => {
    lastEventAt = performance.now();
    for (const key of keys) {
      endedAt.set(key, lastEventAt);
      ledger.deliver(key, hash);
    }
  };

  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    const session = new Session(socket, judge, take);
    socket.on("data", (chunk: Buffer) => session.push(chunk));
    socket.on("end", () => socket.end());
    socket.write("220 sink.test ESMTP\r\n");
  });
  server.listen(options.port ?? 0, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot read the port of the sink.");
  return {
    port: address.port,
    get lastEventAt() {
      return lastEventAt;
    },
    endedAt,
    async drained() {
      const open = [...sockets].filter((socket) => !socket.closed);
      await Promise.all(open.map((socket) => once(socket, "close")));
    },
    forgetLife() {
      endedAt.clear();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

const END_OF_DATA = Buffer.from("\r\n.\r\n");

class Session {
  readonly #socket: Socket;
  readonly #judge: (key: string) => string;
  readonly #take: (keys: readonly string[], hash: string) => void;
  #input: Buffer = Buffer.alloc(0);
  #keys: string[] = [];
  #inContent = false;
  #isOver = false;
  #searched = 0;

  constructor(
    socket: Socket,
    judge: (key: string) => string,
    take: (keys: readonly string[], hash: string) => void,
  ) {
    this.#socket = socket;
    this.#judge = judge;
    this.#take = take;
  }

  push(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    let replies = "";
    for (let reply = this.#step(); reply !== null; reply = this.#step()) replies += reply;
    if (replies !== "" && !this.#socket.destroyed) this.#socket.write(replies);
    if (this.#isOver) this.#socket.end();
  }

  /** The reply to what is complete, or null when more must come. */
  #step(): string | null {
    if (this.#inContent) return this.#content();
    const end = this.#input.indexOf("\r\n");
    if (end === -1) return null;
    const line = this.#input.toString("latin1", 0, end);
    this.#input = this.#input.subarray(end + 2);
    return this.#command(line);
  }

  #command(line: string): string {
    const word = line.slice(0, 4).toUpperCase();
    switch (word) {
      case "EHLO":
        return "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n";
      case "RCPT": {
        const key = /<([^@>]+)@/.exec(line)?.[1] ?? "";
        const reply = this.#judge(key);
        if (reply.startsWith("2")) this.#keys.push(key);
        return `${reply}\r\n`;
      }
      case "DATA":
        if (this.#keys.length === 0) return "554 5.5.1 No valid recipients\r\n";
        this.#inContent = true;
        this.#searched = 0;
        return "354 Go on\r\n";
      case "MAIL":
      case "RSET":
      case "HELO":
      case "NOOP":
        this.#keys = [];
        return "250 2.0.0 Ok\r\n";
      case "QUIT":
        this.#isOver = true;
        return "221 2.0.0 Bye\r\n";
      default:
        return "502 5.5.2 Not known here\r\n";
    }
  }

  #content(): string | null {
    const end = this.#input.indexOf(END_OF_DATA, this.#searched);
    if (end === -1) {
      this.#searched = Math.max(0, this.#input.length - END_OF_DATA.length);
      return null;
    }
    const content = this.#input.subarray(0, end + 2);
    this.#input = this.#input.subarray(end + END_OF_DATA.length);
    this.#inContent = false;
    const keys = this.#keys;
    this.#keys = [];
    this.#take(keys, hashOfBody(content));
    return "250 2.0.0 Ok: taken\r\n";
  }
}

/** Of the body as it was before it was made ready for the wire (RFC 5321 §4.5.2). */
function hashOfBody(content: Buffer): string {
  const start = content.indexOf("\r\n\r\n") + 4;
  const body = content.toString("latin1", start).replace(/(^|\r\n)\./g, "$1");
  return hashOf(body);
}

export function hashOf(body: string): string {
  return createHash("sha256").update(body, "latin1").digest("base64url").slice(0, 22);
}
