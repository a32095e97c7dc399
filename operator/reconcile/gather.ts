/**
 * Gathers the World of one object from the caches, and asks the pods. Everything here reads; what it
 * returns is plain data that nobody changes.
 */
import type { IpPool, SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
import { configFiles } from "../../relay/contract/endpoints.ts";
import { type RelayConfig, relayConfig } from "../../relay/contract/config.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { KubeObject, ObjectKey } from "../adapters/kubeClient.ts";
import type { ReportSource } from "../adapters/relayReports.ts";
import { dkimSecretName, podOrdinal, relayNames, relayOfPod } from "../plan/names.ts";
import type { DomainWorld, Environment, PodView, PoolWorld, RelayWorld, SecretObject } from "../world.ts";
import { parseKey } from "./cache.ts";
import { type Caches, ref } from "./caches.ts";
import { addressesOf, poolsNamed, secretsNamed } from "./typed.ts";

export interface GatherOptions {
  readonly caches: Caches;
  readonly reports: ReportSource;
  readonly environment: Environment;
  readonly clock: Clock;
  /** Lets the process do other things once the pods have answered; default: nothing. */
  readonly breathe?: () => Promise<void>;
}

/** How old a report may be where nothing hangs on its order. */
const REPORT_AGE_SECONDS = 5;

export class Gatherer {
  readonly #options: GatherOptions;
  readonly #configs = new WeakMap<SecretObject, RelayConfig | null>();

  constructor(options: GatherOptions) {
    this.#options = options;
  }

  /** Null: the relay is not there, is going, or cannot be read. */
  async relayWorld(key: ObjectKey): Promise<RelayWorld | null> {
    const { caches, clock, environment } = this.#options;
    const relay = present(caches.relays.cache.get(key)?.value);
    if (relay === null) return null;
    const { namespace } = relay.metadata;
    const publishedConfig = this.#publishedConfig(key);
    // Reports after the published configuration: see plan/index.ts.
    const pods = await this.#pods(key, 0);
    const domains = this.#domainsOf(key);
    const pools = this.#pools(relay);
    return {
      now: clock.now(),
      environment,
      relay,
      domains,
      unreadDomains: this.#unreadDomainsOf(key),
      allDomains: this.#domainsNamed(domains.map(({ spec }) => spec.domain)),
      pools,
      unreadPools: this.#unreadPoolsOf(relay),
      allPools: this.#poolsClaiming(pools),
      poolRelays: unique(pools.flatMap((pool) => this.#relaysNaming(pool)).concat(relay)),
      secrets: this.#secrets(relay, domains),
      statefulSet:
        caches.statefulSets.peek({ namespace, name: relayNames(relay.metadata.name).statefulSet }) ?? null,
      pods,
      publishedConfig,
    };
  }

  /** The world without what DNS says. */
  async domainWorld(key: ObjectKey): Promise<Omit<DomainWorld, "dns"> | null> {
    const { caches, clock, environment } = this.#options;
    const domain = present(caches.domains.cache.get(key)?.value);
    if (domain === null) return null;
    const relayKey = { namespace: key.namespace, name: domain.spec.relayRef.name };
    const relay = present(caches.relays.cache.get(relayKey)?.value);
    const pods = relay === null ? [] : await this.#pods(relayKey, REPORT_AGE_SECONDS);
    return {
      now: clock.now(),
      environment,
      domain,
      allDomains: this.#domainsNamed([domain.spec.domain]),
      relay,
      relayUnread: caches.relays.cache.get(relayKey)?.value === null,
      pools: relay === null ? [] : this.#pools(relay),
      keySecret: this.#secret(key.namespace, dkimSecretName(key.name)),
      answers: pods.map((pod) => pod.answer),
    };
  }

  /** The world without what DNS says. */
  async poolWorld(key: ObjectKey): Promise<Omit<PoolWorld, "dns"> | null> {
    const { caches, clock, environment } = this.#options;
    const pool = present(caches.pools.cache.get(key)?.value);
    if (pool === null) return null;
    const relays = unique([...this.#relaysNaming(pool), ...this.#relaysInLedger(pool)]).map((relay) => ({
      relay,
      publishedConfig: this.#publishedConfig(relay.metadata),
    }));
    // All configurations are read before the first report is asked for.
    const withPods = await Promise.all(
      relays.map(async (each) => ({ ...each, pods: await this.#pods(each.relay.metadata, 0) })),
    );
    return { now: clock.now(), environment, pool, allPools: this.#poolsClaiming([pool]), relays: withPods };
  }

  /** All who claim one of these domains, wherever they are. */
  #domainsNamed(names: readonly string[]): SendingDomain[] {
    const { cache } = this.#options.caches.domains;
    return [...new Set(names)].flatMap((name) =>
      cache.by("domain", name).flatMap(({ value }) => value ?? []),
    );
  }

  /** All who claim an address of these pools, they themselves included. */
  #poolsClaiming(pools: readonly IpPool[]): IpPool[] {
    const { cache } = this.#options.caches.pools;
    return unique(
      pools.flatMap((pool) =>
        addressesOf(pool).flatMap((ip) => cache.by("ip", ip).flatMap(({ value }) => value ?? [])),
      ),
    );
  }

  #pools(relay: SmtpRelay): IpPool[] {
    const { namespace } = relay.metadata;
    return poolsNamed(relay).flatMap(
      (name) => present(this.#options.caches.pools.cache.get({ namespace, name })?.value) ?? [],
    );
  }

  #unreadPoolsOf(relay: SmtpRelay): string[] {
    const { namespace } = relay.metadata;
    const { cache } = this.#options.caches.pools;
    return poolsNamed(relay).filter((name) => cache.get({ namespace, name })?.value === null);
  }

  #relaysNaming(pool: IpPool): SmtpRelay[] {
    const { namespace, name } = pool.metadata;
    return this.#options.caches.relays.cache
      .by("pool", ref(namespace, name))
      .flatMap((cached) => present(cached.value) ?? []);
  }

  /** Relays whose pods stand in the pool's ledger, whether they still name the pool or not. */
  #relaysInLedger(pool: IpPool): SmtpRelay[] {
    const pods = (pool.status?.addresses ?? []).flatMap((address) =>
      (address.shares ?? []).map(({ pod }) => pod),
    );
    return [...new Set(pods)].flatMap((pod) => {
      const { namespace, name } = parseKey(pod);
      const relay = relayOfPod(name);
      return relay === null
        ? []
        : (present(this.#options.caches.relays.cache.get({ namespace, name: relay })?.value) ?? []);
    });
  }

  #domainsOf(relay: ObjectKey): SendingDomain[] {
    return this.#options.caches.domains.cache
      .by("relay", ref(relay.namespace, relay.name))
      .flatMap((cached) => present(cached.value) ?? [])
      .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  #unreadDomainsOf(relay: ObjectKey): string[] {
    return this.#options.caches.domains.cache
      .by("relay", ref(relay.namespace, relay.name))
      .filter(({ value, object }) => value === null && object.metadata.deletionTimestamp === undefined)
      .flatMap(({ object }) => (object["spec"] as { domain?: string }).domain ?? []);
  }

  #secrets(relay: SmtpRelay, domains: readonly SendingDomain[]): ReadonlyMap<string, SecretObject> {
    const { namespace, name } = relay.metadata;
    const ours = this.#options.caches.secrets.cache
      .by("relay", ref(namespace, name))
      .map((cached) => cached.object.metadata.name);
    const children = relayNames(name);
    const names = [
      ...ours,
      children.runtimeSecret,
      children.selfSignedSecret,
      ...relay.spec.auth.credentials.map((credential) => children.credentialSecret(credential.name)),
      ...secretsNamed(relay),
      ...domains.map((domain) => dkimSecretName(domain.metadata.name)),
    ];
    return new Map(
      names.flatMap((each) => {
        const secret = this.#secret(namespace, each);
        return secret === null ? [] : [[each, secret] as const];
      }),
    );
  }

  #secret(namespace: string, name: string): SecretObject | null {
    const secret = this.#options.caches.secrets.cache.get({ namespace, name })?.value;
    return secret === undefined || secret.metadata.deletionTimestamp !== undefined ? null : secret;
  }

  #publishedConfig(relay: ObjectKey): RelayConfig | null {
    const secret = this.#secret(relay.namespace, relayNames(relay.name).runtimeSecret);
    if (secret === null) return null;
    // Cached objects are never changed, only replaced: one reading of a large document is enough.
    let config = this.#configs.get(secret);
    if (config === undefined) {
      config = readConfig(secret);
      this.#configs.set(secret, config);
    }
    return config;
  }

  async #pods(relay: ObjectKey, maxAgeSeconds: number): Promise<PodView[]> {
    const { caches, reports } = this.#options;
    const { statefulSet } = relayNames(relay.name);
    const pods = caches.pods.cache
      .by("relay", ref(relay.namespace, relay.name))
      .map((cached) => cached.object)
      .flatMap((object) => {
        const ordinal = podOrdinal(statefulSet, object.metadata.name);
        return ordinal === null ? [] : [{ ordinal, object }];
      })
      .toSorted((a, b) => a.ordinal - b.ordinal);
    const views = await Promise.all(
      pods.map(async ({ object }) => {
        const { namespace = "", name, uid = "" } = object.metadata;
        const { ip, ready } = podStatus(object);
        const answer = await reports.ask({ namespace, name, uid, ip }, maxAgeSeconds);
        return { name, ready, ip, answer };
      }),
    );
    // Answers arrive together, and what each leads to is a plan.
    await this.#options.breathe?.();
    return views;
  }
}

