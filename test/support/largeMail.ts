/**
 * Large messages through a relay to a receiver that reads slowly, with the relay's memory watched all the while:
 * what a message of 50 MB costs must not be 50 MB.
 */
import { readFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";

export interface SlowReceiver extends AsyncDisposable {
  readonly port: number;
  /** Bytes of content taken, of all messages. */
  taken(): number;
  messages(): number;
}

/** Takes mail at `bytesPerTurn` every 20 ms on each connection, and keeps nothing of it. */
export async function slowReceiver(bytesPerTurn: number): Promise<SlowReceiver> {
  let bytes = 0;
  let messages = 0;
  const serve = (socket: Socket) => {
    let inData = false;
    let tail = "";
    socket.on("error", () => {});
    socket.write("220 slow.test ESMTP\r\n");
    const turn = setInterval(() => {
      for (let left = bytesPerTurn; left > 0;) {
        const chunk = socket.read() as Buffer | null;
        if (chunk === null) return;
        left -= chunk.length;
        hear(chunk);
      }
    }, 20);
    socket.on("close", () => clearInterval(turn));
    socket.on("end", () => socket.end());
    const hear = (chunk: Buffer) => {
      if (inData) bytes += chunk.length;
      const text = tail + chunk.toString("latin1");
      if (inData) {
        const end = text.indexOf("\r\n.\r\n");
        tail = text.slice(-4);
        if (end === -1) return;
        inData = false;
        messages++;
        tail = "";
        socket.write("250 2.0.0 Ok\r\n");
        if (end + 5 < text.length) commands(text.slice(end + 5));
      } else commands(text);
    };
    const commands = (text: string) => {
      const lines = text.split("\r\n");
      tail = lines.pop() ?? "";
      for (const line of lines) {
        const word = line.slice(0, 4).toUpperCase();
        if (word === "DATA") {
          inData = true;
          socket.write("354 Go on\r\n");
        } else if (word === "QUIT") socket.end("221 Bye\r\n");
        else if (word === "EHLO") socket.write("250-slow.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
        else socket.write("250 2.0.0 Ok\r\n");
      }
    };
  };
  const sockets = new Set<Socket>();
  const server: Server = createServer({ highWaterMark: 64 * 1024 }, (socket) => {
    sockets.add(socket);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot read the port of a socket.");
  return {
    port: address.port,
    taken: () => bytes,
    messages: () => messages,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Submits one message of `bytes`, as fast as the relay takes it. Resolves after its 250. */
export function submitLarge(port: number, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const line = Buffer.from(`${"0123456789abcdef".repeat(4)}\r\n`.repeat(1000));
    const steps = [
      "EHLO client.example.test\r\n",
      "MAIL FROM:<sender@example.test>\r\n",
      "RCPT TO:<someone@inbox.test>\r\n",
      "DATA\r\n",
    ];
    let heard = "";
    const body = async () => {
      socket.write("From: sender@example.test\r\nSubject: large\r\n\r\n");
      for (let left = bytes; left > 0; left -= line.length) {
        if (!socket.write(line)) await new Promise((go) => socket.once("drain", go));
      }
      socket.write(".\r\n");
    };
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      for (;;) {
        const reply = /^(?:\d{3}-.*\r\n)*(\d{3}) .*\r\n/.exec(heard);
        if (reply === null) return;
        heard = heard.slice(reply[0].length);
        const code = Number(reply[1]);
        if (code >= 400) return socket.destroy(new Error(`The relay said ${reply[0].trim()}`));
        const step = steps.shift();
        if (step !== undefined) socket.write(step);
        else if (code === 354) void body();
        else if (code === 250) {
          socket.end("QUIT\r\n");
          resolve();
        }
      }
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("The relay closed the session.")));
  });
}

export interface MemoryWatch {
  /** MiB above what it was at the start, at most. */
  growth(): number;
  stop(): void;
}

/** Looks at a process's resident memory every 20 ms. */
export function watchMemory(pid: number): MemoryWatch {
  const resident = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? Number.NaN) / 1024;
  const start = resident();
  let most = start;
  const timer = setInterval(() => (most = Math.max(most, resident())), 20);
  return { growth: () => Math.round(most - start), stop: () => clearInterval(timer) };
}
