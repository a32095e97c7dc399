/**
 * A door before the API server: passes everything on, over TLS on both sides, and can declare every watch
 * expired. What follows is what a compacted etcd or a rolled API server leads to: the watch ends, its version
 * is answered with 410, and the client lists anew.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, request as forward } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

import type { ApiServer } from "../../support/cluster/apiServer.ts";

export interface Door extends AsyncDisposable {
  readonly port: number;
  /** Ends every open watch; each is answered with 410 until its client has listed anew. */
  expire(): void;
  /** Watches that were ended and are not open again yet. */
  readonly relisting: number;
}

export async function openDoor(api: ApiServer): Promise<Door> {
  const certificates = join(api.directory, "certificates");
  const agent = new Agent({ ca: api.ca, keepAlive: true });
  const upstream = new URL(api.url);
  const open = new Map<ServerResponse, string>();
  /** By collection: whether its next watch still has to hear 410. */
  const expired = new Map<string, "refuse" | "await">();

  const pass = (incoming: IncomingMessage, outgoing: ServerResponse, watched: string | null): void => {
    const onward = forward(
      {
        agent,
        host: upstream.hostname,
        port: upstream.port,
        method: incoming.method,
        path: incoming.url,
        headers: { ...incoming.headers, host: upstream.host },
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        if (watched !== null) {
          outgoing.flushHeaders();
          if (answer.statusCode === 200) expired.delete(watched);
        }
        answer.pipe(outgoing);
        answer.on("error", () => outgoing.destroy());
      },
    );
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    incoming.pipe(onward);
  };
  const server = createServer(
    {
      cert: readFileSync(join(certificates, "apiserver.crt")),
      key: readFileSync(join(certificates, "apiserver.key")),
    },
    (incoming, outgoing) => {
      const { pathname, searchParams } = new URL(incoming.url ?? "/", api.url);
      if (searchParams.get("watch") !== "true") return pass(incoming, outgoing, null);
      const collection = `${pathname} ${searchParams.get("labelSelector") ?? ""}`;
      if (expired.get(collection) === "refuse") {
        expired.set(collection, "await");
        const body = JSON.stringify({
          kind: "Status",
          apiVersion: "v1",
          metadata: {},
          status: "Failure",
          message: "too old resource version",
          reason: "Expired",
          code: 410,
        });
        outgoing.writeHead(410, { "content-type": "application/json" }).end(body);
        return;
      }
      open.set(outgoing, collection);
      outgoing.on("close", () => open.delete(outgoing));
      pass(incoming, outgoing, collection);
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get relisting() {
      return expired.size;
    },
    expire() {
      for (const [outgoing, collection] of open) {
        expired.set(collection, "refuse");
        outgoing.destroy();
      }
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      agent.destroy();
    },
  };
}
