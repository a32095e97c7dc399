/**
 * The operator in a cluster, wired: client, status server, lease, controllers; in this order, and stopped in
 * the opposite one. Whoever does not lead waits and is ready all the same: it stands by. Who lost the lead
 * does not take it up again in this process: the caller ends it, and its pod begins anew with nothing held
 * over.
 */
import { Registry } from "prom-client";

import type { Clock } from "../../relay/kit/clock.ts";
import { Lifecycle } from "../../relay/kit/lifecycle.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import { type Check, startStatusServer } from "../../relay/kit/statusServer.ts";
import { type ApiAccess, remembered } from "../adapters/cluster/access.ts";
import {
  type ClusterClient,
  type ClusterClientOptions,
  createClusterClient,
} from "../adapters/cluster/clusterClient.ts";
import { LeaderLease, type Leadership } from "../adapters/cluster/leaderLease.ts";
import { createOperatorMetrics } from "../adapters/cluster/metrics.ts";
import { createRecorder } from "../adapters/cluster/recorder.ts";
import { ObservedClient } from "../adapters/cluster/observedClient.ts";
import { createBreath } from "../adapters/breath.ts";
import type { DnsProbe } from "../adapters/dnsProbe.ts";
import type { KeyGenerator } from "../adapters/keyGenerator.ts";
import type { ReportSource } from "../adapters/relayReports.ts";
import { SharedText } from "../reconcile/sharedText.ts";
import { type Operator, startOperator } from "../start.ts";
import type { Environment } from "../world.ts";

export interface ClusterModeOptions {
  readonly access: ApiAccess;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly environment: Environment;
  readonly reports: ReportSource;
  readonly dns: DnsProbe;
  readonly keys: KeyGenerator;
  readonly namespaces: readonly string[] | null;
  /** Null: no election, this is the only one. */
  readonly lease: { readonly namespace: string; readonly name: string; readonly identity: string } | null;
  /** Of this process, in Events. */
  readonly instance: string;
  readonly status: { readonly host?: string; readonly port: number };
}

export interface ClusterMode {
  readonly statusPort: number;
  /** Resolves with why when it can no longer go on: leadership lost. Never when it is stopped. */
  readonly ended: Promise<string>;
  readonly leading: boolean;
  /** Stops controllers, frees the lease, closes connections. */
  stop(): Promise<void>;
}

/** Older news than this are no ground to act on: not ready. */
const STALE_SECONDS = 300;
/** The lease has calls of its own: short, and not behind others. */
const leaseCalls = { callSeconds: 4, attempts: 1, concurrency: 2 };

/** Rejects when the status port cannot be opened. An API server that is away is waited for. */
export async function startClusterMode(options: ClusterModeOptions): Promise<ClusterMode> {
  const { clock, random, log } = options;
  const lifecycle = new Lifecycle({ clock, log });
  const registry = new Registry();
  const state: {
    operator: Operator | null;
    synced: boolean;
    lost: string | null;
    leadership: Leadership | null;
  } = { operator: null, synced: false, lost: null, leadership: null };
  const access = remembered(options.access, clock);
  const metrics = createOperatorMetrics(registry, clock, {
    depths: () => state.operator?.depths() ?? new Map(),
    cached: () => state.operator?.cached() ?? new Map(),
    troubles: () => state.operator?.troubles() ?? [],
    watchAges: () => client.ages(),
    leading: () => state.operator !== null && state.lost === null,
  });
  const connect = (calls: Partial<ClusterClientOptions>): ClusterClient => {
    const made = createClusterClient({
      access,
      clock,
      random,
      onCall: (call) => metrics.called(call),
      ...calls,
    });
    lifecycle.started({ name: "connections", deadlineSeconds: 1, stop: () => made.close() });
    return made;
  };
  const calls = connect({ barred: () => state.leadership?.doubt() ?? null });
  const client = new ObservedClient({
    client: calls,
    clock,
    onList: (what, outcome) => metrics.listed(what, outcome),
    onWatch: (what, outcome) => metrics.watched(what, outcome),
  });

  const ready: Check = () => {
    if (state.lost !== null) return { ok: false, reason: state.lost };
    if (state.operator === null) return { ok: true };
    if (!state.synced) return { ok: false, reason: "caches are being filled" };
    const stale = client.ages().find(({ seconds }) => seconds > STALE_SECONDS);
    if (stale === undefined) return { ok: true };
    return { ok: false, reason: `no news of ${stale.kind} for ${Math.round(stale.seconds)} s` };
  };
  const server = await startStatusServer({
    host: options.status.host,
    port: options.status.port,
    // An API server in trouble is not cured by a restart of ours.
    alive: () => (state.lost === null ? { ok: true } : { ok: false, reason: state.lost }),
    ready,
    metrics: registry,
    routes: {},
  });
  lifecycle.started({ name: "status server", deadlineSeconds: 2, stop: () => server.close() });

  const stopping = new AbortController();
  let end: (why: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const begin = (): void => {
    const events = createRecorder({ client: calls, clock, log, instance: options.instance });
    lifecycle.started({ name: "events", deadlineSeconds: 1, stop: () => events.stop() });
    const operator = startOperator({
      ...options,
      client,
      observer: metrics,
      events,
      texts: new SharedText(),
      breathe: createBreath(),
    });
    state.operator = operator;
    void operator.synced.then(() => {
      state.synced = true;
      return undefined;
    });
    lifecycle.started({ name: "operator", deadlineSeconds: 35, stop: () => operator.stop() });
  };
  const lead = async (lease: LeaderLease): Promise<void> => {
    const leadership: Leadership | null = await lease.acquire(stopping.signal);
    if (leadership === null) return;
    state.leadership = leadership;
    lifecycle.started({ name: "lease", deadlineSeconds: 5, stop: () => leadership.release() });
    leadership.lost.addEventListener("abort", () => {
      state.lost = "leadership was lost";
      // What is under way must not be written any more: another one leads from now on.
      calls.close();
      end(state.lost);
    });
    begin();
  };

  let leading: Promise<void> = Promise.resolve();
  if (options.lease === null) begin();
  else {
    const lease = new LeaderLease({ client: connect(leaseCalls), clock, random, log, ...options.lease });
    leading = lead(lease);
  }
  return {
    statusPort: server.port,
    ended,
    get leading() {
      return state.operator !== null && state.lost === null;
    },
    async stop() {
      stopping.abort();
      await leading;
      await lifecycle.stop();
    },
  };
}
