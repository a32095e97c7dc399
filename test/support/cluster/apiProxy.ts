/**
 * Between one client and the API server, under the server's own certificate, to do what networks and overloaded servers do to it:
 *
 *   storm       a share of requests, drawn from a seed, is refused (429 with Retry-After, 500, 503), or carried
 *               out with its answer lost
 *   cutStreams  open watches fall silent: no byte more, no end either, as when a firewall forgets a connection
 *   hold        an answer is kept back until it is let go
 *
 * Requests go on from an address of their own, by which the audit log tells clients of one identity apart.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

import { seededRandom } from "../seededRandom.ts";
import type { ApiServer } from "./apiServer.ts";
import { type IdentityName, kubeconfigText } from "./identities.ts";

/** "lost": carried out by the server, but the connection breaks before the answer. */
export type Fault = 429 | 500 | 503 | "lost";

export interface Storm {
  /** Of all requests, from 0 to 1. */
  readonly share: number;
  readonly seed: number;
  readonly faults: readonly Fault[];
}

export interface Held {
  /** Hands the answer on to the client, whether it still listens or not. */
  release(): void;
}

export interface ApiProxy extends AsyncDisposable {
  readonly url: string;
  /** As it stands in the audit log's sourceIPs. */
  readonly address: string;
  kubeconfigFile(identity: IdentityName): string;
  /** From now on; null: fair weather. */
  storm(storm: Storm | null): void;
  /** "METHOD path" of every request that asks for a change, also of those that were broken off. */
  readonly changes: readonly string[];
  /** Faults dealt out so far, by kind. */
  readonly faults: ReadonlyMap<Fault, number>;
  /** Silences every watch that is open now; new ones work. Returns how many. */
  cutStreams(): number;
  /** Breaks every watch that is open now, as a server that restarts does. */
  breakStreams(): void;
  /** Keeps back the answer of the next request that matches; resolves when the server has given it. */
  hold(matches: (method: string, path: string) => boolean): Promise<Held>;
}

interface Hold {
  readonly matches: (method: string, path: string) => boolean;
  readonly caught: (held: Held) => void;
}

interface Stream {
  readonly answer: IncomingMessage;
  readonly client: ServerResponse;
}

export async function startApiProxy(api: ApiServer, address: string): Promise<ApiProxy> {
  const target = new URL(api.url);
  const agent = new Agent({ ca: api.ca, keepAlive: true, localAddress: address });
  const streams = new Set<Stream>();
  const silenced = new Set<ServerResponse>();
  const holds: Hold[] = [];
  const changes: string[] = [];
  const dealt = new Map<Fault, number>();
  let weather: (Storm & { readonly draw: () => number }) | null = null;

  const nextFault = (): Fault | null => {
    if (weather === null || weather.draw() >= weather.share) return null;
    const fault = weather.faults[Math.floor(weather.draw() * weather.faults.length)] ?? null;
    if (fault !== null) dealt.set(fault, (dealt.get(fault) ?? 0) + 1);
    return fault;
  };

  const forward = (asked: IncomingMessage, client: ServerResponse, lost: boolean): void => {
    const { method = "GET", url = "/" } = asked;
    const at = holds.findIndex(({ matches }) => matches(method, url));
    const [hold] = at < 0 ? [] : holds.splice(at, 1);
    const sent = request(
      { host: target.hostname, port: target.port, method, path: url, headers: asked.headers, agent },
      (answer) => {
        if (lost) {
          answer.resume();
          answer.once("end", () => client.destroy());
          return;
        }
        const handOn = () => {
          client.writeHead(answer.statusCode ?? 502, answer.headers);
          client.flushHeaders();
          answer.pipe(client);
        };
        // Half an answer is no answer.
        answer.once("aborted", () => silenced.has(client) || client.destroy());
        if (isWatch(url)) {
          const stream = { answer, client };
          streams.add(stream);
          client.once("close", () => streams.delete(stream));
        }
        if (hold === undefined) handOn();
        else hold.caught({ release: handOn });
      },
    );
    sent.on("error", () => client.destroy());
    client.once("close", () => sent.destroy());
    asked.pipe(sent);
  };

  const certificate = { cert: api.ca, key: readFileSync(api.caFile.replace(/\.crt$/, ".key")) };
  const server = createServer(certificate, (asked, client) => {
    client.on("error", () => {});
    if (asked.method !== "GET") changes.push(`${asked.method} ${asked.url}`);
    const fault = nextFault();
    if (fault === null || fault === "lost") forward(asked, client, fault === "lost");
    else refuse(asked, client, fault);
  });
  // A watch asks nothing for minutes.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url,
    address,
    kubeconfigFile(identity) {
      const path = join(api.directory, `${identity}.${address}.kubeconfig`);
      writeFileSync(path, kubeconfigText(url, api.ca, api.identities[identity]), { mode: 0o600 });
      return path;
    },
    storm(storm) {
      weather = storm === null ? null : { ...storm, draw: seededRandom(storm.seed).draw };
    },
    changes,
    faults: dealt,
    cutStreams() {
      const cut = [...streams];
      for (const { answer, client } of cut) {
        silenced.add(client);
        answer.unpipe(client);
        answer.destroy();
      }
      streams.clear();
      return cut.length;
    },
    breakStreams() {
      for (const { client } of streams) client.destroy();
    },
    hold: (matches) =>
      new Promise((resolve) => {
        holds.push({ matches, caught: resolve });
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      agent.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function isWatch(url: string): boolean {
  return new URL(url, "http://any").searchParams.get("watch") === "true";
}

/** As the API server's own filters refuse. */
function refuse(asked: IncomingMessage, client: ServerResponse, code: 429 | 500 | 503): void {
  asked.resume();
  const reason = { 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable" }[code];
  const body = JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message: `a storm of ${code}`,
    reason,
    code,
    ...(code === 429 ? { details: { retryAfterSeconds: 1 } } : {}),
  });
  client.writeHead(code, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...(code === 429 ? { "retry-after": "1" } : {}),
  });
  client.end(body);
}
