/**
 * The status server of both programs: /healthz, /readyz, /metrics and routes of the program's own.
 * Plain HTTP, GET only, bounded answers; it holds no state.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import type { Registry } from "prom-client";

import { statusPaths } from "../contract/endpoints.ts";

export type Check = () => { readonly ok: true } | { readonly ok: false; readonly reason: string };
/** Answers one path with a JSON value. */
export type JsonRoute = () => unknown;

export interface StatusServerOptions {
  readonly host: string | undefined;
  readonly port: number;
  readonly alive: Check;
  readonly ready: Check;
  readonly metrics: Registry;
  readonly routes: Readonly<Record<string, JsonRoute>>;
}

export interface StatusServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Rejects when the port cannot be opened; the message names it. */
export async function startStatusServer(options: StatusServerOptions): Promise<StatusServer> {
  const server = createServer((request, response) => {
    const reply = (status: number, type: string, body: string) => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body);
    };
    if (request.method !== "GET" && request.method !== "HEAD") {
      return reply(405, "text/plain", "only GET is answered here\n");
    }
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const check = (result: ReturnType<Check>) =>
      result.ok ? reply(200, "text/plain", "ok\n") : reply(503, "text/plain", `${result.reason}\n`);
    switch (path) {
      case statusPaths.health:
        return check(options.alive());
      case statusPaths.ready:
        return check(options.ready());
      case statusPaths.metrics:
        options.metrics.metrics().then(
          (text) => reply(200, options.metrics.contentType, text),
          (error: unknown) => reply(500, "text/plain", `${String(error)}\n`),
        );
        return undefined;
      default: {
        const route = options.routes[path];
        if (route === undefined) return reply(404, "text/plain", "not found\n");
        return reply(200, "application/json", JSON.stringify(route()));
      }
    }
  });
  // A scraper that hangs must not hold a socket for ever.
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  await listening(server, options.port, options.host);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, port: number, host: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new Error(
          `Cannot open the status server on ${host ?? "*"}:${port}: ${(cause as NodeJS.ErrnoException).code ?? cause.message}`,
          { cause },
        ),
      );
    });
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => resolve());
  });
}
