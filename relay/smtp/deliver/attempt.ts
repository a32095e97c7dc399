/**
 * One delivery attempt: a kept session if there is one, else the hosts in their order, until every
 * recipient has an outcome or there is nowhere left to go.
 *
 * Bounds: five addresses (three of one host when there are more hosts), two sessions that got as far as
 * MAIL, one kept session that turns out to be dead.
 */
import { isIP } from "node:net";

import type { Clock } from "../../kit/clock.ts";
import type { Log } from "../../kit/log.ts";
import type { TtlCache } from "../../kit/ttlCache.ts";
import type { Outcome, Reply, SmtpStage } from "../../message.ts";
import type { SmtpChannel } from "./channel.ts";
import { type ConnectionPool, poolKey } from "./connectionPool.ts";
import type { DeliveryJob, DeliveryResult } from "../delivery.ts";
import { unsendable } from "./envelopeCommands.ts";
import { ownReply } from "./replies.ts";
import { type Candidate, openSession, type Session, type Timeouts } from "./session.ts";
import { ENDED_BY_US, isOurs, SessionBroken } from "./sessionBroken.ts";
import { type Outcomes, transact } from "./transaction.ts";
import { mayLackNeeds, meetsRequireTls, unmetNeeds } from "./unmetNeeds.ts";

const MOST_ADDRESSES = 5;
const MOST_ADDRESSES_OF_A_HOST = 3;
const MOST_SESSIONS = 2;
const BROKEN_TLS_SECONDS = 3600;
const LONGEST_REASON = 1024;

/** Stages at which the message has not begun: another host may be asked without any risk. */
const beforeEnvelope: ReadonlySet<SmtpStage> = new Set(["connect", "greeting", "ehlo", "starttls", "auth"]);

/** What a deliverer shares among its attempts. */
export interface Shared {
  readonly clock: Clock;
  readonly log: Log;
  readonly timeouts: Timeouts;
  readonly pool: ConnectionPool;
  readonly messagesPerConnection: number;
  readonly ca: readonly string[] | undefined;
  /** Addresses whose STARTTLS failed lately: opportunistic mail goes there in plain text at once. */
  readonly brokenTls: TtlCache<true>;
}

interface Failure {
  readonly error: SessionBroken;
  readonly candidate: Candidate;
}

export class Attempt {
  readonly #shared: Shared;
  readonly #job: DeliveryJob;
  readonly #key: string;
  readonly #outcomes: Outcomes;
  readonly #failures: Failure[] = [];
  /** The reply that ended the session and answered for all that was open. */
  #endedByReply: SessionBroken | null = null;
  #lacksRequireTls: string | null = null;
  #spokeWith: { candidate: Candidate; tls: DeliveryResult["tls"]; dsn: boolean } | null = null;
  #sessions = 0;

  constructor(shared: Shared, job: DeliveryJob) {
    this.#shared = shared;
    this.#job = job;
    this.#key = poolKey(job);
    const sender = unsendable(job.envelope.from, "sender");
    this.#outcomes = job.recipients.map(({ address }) => sender ?? unsendable(address, "recipient"));
  }

