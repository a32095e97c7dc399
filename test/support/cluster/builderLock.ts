/**
 * One builder at a time, over all processes of this machine: two builds of Kubernetes at once would take
 * longer than two in turn, and twice the memory.
 *
 * The lock is a socket in Linux's abstract namespace: the kernel gives it back when its holder ends,
 * however it ends, and a connection to it tells those who wait.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/**
 * Runs `action` while holding the lock of this folder. `waiting` is called once when somebody else holds it.
 * Gives up after `seconds`.
 */
export async function withBuilderLock<T>(
  folder: string,
  action: () => Promise<T>,
  waiting: () => void,
  seconds = 3600,
): Promise<T> {
  const name = `\0smtp-relay-operator-builder-${createHash("sha256").update(folder).digest("hex").slice(0, 24)}`;
  const deadline = performance.now() + seconds * 1000;
  let told = false;
  for (;;) {
    const release = await hold(name);
    if (release !== null) {
      try {
        return await action();
      } finally {
        release();
      }
    }
    if (!told) waiting();
    told = true;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0)
      throw new Error(`Cannot build into ${folder}: another build has held it for ${seconds} s.`);
    await untilReleased(name, leftMs);
  }
}

/** Null when it is taken. */
async function hold(name: string): Promise<(() => void) | null> {
  const server = createServer();
  const waiters = new Set<Socket>();
  server.on("connection", (socket) => {
    waiters.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => waiters.delete(socket));
  });
  server.listen(name);
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
async function untilReleased(name: string, timeMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(name);
    const timer = setTimeout(() => socket.destroy(), timeMs);
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
