/**
 * The receiving side of the relay: opens the listeners of the configuration, lets sessions in within their
 * limits, and hands every message that is durable to `onAccepted`. It follows the configuration without
 * closing sessions, and stops in order: nobody new, running transactions to their end, then 421.
 */
import type { Listener, RelayConfig } from "../contract/config.ts";
import { containerPort } from "../contract/endpoints.ts";
import { type Clock, sleep } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import type { MessageId, QueuedMessage } from "../message.ts";
import { type QueueClasses, queueClasses } from "../policy/queueClass.ts";
import type { Spool } from "../queue/spool.ts";
import { createCredentials } from "./credentials.ts";
import type { HostedSession, ReceiveEvent, SessionHost } from "./receiveHost.ts";
import { checkCertificate, type ListenerFacts, openListener, type OpenListener } from "./receiveListener.ts";
import { type Refusal, refusal } from "./refusal.ts";
import { sendingDomains, type SendingDomains } from "./submission.ts";

/** Files of the configuration folder by name. */
export type ConfigFiles = ReadonlyMap<string, Buffer>;

export interface ReceiveMetrics {
  count(event: ReceiveEvent): void;
}

export interface ReceiverOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly spool: Spool;
  /** Address to listen on; undefined: all. */
  readonly bind: string | undefined;
  /** Added to every port; "any" lets the system choose, and `ports()` tell (for tests). */
  readonly portShift: number | "any";
  readonly newId: () => MessageId;
  /** The message is durable and its client has heard 250. */
  readonly onAccepted: (message: QueuedMessage) => void;
  readonly metrics?: ReceiveMetrics;
}

export interface ReceiverCounts {
  readonly sessions: number;
  /** Sessions between MAIL and the reply to their content. */
  readonly transactions: number;
}

export interface Receiver {
  /**
   * Puts a configuration in force. Rejects, and leaves all as it was, when the certificate cannot be used or
   * a port cannot be opened; the message says which and why.
   */
  apply(config: RelayConfig, podName: string, files: ConfigFiles): Promise<void>;
  /** No new transactions (421 4.3.2) for this reason; null takes them again. */
  pauseAccepting(reason: string | null): void;
  /** Each session waits so long for the reply to its next MAIL; 0: not at all. */
  slowMail(delayMs: number): void;
  counts(): ReceiverCounts;
  /** The open port of each listener by name. */
  ports(): ReadonlyMap<string, number>;
  /** Resolves when all sessions are gone: at the latest a little after `graceSeconds`. */
  stop(options: { graceSeconds: number }): Promise<void>;
}

/** Sockets beyond the limit of sessions that still hear why; more are dropped. */
const SOCKETS_TO_REFUSE = 256;
/** After the grace: commits that run get their reply, closed sockets their last bytes. */
const LAST_WORDS_SECONDS = 5;

interface InForce {
  readonly config: RelayConfig;
  readonly domains: SendingDomains;
  readonly queueClasses: QueueClasses;
  readonly isDraining: boolean;
}