  async run(): Promise<DeliveryResult> {
    if (this.#done || (await this.#inKeptSession())) return this.#result();
    for (const candidate of this.#candidates()) {
      if (!(await this.#at(candidate))) break;
    }
    return this.#result();
  }

  /** Tries a session that waits. True when nothing is left to do; a dead one does not count. */
  async #inKeptSession(): Promise<boolean> {
    const session = this.#shared.pool.take(this.#key, (kept) => meetsRequireTls(kept, this.#job));
    if (session === null) return false;
    const heard = session.channel.heard;
    const error = await this.#inSession(session);
    if (error === null) return true;
    // The peer may end an idle session (RFC 5321 §4.5.3.2.7) at the moment we use it: nothing happened yet.
    const unanswered = session.channel.heard === heard && error.kind === "closed";
    const goodbye = session.channel.heard === heard + 1 && error.reply !== null;
    return !unanswered && !goodbye && !this.#failed({ error, candidate: session });
  }

  /** True when another host may be tried. */
  async #at(candidate: Candidate): Promise<boolean> {
    let session: Session;
    try {
      session = await this.#open(candidate);
    } catch (error) {
      if (!(error instanceof SessionBroken)) throw error;
      return this.#failed({ error, candidate });
    }
    if (!meetsRequireTls(session, this.#job)) {
      // RFC 8689 §4.2.1: such a host is passed over; its session is good for other mail.
      this.#lacksRequireTls = candidate.host;
      this.#shared.pool.park(this.#key, session);
      return true;
    }
    this.#sessions++;
    const error = await this.#inSession(session);
    return error !== null && this.#failed({ error, candidate });
  }

  /** Notes a failure. True when another host may be tried. */
  #failed(failure: Failure): boolean {
    const { error, candidate } = failure;
    this.#shared.log.debug("session failed", {
      site: this.#job.site,
      host: candidate.host,
      address: candidate.address,
      stage: error.stage,
      reason: error.message,
    });
    if (this.#done) return false;
    if (error.reply !== null && !beforeEnvelope.has(error.stage)) {
      // RFC 5321 §3.8: 421 answers for everyone who has no answer yet.
      for (const index of this.#pending) this.#outcomes[index] = replied(error.stage, error.reply);
      this.#endedByReply = error;
      return false;
    }
    this.#failures.push(failure);
    if (isOurs(error)) return false;
    if (error.stage === "auth") return error.reply === null || error.reply.code < 500;
    if (beforeEnvelope.has(error.stage)) return true;
    // After the envelope began: a lost session may be taken up elsewhere, an answer may not, and once
    // content was on its way only time can tell what became of it.
    return error.stage !== "content" && this.#sessions < MOST_SESSIONS;
  }

  async #open(candidate: Candidate): Promise<Session> {
    const { brokenTls } = this.#shared;
    const mayBePlain = this.#mayBePlain;
    const plainText = mayBePlain && brokenTls.get(candidate.address) !== undefined;
    try {
      return await this.#openAs(candidate, plainText);
    } catch (error) {
      if (!(error instanceof SessionBroken) || error.kind !== "tls" || !mayBePlain) throw error;
      // Opportunistic: the handshake failed, so once more without (RFC 7435: some protection, most of the time).
      brokenTls.set(candidate.address, true, BROKEN_TLS_SECONDS);
      return await this.#openAs(candidate, true);
    }
  }

