/**
 * The Deliverer: takes a job to the first host that will talk, in a kept session or a new one, and says
 * what became of each recipient. It owns no retry and no judgement: those are the engine's and policy's.
 *
 * Which host is tried next follows RFC 5321 §5.1 and what receivers tolerate: a host that cannot be
 * reached, refuses to greet or loses the session before the content gives way to the next one; a reply to
 * MAIL or RCPT, 421 included, is the site's answer and is not asked of its other hosts again.
 */
import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import { TtlCache } from "../kit/ttlCache.ts";
import { Attempt, type Shared } from "./deliver/attempt.ts";
import { ConnectionPool, type PoolLimits } from "./deliver/connectionPool.ts";
import type { Deliverer, DeliveryJob, DeliveryResult } from "./delivery.ts";
import { rfcTimeouts, type Timeouts } from "./deliver/session.ts";

export interface DelivererOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly timeouts?: Partial<Timeouts>;
  readonly limits?: Partial<PoolLimits & { readonly messagesPerConnection: number }>;
  /** Certificates trusted in place of the system's, PEM; for tests and private authorities. */
  readonly ca?: readonly string[];
}

const defaultLimits = {
  idleMs: 15_000,
  lifetimeMs: 300_000,
  mostIdle: 500,
  messagesPerConnection: 100,
} as const;

export function createDeliverer(options: DelivererOptions): Deliverer {
  const { clock, log } = options;
  const timeouts = { ...rfcTimeouts, ...options.timeouts };
  const limits = { ...defaultLimits, quitMs: timeouts.quitMs, ...options.limits };
  const pool = new ConnectionPool({ clock, limits });
  const shared: Shared = {
    clock,
    log,
    timeouts,
    pool,
    messagesPerConnection: limits.messagesPerConnection,
    ca: options.ca,
    brokenTls: new TtlCache({ clock, most: 10_000 }),
  };
  const busy = new Set<Promise<DeliveryResult>>();
  let closing = false;
  return {
    deliver(job) {
      if (closing) return Promise.resolve(undelivered(job, "this relay is stopping"));
      const delivering = new Attempt(shared, job).run().catch((error: unknown) => {
        log.error("delivery failed by a fault of this relay", { site: job.site, error });
        return undelivered(job, "internal error of this relay");
      });
      busy.add(delivering);
      return delivering.finally(() => {
        busy.delete(delivering);
        if (closing) void pool.close();
      });
    },
    connections: (sourceName, site) => pool.connections(sourceName, site),
    async close() {
      closing = true;
      await pool.close();
      await Promise.all(busy);
      await pool.close();
    },
  };
}

function undelivered(job: DeliveryJob, reason: string): DeliveryResult {
  return {
    outcomes: job.recipients.map(() => ({ kind: "unreachable", stage: "connect", reason })),
    host: null,
    address: null,
    tls: null,
    failedAt: null,
    unbound: null,
    dsnTaken: false,
  };
}
