/**
 * Where the API server is and who we are to it: address, headers and TLS material. Credentials change while
 * we run (tokens by the hour, certificates by the year), so they are asked for at each call; `remembered`
 * keeps an answer for a few seconds, that a burst of calls does not read the same files a thousand times.
 */
import type { Agent } from "node:http";

import type { Clock } from "../../../relay/kit/clock.ts";

export interface TlsMaterial {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface ApiCredentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
  /** Carries every connection in place of our own agents: the proxy a kubeconfig names. */
  readonly agent?: Agent;
}

export interface ApiAccess {
  /** Base address; a path in it goes before every path asked for. */
  readonly server: URL;
  /** Credentials in force now. Rejects when they cannot be read. */
  credentials(): Promise<ApiCredentials>;
  /** The server did not take them (401): the next ones are read anew. */
  refused(): void;
}

const REMEMBERED_MS = 10_000;

/** The same access, with credentials read at most every ten seconds. A failed reading is not kept. */
export function remembered(access: ApiAccess, clock: Clock): ApiAccess {
  let kept: { readonly until: number; readonly reading: Promise<ApiCredentials> } | null = null;
  return {
    server: access.server,
    credentials() {
      const now = clock.now();
      // A clock set back must not keep old credentials alive for longer than it was set back.
      if (kept !== null && now < kept.until && kept.until - now <= REMEMBERED_MS) return kept.reading;
      const reading = access.credentials();
      const entry = { until: now + REMEMBERED_MS, reading };
      kept = entry;
      reading.catch(() => {
        if (kept === entry) kept = null;
      });
      return reading;
    },
    refused() {
      kept = null;
      access.refused();
    },
  };
}