  #openAs(candidate: Candidate, plainText: boolean): Promise<Session> {
    const { clock, timeouts, ca, pool } = this.#shared;
    const job = this.#job;
    let release = () => {};
    const onChannel = (channel: SmtpChannel) => {
      pool.count(job.source.name, job.site, channel);
      this.#spokeWith = { candidate, tls: null, dsn: false };
      release = this.#endWithJob(channel);
    };
    return openSession({ clock, timeouts, job, candidate, ca, plainText, onChannel }).finally(() =>
      release(),
    );
  }

  /** Carries out the transaction. Null when it ended in order, and the session is kept or said goodbye to. */
  async #inSession(session: Session): Promise<SessionBroken | null> {
    const { pool, timeouts, messagesPerConnection } = this.#shared;
    const { channel } = session;
    this.#spokeWith = { candidate: session, tls: session.tls, dsn: session.extensions.dsn };
    channel.progress = this.#job.progress ?? null;
    const release = this.#endWithJob(channel);
    try {
      if (mayLackNeeds(session, this.#job)) {
        for (const [index, outcome] of await unmetNeeds(session, this.#job, this.#pending)) {
          this.#outcomes[index] = outcome;
        }
      }
      if (!this.#done) await transact(session, this.#job, this.#pending, this.#outcomes, timeouts);
    } catch (error) {
      if (!(error instanceof SessionBroken)) {
        channel.breakOff("local", ENDED_BY_US);
        throw error;
      }
      return error;
    } finally {
      release();
    }
    const most = Math.min(
      this.#job.messagesPerConnection ?? messagesPerConnection,
      session.extensions.mailMax ?? Number.MAX_SAFE_INTEGER,
    );
    if (session.transactions < most) pool.park(this.#key, session);
    else pool.dismiss(session);
    return null;
  }

  #endWithJob(channel: SmtpChannel): () => void {
    const { signal } = this.#job;
    const abort = () => channel.breakOff("local", ENDED_BY_US);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    return () => signal.removeEventListener("abort", abort);
  }

  get #mayBePlain(): boolean {
    const { tls, auth, envelope } = this.#job;
    return tls.mode === "Opportunistic" && !tls.implicit && auth === null && !envelope.requireTls;
  }

  get #pending(): number[] {
    const pending: number[] = [];
    for (let index = 0; index < this.#outcomes.length; index++) {
      if (this.#outcomes[index] === null) pending.push(index);
    }
    return pending;
  }

  get #done(): boolean {
    return !this.#outcomes.includes(null);
  }

  /** Addresses in the order of the hosts; with a source address, those of its family. */
  #candidates(): readonly Candidate[] {
    const { hosts, source } = this.#job;
    const family = source.address === null ? 0 : isIP(source.address);
    const perHost = hosts.length > 1 ? MOST_ADDRESSES_OF_A_HOST : MOST_ADDRESSES;
    return hosts
      .flatMap((host) =>
        host.addresses
          .filter((address) => family === 0 || isIP(address) === family)
          .slice(0, perHost)
          .map((address) => ({ host: host.name, address })),
      )
      .slice(0, MOST_ADDRESSES);
  }

  #result(): DeliveryResult {
    const failure = this.#done ? null : this.#foremost();
    const rest = failure === null ? this.#nowhere() : this.#outcomeOf(failure);
    const broke = failure ?? this.#endedByReply;
    const spoken = this.#spokeWith;
    return {
      outcomes: this.#outcomes.map((outcome) => outcome ?? rest),
      host: spoken?.candidate.host ?? null,
      address: spoken?.candidate.address ?? null,
      tls: spoken?.tls ?? null,
      failedAt: broke === null || isOurs(broke) ? null : broke.stage,
      unbound: broke?.kind === "unbound" ? broke.message : null,
      dsnTaken: spoken?.dsn ?? false,
    };
  }

  /** The failure that says most: our own, else one with a reply, else the last. */
  #foremost(): SessionBroken | null {
    const errors = this.#failures.map((failure) => failure.error);
    const last = errors.at(-1);
    if (last !== undefined && isOurs(last)) return last;
    return errors.find((error) => error.reply !== null) ?? last ?? null;
  }

  #outcomeOf(error: SessionBroken): Outcome {
    if (error.reply !== null) return replied(error.stage, error.reply);
    const tried = this.#failures.map(
      ({ error: each, candidate }) => `${candidate.host} (${candidate.address}) ${each.message}`,
    );
    const reason = isOurs(error) ? error.message : [...new Set(tried)].join("; ");
    return { kind: "unreachable", stage: error.stage, reason: reason.slice(0, LONGEST_REASON) };
  }

  /** No host failed, and yet none could be used. */
  #nowhere(): Outcome {
    if (this.#lacksRequireTls !== null) {
      const text = `REQUIRETLS is asked for, and ${this.#lacksRequireTls} does not offer it under a valid certificate`;
      return replied("mail", ownReply(550, "5.7.30", text));
    }
    const family = isIP(this.#job.source.address ?? "") === 6 ? "IPv6" : "IPv4";
    const reason = `no host of ${this.#job.site} has an ${family} address, which source ${this.#job.source.name} needs`;
    return { kind: "unroutable", permanent: false, enhanced: "4.4.4", reason };
  }
}

function replied(stage: SmtpStage, reply: Reply): Outcome {
  return { kind: "replied", stage, reply };
}
