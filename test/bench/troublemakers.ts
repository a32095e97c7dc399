/**
 * Those who would harm others if they could: clients that say nothing, that send content a line at a time,
 * that never end it, and servers whose replies trickle. Each is so many of its kind, and ends when told.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export interface Trouble extends AsyncDisposable {
  /** How many of them are at it now: less than were begun when the relay has thrown some out. */
  readonly alive: number;
}

/** Connections opened at a time: a listener's backlog is finite. */
const STRIDE = 100;
const OPENING = [
  "EHLO trouble.example.test\r\n",
  "MAIL FROM:<sender@example.test>\r\n",
  "RCPT TO:<someone@inbox.test>\r\n",
  "DATA\r\n",
] as const;
const HEADER = "From: sender@example.test\r\nSubject: and so on\r\n\r\n";
const LINE = `${"x".repeat(70)}\r\n`;

/** Sessions that have said EHLO and are silent from then on. */
export async function idleSessions(port: number, count: number): Promise<Trouble> {
  return crowd(await sessions(port, count, 1), () => {}, 1000);
}

/** Sessions in the middle of their content, which send a line of it each second. */
export async function slowSenders(port: number, count: number): Promise<Trouble> {
  return crowd(await sessions(port, count, OPENING.length), (socket) => socket.write(LINE), 1000);
}

/** Sessions whose content goes on and on, at some 160 KiB a second each; whoever is thrown out is not replaced. */
export async function endlessSenders(port: number, count: number): Promise<Trouble> {
  const much = LINE.repeat(228);
  return crowd(await sessions(port, count, OPENING.length), (socket) => socket.write(much), 100);
}

/** A server on each address that greets one byte a second, and goes on like that. */
export async function tricklingServers(addresses: readonly string[], port: number): Promise<Trouble> {
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  for (const address of addresses) {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    });
    server.listen(port, address);
    await once(server, "listening");
    servers.push(server);
  }
  const greeting = `220-${"x".repeat(400)}`;
  let at = 0;
  const trouble = crowd(sockets, (socket) => socket.write(greeting[at++ % greeting.length] ?? "-"), 1000);
  return {
    get alive() {
      return trouble.alive;
    },
    async [Symbol.asyncDispose]() {
      await trouble[Symbol.asyncDispose]();
      for (const server of servers) server.close();
    },
  };
}

/** Opens sessions and brings each so many commands far. */
async function sessions(port: number, count: number, commands: number): Promise<Set<Socket>> {
  const all = new Set<Socket>();
  for (let opened = 0; opened < count; opened += STRIDE) {
    const some = Array.from({ length: Math.min(STRIDE, count - opened) }, () => connect(port, "127.0.0.1"));
    for (const socket of some) {
      socket.on("error", () => {});
      socket.on("close", () => all.delete(socket));
      all.add(socket);
    }
    const heard = () => Promise.all(some.map((socket) => once(socket, "data")));
    await heard();
    for (const command of OPENING.slice(0, commands)) {
      const answered = heard();
      for (const socket of some) socket.write(command);
      await answered;
    }
    if (commands === OPENING.length) for (const socket of some) socket.write(HEADER);
    // What they are told now is nothing to them.
    for (const socket of some) socket.resume();
  }
  return all;
}

function crowd(sockets: Set<Socket>, act: (socket: Socket) => void, everyMs: number): Trouble {
  const timer = setInterval(() => {
    for (const socket of sockets) if (!socket.writableNeedDrain) act(socket);
  }, everyMs);
  return {
    get alive() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      const open = [...sockets].filter((socket) => !socket.closed);
      const closed = open.map((socket) => once(socket, "close"));
      for (const socket of open) socket.destroy();
      await Promise.all(closed);
    },
  };
}