/** Objects being deleted by their owner count as gone: nothing new is made for them. */
function present<T extends { metadata: { deletionTimestamp?: string } }>(
  value: T | null | undefined,
): T | null {
  if (value === null || value === undefined || value.metadata.deletionTimestamp !== undefined) return null;
  return value;
}

function unique<T extends { metadata: { uid: string } }>(values: readonly T[]): T[] {
  return [...new Map(values.map((value) => [value.metadata.uid, value])).values()];
}

function readConfig(secret: SecretObject): RelayConfig | null {
  const encoded = secret.data?.[configFiles.config];
  if (encoded === undefined) return null;
  try {
    return relayConfig.parse(JSON.parse(Buffer.from(encoded, "base64").toString("utf8")));
  } catch {
    // Someone else wrote into it: as good as not there, the plan publishes anew.
    return null;
  }
}

function podStatus(object: KubeObject): { ip: string | null; ready: boolean } {
  const status = (object["status"] ?? {}) as {
    podIP?: unknown;
    conditions?: readonly { type?: unknown; status?: unknown }[];
  };
  const conditions = Array.isArray(status.conditions) ? status.conditions : [];
  return {
    ip: typeof status.podIP === "string" && status.podIP !== "" ? status.podIP : null,
    ready: conditions.some(({ type, status: value }) => type === "Ready" && value === "True"),
  };
}
