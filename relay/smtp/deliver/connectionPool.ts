/**
 * Sessions that wait for their next message, and the count of all that are open.
 *
 * A session is kept for whoever asks with the same key: source, site, port, TLS and credentials, never the
 * recipient's domain. It leaves when the peer speaks or closes, after the idle time, at the end of its
 * life, and when more wait than may: the one that waits longest goes first. A session that leaves says QUIT.
 */
import type { Clock } from "../../kit/clock.ts";
import type { SmtpChannel } from "./channel.ts";
import type { DeliveryJob } from "../delivery.ts";
import type { Session } from "./session.ts";

export interface PoolLimits {
  /** How long a session may wait for its next message. Postfix keeps 2 s, KumoMTA 60 s. */
  readonly idleMs: number;
  /** How long a session may live; Postfix: 300 s. Peers change behind a name. */
  readonly lifetimeMs: number;
  /** Sessions that may wait at one time, all sites together. */
  readonly mostIdle: number;
  readonly quitMs: number;
}

interface Idle {
  readonly key: string;
  readonly session: Session;
  readonly leave: () => void;
}

export class ConnectionPool {
  readonly #clock: Clock;
  readonly #limits: PoolLimits;
  /** In the order they began to wait: all of them, and those of each key. */
  readonly #idle = new Set<Idle>();
  readonly #idleOf = new Map<string, Idle[]>();
  readonly #open = new Map<string, number>();
  readonly #leaving = new Set<Promise<void>>();

  constructor(options: { readonly clock: Clock; readonly limits: PoolLimits }) {
    this.#clock = options.clock;
    this.#limits = options.limits;
  }

  /** Takes the session that waited shortest and suits, out of the pool; null when none does. */
  take(key: string, suits: (session: Session) => boolean): Session | null {
    const waiting = this.#idleOf.get(key) ?? [];
    for (let index = waiting.length - 1; index >= 0; index--) {
      const idle = waiting[index];
      if (idle === undefined || !suits(idle.session)) continue;
      // Takes itself out of the list, at this place.
      idle.leave();
      if (idle.session.channel.usable && !this.#aged(idle.session)) return idle.session;
      this.dismiss(idle.session);
    }
    return null;
  }

  /** Keeps a session for its next message, or lets it go when it has lived long enough. */
  park(key: string, session: Session): void {
    const { channel } = session;
    channel.progress = null;
    if (!channel.usable || this.#aged(session)) return this.dismiss(session);
    const cancel = this.#clock.after(this.#limits.idleMs, () => {
      idle.leave();
      this.dismiss(session);
    });
    const forget = channel.onBroken(() => idle.leave());
    const idle: Idle = {
      key,
      session,
      leave: () => {
        cancel();
        forget();
        this.#forget(idle);
      },
    };
    this.#idle.add(idle);
    const same = this.#idleOf.get(key);
    if (same === undefined) this.#idleOf.set(key, [idle]);
    else same.push(idle);
    const [longest] = this.#idle;
    if (this.#idle.size > this.#limits.mostIdle && longest !== undefined) {
      longest.leave();
      this.dismiss(longest.session);
    }
  }

  /** Ends a session in order, in the background. */
  dismiss(session: Session): void {
    const leaving = session.channel.quit(this.#limits.quitMs).finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }

  /** Counts a connection of this source to this site until it is closed. */
  count(sourceName: string, site: string, channel: SmtpChannel): void {
    const path = `${sourceName}\n${site}`;
    this.#open.set(path, (this.#open.get(path) ?? 0) + 1);
    channel.onBroken(() => {
      const left = (this.#open.get(path) ?? 1) - 1;
      if (left > 0) this.#open.set(path, left);
      else this.#open.delete(path);
    });
  }

  connections(sourceName: string, site: string): number {
    return this.#open.get(`${sourceName}\n${site}`) ?? 0;
  }

  /** Ends what waits; resolves when everything dismissed is closed. */
  async close(): Promise<void> {
    for (const idle of this.#idle) {
      idle.leave();
      this.dismiss(idle.session);
    }
    while (this.#leaving.size > 0) await Promise.all(this.#leaving);
  }

  #forget(idle: Idle): void {
    this.#idle.delete(idle);
    const same = this.#idleOf.get(idle.key);
    const index = same?.lastIndexOf(idle) ?? -1;
    if (index !== -1) same?.splice(index, 1);
    if (same?.length === 0) this.#idleOf.delete(idle.key);
  }

  #aged(session: Session): boolean {
    return this.#clock.now() - session.openedAt >= this.#limits.lifetimeMs;
  }
}

/** What two jobs must share to share a session. */
export function poolKey(job: DeliveryJob): string {
  const { source, tls, auth } = job;
  const path = `${source.name}\n${source.address}\n${source.ehloName}\n${job.site}\n${job.port}`;
  const security = `${tls.mode}\n${tls.implicit}\n${tls.minVersion}`;
  // Free text stands at the end and is quoted.
  return `${path}\n${security}\n${auth === null ? "" : JSON.stringify([auth.username, auth.password])}`;
}
