/** Which addresses and ports of this machine are there to be used. */
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";

/** Null when it could be opened (and was closed again); else the system's code, such as EADDRINUSE. */
export function tryBind(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** True when every port is free at the address. */
export async function allFree(host: string, ports: readonly number[]): Promise<boolean> {
  for (const port of ports) {
    if (port < 1 || port > 65_535 || (await tryBind(host, port)) !== null) return false;
  }
  return true;
}

/**
 * Linux has all of 127.0.0.0/8 up; macOS has 127.0.0.1 only, and there ports tell pods apart.
 */
export async function hasLoopbackRange(): Promise<boolean> {
  return (await tryBind("127.0.1.1", 0)) === null;
}

/** Opens `server` at the first free port of `ports`; rejects with the last cause when none is. */
export async function listenOnFirstFree(
  server: Server,
  host: string,
  ports: Iterable<number>,
): Promise<number> {
  let last: unknown = new Error("no port to try");
  for (const port of ports) {
    try {
      return await listen(server, host, port);
    } catch (error) {
      last = error;
      const code = (error as NodeJS.ErrnoException).code;
      // EACCES: a port below 1024 without the privilege.
      if (code !== "EADDRINUSE" && code !== "EACCES") break;
    }
  }
  throw last;
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.removeListener("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
