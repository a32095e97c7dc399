/**
 * One port of a Service: accepts TCP on loopback and hands each connection to the next ready pod, in
 * turn, as kube-proxy spreads them. Bytes pass as they are, each direction closes on its own; a pod that
 * cannot be reached is passed over. With no pod ready the connection is closed at once, so that the client
 * tries again later.
 */
import { connect, createServer, type Socket } from "node:net";

import { codeOf } from "./files.ts";
import { listenOnFirstFree } from "./tcpPorts.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface PortForward {
  readonly host: string;
  readonly port: number;
  /** Accepts no more; what is connected goes on. */
  stopAccepting(): Promise<void>;
  /** Ends what is still connected. */
  destroy(): void;
}

/** Two pods' worth of the largest default (`limits.sessions`); a flood waits in the kernel's backlog. */
const MAX_CONNECTIONS = 10_000;
/** On loopback a pod that does not take the connection by then is stuck. */
const CONNECT_TIMEOUT_MS = 5_000;

/** `endpoints` is asked at each connection. Rejects when none of `ports` can be opened. */
export async function startPortForward(options: {
  readonly host: string;
  readonly ports: Iterable<number>;
  readonly endpoints: () => readonly Endpoint[];
}): Promise<PortForward> {
  const { host, endpoints } = options;
  const clients = new Set<Socket>();
  let turn = 0;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    clients.add(client);
    client.on("close", () => clients.delete(client));
    client.on("error", () => client.destroy());
    const ready = endpoints();
    const first = ready.length === 0 ? 0 : turn++ % ready.length;
    connectToFirst(client, [...ready.slice(first), ...ready.slice(0, first)]);
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    const port = await listenOnFirstFree(server, host, options.ports);
    server.on("error", () => {});
    const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
    return {
      host,
      port,
      async stopAccepting() {
        server.close();
        // `close` comes when the last connection has ended; the port itself is free at once.
        if (clients.size === 0) await closed;
      },
      destroy() {
        server.close();
        for (const client of clients) client.destroy();
      },
    };
  } catch (cause) {
    throw new Error(`Cannot open a port on ${host} for clients: ${codeOf(cause)}`, { cause });
  }
}

function connectToFirst(client: Socket, endpoints: readonly Endpoint[]): void {
  const [endpoint, ...others] = endpoints;
  if (endpoint === undefined || client.destroyed) return void client.destroy();
  const pod = connect({ ...endpoint, allowHalfOpen: true });
  const giveUp = () => pod.destroy();
  client.once("close", giveUp);
  pod.setTimeout(CONNECT_TIMEOUT_MS, () => pod.destroy(new Error("no answer")));
  pod.once("error", () => {
    client.removeListener("close", giveUp);
    connectToFirst(client, others);
  });
  pod.once("connect", () => {
    pod.removeAllListeners("error");
    pod.setTimeout(0);
    join(client, pod);
  });
}

/** Each end's FIN is passed on by pipe(); an abort of one aborts the other. */
function join(client: Socket, pod: Socket): void {
  pod.on("error", () => client.resetAndDestroy());
  pod.on("close", () => client.end());
  client.on("close", (hadError) => (hadError ? pod.resetAndDestroy() : pod.destroy()));
  client.on("error", () => pod.resetAndDestroy());
  client.pipe(pod);
  pod.pipe(client);
}
