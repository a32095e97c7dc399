/**
 * Wires the operator: caches, the three controllers and what leads from one to the other, over whatever
 * ports it is given. Local mode and the program in the cluster differ only in those.
 */
import type { Clock } from "../relay/kit/clock.ts";
import { Lifecycle } from "../relay/kit/lifecycle.ts";
import type { Log } from "../relay/kit/log.ts";
import type { Random } from "../relay/kit/random.ts";
import type { DnsProbe } from "./adapters/dnsProbe.ts";
import type { KeyGenerator } from "./adapters/keyGenerator.ts";
import type { KubeClient } from "./adapters/kubeClient.ts";
import { createPasswordHasher, type PasswordHasher } from "./adapters/passwords.ts";
import type { ReportSource } from "./adapters/relayReports.ts";
import { createCaches } from "./reconcile/caches.ts";
import { Controller } from "./reconcile/controller.ts";
import { DnsAnswers } from "./reconcile/dnsAnswers.ts";
import { DnsLooks } from "./reconcile/dnsLooks.ts";
import { type EventRecorder, tellReadiness } from "./reconcile/events.ts";
import { Gatherer } from "./reconcile/gather.ts";
import { POOL_MANAGER, PoolReconciler } from "./reconcile/ipPool.ts";
import { KeyedLock } from "./reconcile/keyedLock.ts";
import { tellingMisreads } from "./reconcile/misreads.ts";
import { Needs } from "./reconcile/needs.ts";
import type { ReconcileObserver } from "./reconcile/observer.ts";
import { OwnWrites } from "./reconcile/ownWrites.ts";
import { route } from "./reconcile/routes.ts";
import { DOMAIN_MANAGER, DomainReconciler } from "./reconcile/sendingDomain.ts";
import { RELAY_MANAGER, RelayReconciler } from "./reconcile/smtpRelay.ts";
import type { SharedText } from "./reconcile/sharedText.ts";
import { countTroubles, type Trouble } from "./reconcile/troubles.ts";
import { Writer } from "./reconcile/writer.ts";
import { resources } from "./resources.ts";
import type { Environment } from "./world.ts";

const DOMAINS_AT_A_TIME = 12;

export interface OperatorOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly environment: Environment;
  readonly reports: ReportSource;
  readonly dns: DnsProbe;
  readonly keys: KeyGenerator;
  /** Namespaces to serve; null: all of them. */
  readonly namespaces: readonly string[] | null;
  /** Default: scrypt, on Node's thread pool. */
  readonly passwords?: PasswordHasher;
  /** Objects of a kind reconciled at a time; default 4, and more SendingDomains. */
  readonly concurrency?: number;
  readonly observer?: ReconcileObserver;
  /** Lets the process do other things between two passes; default: nothing. */
  readonly breathe?: () => Promise<void>;
  /** Where objects come over a wire: makes equal texts in the caches one. */
  readonly texts?: SharedText;
  /** Told when objects become ready or cease to be. */
  readonly events?: EventRecorder;
}

export interface Operator {
  /** Resolves when every cache has its first list, from when on reconciles run. */
  readonly synced: Promise<void>;
  /** Keys that wait, by controller. */
  depths(): ReadonlyMap<string, number>;
  /** Objects cached, by kind. */
  cached(): ReadonlyMap<string, number>;
  /** Objects that are not ready or wait for a person. */
  troubles(): readonly Trouble[];
  /** Ends what runs, in order; nothing is written afterwards. */
  stop(): Promise<void>;
}

export function startOperator(options: OperatorOptions): Operator {
  const { client, clock, random, log, concurrency = 4 } = options;
  const caches = createCaches(options);
  const ownWrites = new OwnWrites({ clock, informers: caches.all });
  const gatherer = new Gatherer({ ...options, caches });
  const dns = new DnsAnswers({ probe: options.dns, clock });
  const needs = new Needs({ client, keys: options.keys, random });
  const passwords = options.passwords ?? createPasswordHasher(random);
  const writer = (manager: string) =>
    new Writer({ client, manager, ownWrites, informers: caches.all, log: log.with({ manager }) });
  const shared = {
    clock,
    random,
    log,
    concurrency,
    ownWrites,
    lock: new KeyedLock(),
    turns: caches.turns,
    ...(options.observer === undefined ? {} : { observer: options.observer }),
    ...(options.breathe === undefined ? {} : { breathe: options.breathe }),
  };

  const relayWriter = writer(RELAY_MANAGER);
  const relay = new RelayReconciler({ caches, gatherer, passwords, needs, ownWrites, writer: relayWriter });
  const relays = new Controller({
    ...shared,
    name: "smtprelay",
    writer: relayWriter,
    lockNames: (key) => relay.lockNames(key),
    concerns: (key, written) => relay.concerns(key, written),
    reconcile: tellingMisreads(caches.relays, resources.smtpRelays, clock, (key) => relay.reconcile(key)),
  });

  const domainWriter = writer(DOMAIN_MANAGER);
  const domain = new DomainReconciler({
    caches,
    gatherer,
    dns,
    looks: new DnsLooks(options),
    needs,
    ownWrites,
    writer: domainWriter,
  });
  const domains = new Controller({
    ...shared,
    name: "sendingdomain",
    // They mostly wait, for DNS and for their writes, and no two of them share anything.
    concurrency: options.concurrency ?? DOMAINS_AT_A_TIME,
    writer: domainWriter,
    lockNames: () => [],
    concerns: (key, written) => domain.concerns(key, written),
    reconcile: tellingMisreads(caches.domains, resources.sendingDomains, clock, (key) =>
      domain.reconcile(key),
    ),
  });

  const poolWriter = writer(POOL_MANAGER);
  const pool = new PoolReconciler({
    caches,
    gatherer,
    dns,
    looks: new DnsLooks(options),
    writer: poolWriter,
  });
  const pools = new Controller({
    ...shared,
    name: "ippool",
    writer: poolWriter,
    lockNames: (key) => pool.lockNames(key),
    concerns: (key, written) => pool.concerns(key, written),
    reconcile: tellingMisreads(caches.pools, resources.ipPools, clock, (key) => pool.reconcile(key)),
  });

  route(caches, {
    relay: (key, priority) => relays.enqueue(key, priority),
    domain: (key, priority) => domains.enqueue(key, priority),
    pool: (key, priority) => pools.enqueue(key, priority),
  });

  if (options.events !== undefined) tellReadiness(caches, options.events);
  const troubles = countTroubles(caches);

  const lifecycle = new Lifecycle({ clock, log });
  const controllers = [relays, domains, pools];
  let stopped = false;
  for (const informer of caches.all) informer.start();
  lifecycle.started({
    name: "caches",
    deadlineSeconds: 5,
    stop: async () => {
      await Promise.all(caches.all.map((informer) => informer.stop()));
    },
  });
  lifecycle.started({
    name: "controllers",
    deadlineSeconds: 30,
    stop: async () => {
      await Promise.all(controllers.map((controller) => controller.stop()));
    },
  });
  // Nothing is planned from half a picture: a pool not listed yet would look like one that is missing.
  const begin = async () => {
    await Promise.all(caches.all.map((informer) => informer.synced));
    if (stopped) return;
    log.info("caches are filled, controllers start");
    for (const controller of controllers) controller.start();
  };
  return {
    synced: begin(),
    depths: () => new Map(controllers.map(({ name, depth }) => [name, depth])),
    cached: () => new Map(caches.all.map(({ type, size }) => [type.kind, size])),
    troubles,
    stop: () => {
      stopped = true;
      return lifecycle.stop();
    },
  };
}
