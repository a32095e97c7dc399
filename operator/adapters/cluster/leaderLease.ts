/**
 * One of several operators leads: the holder of a Lease (coordination.k8s.io), renewed every few seconds.
 *
 * Nobody's clock is compared with anybody else's. Whether a holder is still alive is judged by how long *we*
 * have seen its Lease unchanged, and we ourselves step down when our last good renewal, counted from before
 * it was sent, is longer ago than `renewDeadlineSeconds`. Both are measured by timers, so that a clock that
 * is set does nothing. As `renewDeadlineSeconds` < `leaseDurationSeconds`, we have stopped before anyone may
 * begin.
 *
 * Every write names the version it expects; of two candidates one hears Conflict. The Lease is made empty,
 * by a field manager of its own, so that even two who make it at once harm no holder.
 *
 * A process that was frozen (SIGSTOP, a paused virtual machine) goes on with whatever it was about to do before
 * any timer of its runs. So every write asks `doubt` first, which compares instants instead of waiting for a
 * timer. What is left to chance is the moment between that question and the kernel.
 */
import { type Clock, sleep } from "../../../relay/kit/clock.ts";
import type { Log } from "../../../relay/kit/log.ts";
import type { Random } from "../../../relay/kit/random.ts";
import { type ApplyObject, type KubeClient, KubeError, type KubeObject } from "../kubeClient.ts";
import { leases } from "./clusterClient.ts";
import { microTime } from "./microTime.ts";

export interface LeaderLeaseOptions {
  /** With deadlines of its own, below `renewDeadlineSeconds`, and not shared with what may clog it. */
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly namespace: string;
  readonly name: string;
  /** Of this process, not of its pod: a restarted one is another candidate. */
  readonly identity: string;
  /** A Lease unchanged for so long is free; default 15. */
  readonly leaseDurationSeconds?: number;
  /** Without a good renewal for so long we no longer lead; default 10. */
  readonly renewDeadlineSeconds?: number;
  /** Between attempts; default 2. */
  readonly retrySeconds?: number;
}

/** Leading, until `lost` aborts or it is released. */
export interface Leadership {
  readonly lost: AbortSignal;
  /**
   * Why nothing may be written now; null: we surely lead. Differs from `lost` while a timer is late: then by the
   * clock, whose being set forward only holds writes up until the next renewal.
   */
  doubt(): string | null;
  /** Stops leading and frees the Lease, so that the next one need not wait. Never rejects. */
  release(): Promise<void>;
}

/** Spec of a Lease, as far as it is read here. */
interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

export const LEASE_MANAGER = "smtp-relay-operator-leader";
const LEASE_MAKER = "smtp-relay-operator-lease-maker";
/** What another holder may claim for itself at most. */
const LONGEST_LEASE_SECONDS = 3600;
/** Up to so much longer than `retrySeconds` between attempts, so that candidates do not march in step. */
const JITTER = 1.2;

export class LeaderLease {
  readonly #options: Required<LeaderLeaseOptions>;
  /** The Lease as last seen. */
  #seen: KubeObject | null = null;
  /** Set when the Lease seen has not changed for its whole duration. */
  #expired = false;
  #cancelExpiry: () => void = () => {};
  #leading = false;

  constructor(options: LeaderLeaseOptions) {
    this.#options = { leaseDurationSeconds: 15, renewDeadlineSeconds: 10, retrySeconds: 2, ...options };
    const { leaseDurationSeconds, renewDeadlineSeconds, retrySeconds } = this.#options;
    if (leaseDurationSeconds <= renewDeadlineSeconds || renewDeadlineSeconds <= retrySeconds * (1 + JITTER)) {
      throw new Error(
        `Cannot elect a leader: the lease (${leaseDurationSeconds} s) must outlast the renewal deadline (${renewDeadlineSeconds} s), and that ${1 + JITTER} retries (${retrySeconds} s)`,
      );
    }
  }

