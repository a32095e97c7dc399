/**
 * Locks over all processes of this machine. One builder at a time, since two builds of Kubernetes at once take
 * longer than two in turn, and twice the memory; one node at a time, since it uses the machine's own network.
 *
 * A lock is a socket in Linux's abstract namespace: the kernel gives it back when its holder ends, however it
 * ends, and a connection to it tells those who wait.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface LockOptions {
  /** Called once when somebody else holds it. */
  readonly waiting?: () => void;
  /** Patience; 0: now or never. */
  readonly seconds: number;
}

/** Takes the lock of this name; the result gives it back. Throws when it was not to be had in time. */
export async function takeLock(name: string, { waiting, seconds }: LockOptions): Promise<() => void> {
  const address = `\0smtp-relay-operator-${createHash("sha256").update(name).digest("hex").slice(0, 24)}`;
  const deadline = performance.now() + seconds * 1000;
  for (let attempt = 0; ; attempt += 1) {
    const release = await hold(address);
    if (release !== null) return release;
    if (attempt === 0) waiting?.();
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) {
      throw new Error(`Cannot take the lock of ${name}: another process has held it for ${seconds} s.`);
    }
    await untilReleased(address, leftMs);
  }
}

/** Runs `action` while holding the lock. */
export async function withLock<T>(name: string, options: LockOptions, action: () => Promise<T>): Promise<T> {
  const release = await takeLock(name, options);
  try {
    return await action();
  } finally {
    release();
  }
}

/** Null when it is taken. */
async function hold(address: string): Promise<(() => void) | null> {
  const server = createServer();
  const waiters = new Set<Socket>();
  server.on("connection", (socket) => {
    waiters.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => waiters.delete(socket));
  });
  server.listen(address);
  try {
    await once(server, "listening");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return null;
    throw error;
  }
  return () => {
    server.close();
    for (const socket of waiters) socket.destroy();
  };
}

/** Resolves when the holder lets go, or when the time is over. */
async function untilReleased(address: string, timeMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(address);
    const timer = setTimeout(() => socket.destroy(), timeMs);
    // It was given back between our two looks.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
    // Nothing is ever sent; reading is what notices the end.
    socket.resume();
  });
}
