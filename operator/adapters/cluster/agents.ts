/**
 * Connections to the API server, kept for as long as the TLS material they were opened with is in force.
 * When the authority or the client certificate changes, new calls open new connections; those in use end
 * with what they carry, idle ones at once.
 *
 * HTTP/1.1 throughout: a watch has a connection to itself, so that a slow reader of one kind cannot hold up
 * the others, and closing it is how a watch ends.
 */
import { createHash } from "node:crypto";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";

import type { TlsMaterial } from "./access.ts";

/** Idle connections are closed by us before the server (90 s) does it while we send. */
const IDLE_MS = 60_000;
const MOST_IDLE = 8;

export class Agents {
  readonly #protocol: string;
  #current: { readonly material: string; readonly agent: HttpAgent } | null = null;
  /** Agents of former material whose connections may still be in use. */
  readonly #retired = new Set<HttpAgent>();

  /** `protocol`: "https:" or "http:". */
  constructor(protocol: string) {
    this.#protocol = protocol;
  }

  for(tls: TlsMaterial): HttpAgent {
    const material = fingerprint(tls);
    if (this.#current?.material === material) return this.#current.agent;
    if (this.#current !== null) this.#retire(this.#current.agent);
    const options = { keepAlive: true, maxFreeSockets: MOST_IDLE, timeout: IDLE_MS };
    const agent =
      this.#protocol === "http:" ? new HttpAgent(options) : new HttpsAgent({ ...options, ...tls });
    this.#current = { material, agent };
    return agent;
  }

  /** Cuts every connection. */
  close(): void {
    this.#current?.agent.destroy();
    for (const agent of this.#retired) agent.destroy();
    this.#retired.clear();
    this.#current = null;
  }

  #retire(agent: HttpAgent): void {
    for (const sockets of Object.values(agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
    // What comes back is not kept for reuse.
    agent.maxFreeSockets = 0;
    for (const old of this.#retired) {
      if (Object.keys(old.sockets).length === 0) this.#retired.delete(old);
    }
    this.#retired.add(agent);
  }
}

function fingerprint(tls: TlsMaterial): string {
  const hash = createHash("sha256");
  for (const part of [tls.ca, tls.cert, tls.key, tls.servername, String(tls.rejectUnauthorized)]) {
    hash.update(part ?? "").update("\0");
  }
  return hash.digest("hex");
}