  get leading(): boolean {
    return this.#leading;
  }

  /** Who holds the Lease as far as we have seen; null: nobody. */
  get holder(): string | null {
    return holderOf(this.#seen);
  }

  /** Resolves when we lead; with null when `signal` aborts first. Never rejects: troubles are logged. */
  async acquire(signal: AbortSignal): Promise<Leadership | null> {
    const { clock, log, identity } = this.#options;
    let told: string | null = null;
    while (!signal.aborted) {
      const leadership = this.#prepare();
      const outcome = await this.#attempt();
      if (outcome === "held" && !signal.aborted) {
        log.info("leading", { identity });
        return leadership.begin();
      }
      leadership.discard();
      // Taken while we were told to stop: given back at once.
      if (outcome === "held") await this.#free();
      if (outcome === "taken" && this.holder !== told) {
        told = this.holder;
        log.info("another operator leads, waiting", { holder: told });
      }
      if (!signal.aborted) await sleep(clock, this.#pauseMs(), signal);
    }
    this.#cancelExpiry();
    return null;
  }

  /** The deadline of a leadership runs from before the write that begins it. */
  #prepare() {
    const { clock, log, renewDeadlineSeconds } = this.#options;
    const lost = new AbortController();
    const end = new AbortController();
    let cancel = () => {};
    const deadlineMs = renewDeadlineSeconds * 1000;
    let goodUntil = clock.now() + deadlineMs;
    const late = `not renewed within ${renewDeadlineSeconds} s`;
    const lose = (why: string) => {
      if (end.signal.aborted) return;
      log.error("leadership lost", { why });
      this.#leading = false;
      end.abort();
      lost.abort();
    };
    const arm = () => clock.after(deadlineMs, () => lose(late));
    cancel = arm();
    end.signal.addEventListener("abort", () => cancel(), { once: true });
    const renewAll = async () => {
      for (;;) {
        await sleep(clock, this.#options.retrySeconds * 1000, end.signal);
        if (end.signal.aborted) return;
        const next = arm();
        const nextGoodUntil = clock.now() + deadlineMs;
        const outcome = await this.#attempt();
        if (end.signal.aborted || outcome !== "held") next();
        if (end.signal.aborted) return;
        if (outcome === "taken") return lose(`taken by ${this.holder ?? "nobody"}`);
        if (outcome === "held") {
          cancel();
          cancel = next;
          goodUntil = nextGoodUntil;
        }
      }
    };
    return {
      discard: () => end.abort(),
      begin: (): Leadership => {
        this.#leading = !end.signal.aborted;
        const renewing = renewAll();
        return {
          lost: lost.signal,
          doubt: () => {
            if (lost.signal.aborted) return "leadership was lost";
            return clock.now() < goodUntil ? null : `leadership was ${late}`;
          },
          release: async () => {
            const led = !lost.signal.aborted;
            this.#leading = false;
            end.abort();
            this.#cancelExpiry();
            if (!led) return;
            // A renewal under way would undo the release; one that hangs is not waited for.
            const waited = new AbortController();
            const patience = sleep(clock, renewDeadlineSeconds * 1000, waited.signal);
            await Promise.race([renewing, patience]);
            waited.abort();
            await this.#free();
          },
        };
      },
    };
  }

  /**
   * Takes or renews the Lease. "held": it is ours; "taken": another one's, and not expired; "failed": not
   * known, logged.
   */
  async #attempt(): Promise<"held" | "taken" | "failed"> {
    const { client, log, identity } = this.#options;
    try {
      const key = { namespace: this.#options.namespace, name: this.#options.name };
      // Our own Lease need not be read again before it is renewed: a Conflict will tell.
      if (this.holder !== identity) {
        const found = await client.get(leases, key);
        // Who deletes the Lease does not stop its holder, who has yet to notice.
        if (found === null && this.holder !== null && !this.#expired) return "taken";
        this.#observe(found ?? (await client.apply(this.#object({}), LEASE_MAKER)));
      }
      if (this.holder !== null && this.holder !== identity && !this.#expired) return "taken";
      this.#observe(await client.apply(this.#wanted(), LEASE_MANAGER));
      return "held";
    } catch (error) {
      if (error instanceof KubeError && error.reason === "Conflict") return await this.#afterConflict();
      log.warn("cannot take or renew the leader's lease, will try again", { error });
      return "failed";
    }
  }

  /** Someone wrote before us: perhaps ourselves, by a call whose answer was lost. */
  async #afterConflict(): Promise<"taken" | "failed"> {
    const { client, namespace, name, identity, log } = this.#options;
    try {
      this.#observe(await client.get(leases, { namespace, name }));
    } catch (error) {
      log.warn("cannot read the leader's lease, will try again", { error });
      return "failed";
    }
    return this.holder !== null && this.holder !== identity && !this.#expired ? "taken" : "failed";
  }

  /** Notes the Lease and starts its time anew when it has changed. */
  #observe(lease: KubeObject | null): void {
    const before = specOf(this.#seen);
    this.#seen = lease;
    const spec = specOf(lease);
    if (
      before.holderIdentity === spec.holderIdentity &&
      before.renewTime === spec.renewTime &&
      before.acquireTime === spec.acquireTime &&
      before.leaseTransitions === spec.leaseTransitions
    ) {
      return;
    }
    this.#cancelExpiry();
    this.#expired = false;
    const { clock, leaseDurationSeconds, identity } = this.#options;
    if (this.holder === null || this.holder === identity) return;
    const claimed = spec.leaseDurationSeconds ?? leaseDurationSeconds;
    const seconds = Math.min(LONGEST_LEASE_SECONDS, Math.max(1, claimed));
    this.#cancelExpiry = clock.after(seconds * 1000, () => {
      this.#expired = true;
    });
  }

  #wanted(): ApplyObject {
    const { clock, identity, leaseDurationSeconds } = this.#options;
    const spec = specOf(this.#seen);
    const now = microTime(clock.now());
    const ours = spec.holderIdentity === identity;
    return this.#object({
      holderIdentity: identity,
      leaseDurationSeconds,
      acquireTime: ours ? (spec.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (spec.leaseTransitions ?? 0) + (ours ? 0 : 1),
    });
  }