export function createReceiver(options: ReceiverOptions): Receiver {
  const { clock, random, log, spool, bind, portShift, metrics } = options;
  const credentials = createCredentials({ clock, random });
  const open = new Map<string, OpenListener>();
  const sessions = new Set<HostedSession>();
  const sessionsOf = new Map<string, number>();
  let inForce: InForce | undefined;
  let paused: string | null = null;
  let mailDelayMs = 0;
  let isStopping = false;
  let applying: Promise<unknown> = Promise.resolve();
  let onSessionGone = () => {};

  const current = () => {
    if (inForce === undefined) throw new Error("Cannot receive before a configuration is applied");
    return inForce;
  };

  function closedReason(): Refusal | undefined {
    // RFC 3463 X.3.2: system not accepting network messages.
    if (isStopping) return refusal(421, "4.3.2", "Shutting down, try again");
    if (paused !== null) return refusal(421, "4.3.2", `No new messages now: ${paused}`);
    return inForce?.isDraining === true
      ? refusal(421, "4.3.2", "This relay is draining, try another")
      : undefined;
  }

  function admit(session: HostedSession): Refusal | undefined {
    const { limits } = current().config;
    const mine = sessionsOf.get(session.remoteAddress) ?? 0;
    const why =
      closedReason() ??
      (sessions.size >= limits.sessions
        ? refusal(421, "4.3.2", "Too many sessions, try again later")
        : mine >= limits.sessionsPerClient
          ? refusal(421, "4.7.0", `More than ${limits.sessionsPerClient} sessions from one address`)
          : undefined);
    metrics?.count(why === undefined ? "session" : "sessionRefused");
    if (why !== undefined) return why;
    sessions.add(session);
    sessionsOf.set(session.remoteAddress, mine + 1);
    return undefined;
  }

  function left(session: HostedSession): void {
    if (!sessions.delete(session)) return;
    const others = (sessionsOf.get(session.remoteAddress) ?? 1) - 1;
    if (others > 0) sessionsOf.set(session.remoteAddress, others);
    else sessionsOf.delete(session.remoteAddress);
    onSessionGone();
  }

  const host: Omit<SessionHost, "isTrusted"> = {
    clock,
    log,
    spool,
    credentials,
    newId: options.newId,
    config: () => current().config,
    domains: () => current().domains,
    queueClasses: () => current().queueClasses,
    closedReason,
    mailDelayMs: () => mailDelayMs,
    admit,
    left,
    count: (event) => metrics?.count(event),
    accepted(message, client) {
      metrics?.count("accepted");
      log.info("message queued", {
        id: message.id,
        client,
        credential: message.credential,
        from: log.address(message.envelope.from),
        recipients: message.recipients.length,
        bytes: message.sizeBytes,
      });
      options.onAccepted(message);
    },
    refused(why, client) {
      metrics?.count(why.code < 500 ? "deferred" : "refused");
      // Syntax and order are the client's programmer's affair; who may send what is the owner's.
      const level = why.code >= 500 && why.code <= 504 ? "debug" : "info";
      log[level]("refused", { client, code: why.code, enhanced: why.enhanced, text: why.text });
    },
  };

  async function applyNow(config: RelayConfig, podName: string, files: ConfigFiles): Promise<void> {
    const pod = config.pods.find((entry) => entry.name === podName);
    if (pod === undefined) throw new Error(`Cannot apply configuration: it has no pod ${podName}`);
    const certificate = certificateOf(config, files);
    const facts = (listener: Listener): ListenerFacts => ({
      listener,
      hostname: config.relay.hostname,
      certificate,
      mostSockets: config.limits.sessions + SOCKETS_TO_REFUSE,
    });
    const wanted = new Map(config.listeners.map((listener) => [keyOf(listener), listener]));
    const stale = [...open].filter(([key]) => !wanted.has(key));
    // Sessions of a fresh port look at the configuration at once, so it is in force before the port opens.
    const before = inForce;
    inForce = {
      config,
      domains: sendingDomains(config.domains),
      queueClasses: queueClasses(config.queue),
      isDraining: pod.state === "Draining",
    };
    try {
      await replaceListeners(wanted, stale, facts);
    } catch (error) {
      inForce = before;
      throw error;
    }
    for (const [key, listener] of wanted) open.get(key)?.update(facts(listener));
    credentials.apply(config.credentials);
  }

  /** Opens what is new, then closes what is gone; a port that only changed its TLS is closed first. */
  async function replaceListeners(
    wanted: ReadonlyMap<string, Listener>,
    stale: readonly [string, OpenListener][],
    facts: (listener: Listener) => ListenerFacts,
  ): Promise<void> {
    const opened: string[] = [];
    const ports = new Set([...wanted.values()].map(({ port }) => port));
    const inTheWay = stale.filter(([, { listener }]) => ports.has(listener.port));
    for (const [, listener] of inTheWay) listener.close();
    try {
      for (const [key, listener] of wanted) {
        if (open.has(key)) continue;
        open.set(key, await openOne(facts(listener)));
        opened.push(key);
      }
    } catch (error) {
      for (const key of opened) {
        open.get(key)?.close();
        open.delete(key);
      }
      for (const [key, { listener }] of inTheWay) open.set(key, await openOne(facts(listener)));
      throw error;
    }
    for (const [key, listener] of stale) {
      listener.close();
      open.delete(key);
    }
  }

  async function openOne(facts: ListenerFacts): Promise<OpenListener> {
    const port = portShift === "any" ? 0 : containerPort(facts.listener.port) + portShift;
    const opened = await openListener(facts, { bind, port, host });
    log.info("listening", { listener: facts.listener.name, port: opened.port, tls: facts.listener.tls });
    return opened;
  }

  return {
    apply(config, podName, files) {
      const applied = applying.then(() => applyNow(config, podName, files));
      applying = applied.catch(() => undefined);
      return applied;
    },

    pauseAccepting(reason) {
      paused = reason;
    },

    slowMail(delayMs) {
      mailDelayMs = delayMs;
    },

    counts: () => ({
      sessions: sessions.size,
      transactions: [...sessions].filter((session) => session.isBusy).length,
    }),

    ports: () => new Map([...open.values()].map(({ listener, port }) => [listener.name, port])),

    async stop({ graceSeconds }) {
      isStopping = true;
      await applying;
      for (const listener of open.values()) listener.close();
      open.clear();
      for (const session of sessions) session.retire();
      await gone(graceSeconds);
      for (const session of sessions) session.expel();
      await gone(LAST_WORDS_SECONDS);
      for (const session of sessions) session.drop();
    },
  };

  /** Resolves when no session is left, at the latest after `seconds`. */
  async function gone(seconds: number): Promise<void> {
    if (sessions.size === 0) return;
    const allGone = new AbortController();
    onSessionGone = () => {
      if (sessions.size === 0) allGone.abort();
    };
    await sleep(clock, seconds * 1000, allGone.signal);
  }
}

/** What cannot change while a port is open. */
function keyOf({ port, tls }: Listener): string {
  return `${port}/${tls}`;
}

function certificateOf(config: RelayConfig, files: ConfigFiles): ListenerFacts["certificate"] {
  const { certFile, keyFile } = config.certificate;
  const [cert, key] = [files.get(certFile), files.get(keyFile)];
  if (cert === undefined || key === undefined) {
    throw new Error(`Cannot apply configuration: ${cert === undefined ? certFile : keyFile} is missing`);
  }
  try {
    checkCertificate({ cert, key });
  } catch (cause) {
    throw new Error(
      `Cannot use certificate ${certFile} with key ${keyFile}: ${cause instanceof Error ? cause.message : "unreadable"}`,
      { cause },
    );
  }
  return { cert, key };
}
