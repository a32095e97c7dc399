/**
 * Drives the queue's engine in a story: a fake clock, a disk in memory that outlives restarts, scripted
 * peers and DNS. A message is sent as the receiving side would: committed to the spool, then queued.
 */
import type { AllowanceRow, EgressSource, RelayConfig } from "../../relay/contract/config.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import { silentLog } from "../../relay/kit/log.ts";
import { createUlids } from "../../relay/kit/ulid.ts";
import type { QueuedMessage, Recipient } from "../../relay/message.ts";
import { createEngine, type Engine } from "../../relay/queue/engine.ts";
import {
  type BounceOrder,
  type EngineLimits,
  type EnginePorts,
  noMetrics,
} from "../../relay/queue/enginePorts.ts";
import { createMemoryDisk, createMemorySpool, type MemoryDisk } from "../../relay/queue/memorySpool.ts";
import type { Spool, WaitingMessage } from "../../relay/queue/spool.ts";
import type { Deliverer, MxResolver, Resolution } from "../../relay/smtp/delivery.ts";
import { FakeClock } from "./fakeClock.ts";
import { queuedMessage, recipient } from "./queuedMessage.ts";
import { ScriptedDeliverer } from "./scriptedDeliverer.ts";
import { seededRandom } from "./seededRandom.ts";
import { ToldReasons } from "./toldReasons.ts";

export const seconds = 1000;
export const minutes = 60 * seconds;
export const hours = 60 * minutes;
export const days = 24 * hours;

export function aSource(part: Partial<EgressSource> & { name: string }): EgressSource {
  return {
    pool: "default",
    address: null,
    ehloName: `${part.name}.mail.example.com`,
    state: "Active",
    stateReason: "",
    allowance: [],
    ...part,
  };
}

/** An allowance row; limits of providers are optional. */
export function row(
  day: string,
  total: number | null,
  providers: AllowanceRow["providers"] = {},
): AllowanceRow {
  return { day, total, providers };
}

/** A configuration of one pod, mail-0, with address `a` without limits. */
export function aConfig(
  part: Partial<RelayConfig> & { sources?: readonly EgressSource[] } = {},
): RelayConfig {
  const { sources = [aSource({ name: "a" })], ...rest } = part;
  return {
    version: 1,
    revision: "test",
    relay: { namespace: "default", name: "mail", hostname: "mail.example.com" },
    paused: false,
    listeners: [{ name: "submission", port: 587, tls: "StartTls", auth: "Required", trustedNetworks: [] }],
    certificate: { certFile: "tls.crt", keyFile: "tls.key" },
    limits: {
      messageSizeBytes: 1_048_576,
      recipientsPerMessage: 1000,
      sessions: 100,
      sessionsPerClient: 100,
    },
    credentials: [],
    domains: [{ domain: "example.test", state: "Active", reason: "", dkim: [] }],
    routes: [{ name: "rest", recipientDomains: [], to: { kind: "pool", pool: "default" } }],
    queue: {
      expireAfterSeconds: 432_000,
      retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 },
    },
    tlsOutbound: { mode: "Opportunistic", minVersion: "TLSv1.2" },
    dns: { servers: [] },
    delivery: { port: 25, forbiddenNetworks: [] },
    privacy: { addressesInLogs: "Plain" },
    pods: [{ name: "mail-0", state: "Active", sources: [...sources] }],
    ...rest,
  };
}

/** DNS of the story: each domain has MX `mx.DOMAIN` unless said otherwise. */
export class ScriptedResolver implements MxResolver {
  readonly answers = new Map<string, Resolution>();
  readonly asked: string[] = [];
  readonly #lost = new Set<string>();
  #gate: Promise<void> | null = null;
  #open: () => void = () => {};

  mx(domain: string, ...hosts: string[]): this {
    this.answers.set(domain, hostsOf(...hosts));
    return this;
  }

  /** Lookups of this domain never end. */
  lose(domain: string): this {
    this.#lost.add(domain);
    return this;
  }