  /** Leaves the Lease without a holder; its count of transitions stays. */
  async #free(): Promise<void> {
    const { client, log, identity } = this.#options;
    if (this.holder !== identity) return;
    const { leaseTransitions = 0 } = specOf(this.#seen);
    try {
      this.#observe(await client.apply(this.#object({ leaseTransitions }), LEASE_MANAGER));
      log.info("leadership released");
    } catch (error) {
      log.warn("cannot release the leader's lease, it will expire", { error });
    }
  }

  #object(spec: LeaseSpec): ApplyObject {
    const { namespace, name } = this.#options;
    const { resourceVersion } = this.#seen?.metadata ?? {};
    const empty = Object.keys(spec).length === 0;
    return {
      apiVersion: leases.apiVersion,
      kind: leases.kind,
      metadata: {
        namespace,
        name,
        ...(empty || resourceVersion === undefined ? {} : { resourceVersion }),
      },
      ...(empty ? {} : { spec }),
    };
  }

  #pauseMs(): number {
    const { retrySeconds, random } = this.#options;
    return retrySeconds * 1000 * (1 + JITTER * random.draw());
  }
}

function specOf(lease: KubeObject | null): LeaseSpec {
  const spec = lease?.["spec"];
  return typeof spec === "object" && spec !== null ? spec : {};
}

function holderOf(lease: KubeObject | null): string | null {
  const { holderIdentity } = specOf(lease);
  return holderIdentity === undefined || holderIdentity === "" ? null : holderIdentity;
}