  hold(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  release(): void {
    this.#gate = null;
    this.#open();
  }

  async resolve(domain: string): Promise<Resolution> {
    this.asked.push(domain);
    if (this.#lost.has(domain)) return new Promise<never>(() => {});
    await this.#gate;
    return this.answers.get(domain) ?? hostsOf(`mx.${domain}`);
  }

  async resolveHost(name: string): Promise<Resolution> {
    this.asked.push(`host ${name}`);
    return this.answers.get(name) ?? hostsOf(name);
  }
}

function hostsOf(...names: string[]): Resolution {
  return {
    kind: "hosts",
    site: names.toSorted().join(","),
    hosts: names.map((name, index) => ({ name, preference: 10 * (index + 1), addresses: ["127.0.0.1"] })),
  };
}

export interface Sending {
  readonly to: string | readonly string[];
  readonly from?: string;
  readonly sendingDomain?: string | null;
  readonly credential?: string | null;
  readonly queueClass?: string;
  readonly expiresInMs?: number;
  readonly notify?: Recipient["notify"];
  readonly body?: string;
}

interface Life {
  readonly engine: Engine;
  readonly spool: Spool;
  /** Ends timers and dialogues as the end of a process does. */
  readonly kill: () => void;
}

export interface QueueDriverOptions {
  readonly start?: string;
  readonly config?: RelayConfig;
  readonly limits?: Partial<EngineLimits>;
  readonly ports?: Partial<EnginePorts>;
  /** The story has so much in its queue that asking for reasons at each step would take too long. */
  readonly unexplained?: boolean;
  /** What a start comes upon of those that a former life left; unless told otherwise all of them. */
  readonly walk?: (former: readonly WaitingMessage[]) => Iterable<WaitingMessage>;
}

/** Lets what follows from the passing of time settle, and then has it looked at. */
class WatchedClock extends FakeClock {
  readonly #after: () => Promise<void>;

  constructor(start: string, after: () => Promise<void>) {
    super(start);
    this.#after = after;
  }

  override async advance(ms: number): Promise<void> {
    await super.advance(ms);
    if (ms === 0) return;
    for (let turn = 0; turn < 5; turn++) await super.advance(0);
    await this.#after();
  }
}

export class QueueDriver {
  readonly clock: FakeClock;
  readonly disk: MemoryDisk = createMemoryDisk();
  readonly peers: ScriptedDeliverer;
  readonly dns = new ScriptedResolver();
  /** Notices that were composed, oldest first. */
  readonly notices: BounceOrder[] = [];
  readonly #options: QueueDriverOptions;
  readonly #newId: () => string;
  readonly #told = new ToldReasons();
  #life: Life | null = null;
  #stopping = false;
  config: RelayConfig;

  private constructor(options: QueueDriverOptions) {
    this.clock = new WatchedClock(options.start ?? "2026-11-23T12:00:00Z", () => this.#check());
    this.peers = new ScriptedDeliverer(this.clock);
    this.config = options.config ?? aConfig();
    this.#options = options;
    this.#newId = createUlids({ clock: this.clock, random: seededRandom(7) });
  }

  /** An engine that runs, on an empty disk. */
  static async open(options: QueueDriverOptions = {}): Promise<QueueDriver> {
    const driver = new QueueDriver(options);
    await driver.start();
    return driver;
  }

  get engine(): Engine {
    if (this.#life === null) throw new Error("The story's engine does not run.");
    return this.#life.engine;
  }

  get spool(): Spool {
    if (this.#life === null) throw new Error("The story's engine does not run.");
    return this.#life.spool;
  }

  /** A new life on the same disk. */
  async start(): Promise<void> {
    const spool = createMemorySpool({ clock: this.clock, disk: this.disk });
    const { clock, deliverer, kill } = this.#mortal();
    const ports: EnginePorts = {
      clock,
      random: seededRandom(1),
      log: silentLog,
      spool,
      deliverer,
      resolver: this.dns,
      sign: async () => Buffer.from("DKIM-Signature: test\r\n"),
      composeBounce: async (order) => {
        this.notices.push(order);
        const content = Buffer.from(`Subject: notice\r\n\r\nabout ${order.message.id}\r\n`);
        return { content, message: noticeMessage(order, content) };
      },
      readSecret: async (file) => `secret of ${file}`,
      newId: this.#newId,
      metrics: noMetrics,
      ...this.#options.ports,
    };
    const engine = createEngine(ports, this.#options.limits);
    this.#life = { engine, spool, kill };
    const recovered = await spool.recover();
    const waiting = [...recovered.waiting];
    for (const message of await spool.load(waiting.map(({ id }) => id)))
      if (message !== null && !(message instanceof Error)) this.#told.sent(message);
    engine.start({ ...recovered, waiting: this.#options.walk?.(waiting) ?? waiting });
    engine.apply(this.config, "mail-0");
    await this.settle();
  }

  apply(config: RelayConfig): void {
    this.config = config;
    this.#told.forget();
    this.engine.apply(config, "mail-0");
  }

  /** kill -9: the life ends between two instructions, the disk stays. */
  crash(): void {
    this.peers.senderDied();
    this.#told.forget();
    const life = this.#life;
    this.#life = null;
    life?.kill();
    void life?.spool.close();
  }

  /** Clock and peers as one process sees them: after `kill` it neither hears nor does anything. */
  #mortal(): { readonly clock: Clock; readonly deliverer: Deliverer; readonly kill: () => void } {
    const timers = new Set<() => void>();
    let alive = true;
    const never = new Promise<never>(() => {});
    return {
      clock: {
        now: () => this.clock.now(),
        after: (delayMs, action) => {
          if (!alive) return () => {};
          const cancel = this.clock.after(delayMs, () => {
            timers.delete(cancel);
            action();
          });
          timers.add(cancel);
          return () => {
            timers.delete(cancel);
            cancel();
          };
        },
      },
      deliverer: {
        deliver: async (job) => {
          if (!alive) return never;
          const result = await this.peers.deliver(job);
          return alive ? result : never;
        },
        connections: () => 0,
        close: async () => {},
      },
      kill() {
        alive = false;
        for (const cancel of timers) cancel();
      },
    };
  }

  async stop(graceSeconds = 10): Promise<void> {
    this.#stopping = true;
    await this.engine.stop({ graceSeconds });
    await this.spool.close();
    this.#life = null;
    this.#stopping = false;
  }

  /** Commits and queues a message; gives its id. */
  async send(sending: Sending): Promise<string> {
    const id = this.#newId();
    const now = this.clock.now();
    const header = "Subject: story\r\n\r\n";
    const content = Buffer.from(`${header}${sending.body ?? "text"}\r\n`);
    const addresses = typeof sending.to === "string" ? [sending.to] : sending.to;
    const message: QueuedMessage = {
      ...queuedMessage({ id, sizeBytes: content.length }),
      receivedAt: now,
      expiresAt: now + (sending.expiresInMs ?? 5 * days),
      headerBytes: header.length,
      sendingDomain: sending.sendingDomain === undefined ? "example.test" : sending.sendingDomain,
      credential: sending.credential === undefined ? "app" : sending.credential,
      ...(sending.queueClass === undefined ? {} : { queueClass: sending.queueClass }),
      recipients: addresses.map((address) =>
        recipient({
          address,
          state: { kind: "waiting", dueAt: now },
          ...(sending.notify === undefined ? {} : { notify: sending.notify }),
        }),
      ),
    };
    const from = sending.from ?? message.envelope.from;
    const complete = { ...message, envelope: { ...message.envelope, from } };
    const writer = await this.spool.begin(id);
    await writer.write(content);
    await writer.commit(complete);
    this.engine.enqueue(complete);
    this.#told.sent(complete);
    await this.settle();
    return id;
  }

  /** Lets everything that can happen now happen, and looks whether all that still waits says why. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 6; turn++) await this.clock.advance(0);
    await this.#check();
  }

  /** Something that the queue cannot know beforehand changes now: what it said holds no more. */
  changed(): void {
    this.#told.forget();
  }

  /** Reasons that were asked for and found true. */
  get reasonsAsked(): number {
    return this.#told.asked;
  }

  /** Nothing waits without a reason, at every place where a story waits. */
  async #check(): Promise<void> {
    // A relay that stops starts nothing, and is asked nothing.
    if (this.#life === null || this.#stopping || this.#options.unexplained === true) return;
    await this.#told.check({
      engine: this.engine,
      config: this.config,
      peers: this.peers,
      now: this.clock.now(),
      diskFails: this.disk.failure !== null,
    });
  }

  /** The single rule that keeps a message, as `explain` tells it. */
  async why(id: string): Promise<{ kind: string; text: string; until: string | null } | null> {
    const rule = (await this.engine.explain(id))?.waiting[0]?.rule;
    return rule === undefined ? null : { kind: rule.kind, text: rule.text, until: rule.until };
  }

  /** Used of the day's allowance, by "source provider day". */
  used(): Record<string, number> {
    return Object.fromEntries(
      this.engine
        .report()
        .usage.map(({ source, provider, day, used }) => [`${source} ${provider} ${day}`, used]),
    );
  }
}

function noticeMessage(order: BounceOrder, content: Buffer): QueuedMessage {
  return {
    ...queuedMessage({ id: order.id, sizeBytes: content.length }),
    receivedAt: order.at,
    expiresAt: order.at + 5 * days,
    envelope: { ...order.message.envelope, from: "" },
    credential: null,
    recipients: [
      recipient({ address: order.message.envelope.from, state: { kind: "waiting", dueAt: order.at } }),
    ],
  };
}
