/**
 * Which change leads to which reconcile. Everything a plan reads must lead back to it, else an object waits
 * for its next timed look; what only moves figures must not, else status writes would wake each other.
 */
import type { SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
import type { KubeObject, ObjectKey } from "../adapters/kubeClient.ts";
import { DOMAIN_LABEL, RELAY_LABEL } from "../plan/labels.ts";
import { type Cached, type CacheChange, parseKey } from "./cache.ts";
import { type Caches, ref } from "./caches.ts";
import type { Priority } from "./workQueue.ts";
import { sameJson } from "./writer.ts";
import { addressesOf, poolsNamed } from "./typed.ts";

/** Where keys go. */
export interface Targets {
  relay(key: ObjectKey, priority: Priority): void;
  domain(key: ObjectKey, priority: Priority): void;
  pool(key: ObjectKey, priority: Priority): void;
}

export function route(caches: Caches, targets: Targets): void {
  const { relays, domains, pools } = caches;

  const relaysOfPool = (pool: string, priority: Priority) => {
    for (const { key } of relays.cache.by("pool", pool)) targets.relay(parseKey(key), priority);
  };
  const domainsOfRelay = (relay: string, priority: Priority) => {
    for (const { key } of domains.cache.by("relay", relay)) targets.domain(parseKey(key), priority);
  };
  /** Both states of an object: what it left is concerned as much as what it came to. */
  const either = <T>(change: CacheChange<T>, visit: (cached: Cached<T>) => void) => {
    for (const cached of [change.before, change.after]) if (cached !== undefined) visit(cached);
  };

  relays.onChange((change, first) => {
    const priority = first ? "low" : "high";
    const own = ref(change.key.namespace, change.key.name);
    if (specChanged(change)) {
      targets.relay(change.key, edited(first));
      // Addresses are shared out among all relays of a pool.
      either(change, (cached) => {
        for (const pool of poolRefs(cached)) {
          targets.pool(parseKey(pool), priority);
          relaysOfPool(pool, priority);
        }
      });
      domainsOfRelay(own, priority);
    } else if (changed(change, relayNews)) {
      either(change, (cached) => {
        for (const pool of poolRefs(cached)) targets.pool(parseKey(pool), priority);
      });
      domainsOfRelay(own, priority);
    }
  });

  domains.onChange((change, first) => {
    const priority = first ? "low" : "high";
    const moved = specChanged(change);
    if (moved) {
      targets.domain(change.key, edited(first));
      // The next oldest may come to own the name.
      either(change, ({ value }) => {
        for (const { key } of domains.cache.by("domain", value?.spec.domain ?? "")) {
          targets.domain(parseKey(key), priority);
        }
      });
    }
    if (moved || changed(change, statusOf)) {
      either(change, ({ value }) => {
        if (value !== null) targets.relay(relayOf(value), priority);
      });
    }
  });

  pools.onChange((change, first) => {
    const priority = first ? "low" : "high";
    const own = ref(change.key.namespace, change.key.name);
    const moved = specChanged(change);
    if (moved) {
      targets.pool(change.key, edited(first));
      either(change, ({ value }) => {
        for (const ip of value === null ? [] : addressesOf(value)) {
          for (const other of pools.cache.by("ip", ip)) {
            targets.pool(parseKey(other.key), priority);
            relaysOfPool(other.key, priority);
          }
        }
      });
      for (const relay of relays.cache.by("pool", own)) domainsOfRelay(relay.key, priority);
    }
    if (moved || changed(change, poolNews)) relaysOfPool(own, priority);
  });

  caches.secrets.onChange((change, first) => {
    const priority = first ? "low" : "high";
    const { namespace, name } = change.key;
    for (const { key } of relays.cache.by("secret", ref(namespace, name)))
      targets.relay(parseKey(key), priority);
    either(change, ({ object }) => {
      const relay = object.metadata.labels?.[RELAY_LABEL];
      if (relay !== undefined) {
        targets.relay({ namespace, name: relay }, priority);
        poolsOfRelay(caches, { namespace, name: relay }, (pool) => targets.pool(pool, priority));
      }
      const domain = object.metadata.labels?.[DOMAIN_LABEL];
      if (domain !== undefined) {
        targets.domain({ namespace, name: domain }, priority);
        const value = domains.cache.get({ namespace, name: domain })?.value;
        if (value !== null && value !== undefined) targets.relay(relayOf(value), priority);
      }
    });
  });

  for (const children of [caches.statefulSets, ...caches.others]) {
    children.onChange((change, first) => {
      either(change, (cached) => toRelay(cached, (key) => targets.relay(key, first ? "low" : "high")));
    });
  }
  caches.pods.onChange((change, first) => {
    const priority = first ? "low" : "high";
    either(change, (cached) =>
      toRelay(cached, (key) => {
        targets.relay(key, priority);
        poolsOfRelay(caches, key, (pool) => targets.pool(pool, priority));
      }),
    );
  });
}

/** Of the object itself: whoever edited it waits for its status. */
function edited(first: boolean): Priority {
  return first ? "low" : "edited";
}

function specChanged(change: CacheChange<unknown>): boolean {
  const [before, after] = [change.before?.object.metadata, change.after?.object.metadata];
  return (
    before?.uid !== after?.uid ||
    before?.generation !== after?.generation ||
    before?.deletionTimestamp !== after?.deletionTimestamp
  );
}

type Status = Readonly<Record<string, unknown>>;

function changed(change: CacheChange<unknown>, news: (status: Status) => unknown): boolean {
  const [before, after] = [change.before, change.after].map((cached) =>
    cached === undefined ? undefined : news(statusOf((cached.object["status"] ?? {}) as Status)),
  );
  return !sameJson(before, after);
}

const statusOf = (status: Status): Status => status;

/** What pools and domains may learn from a relay's status: not its queue, nor messages that count it. */
function relayNews(status: Status): unknown {
  const conditions = (status["conditions"] ?? []) as readonly Status[];
  return [
    status["configRevision"],
    status["readyReplicas"],
    conditions.map(({ type, status: value, reason }) => [type, value, reason]),
  ];
}

/** What relays may learn from a pool's status: the ledger and the state of addresses, not the day's sum. */
function poolNews(status: Status): unknown {
  const {
    today: _today,
    figuresAt: _figuresAt,
    conditions: _conditions,
    history: _history,
    ...rest
  } = status;
  return rest;
}

function relayOf(domain: SendingDomain): ObjectKey {
  return { namespace: domain.metadata.namespace, name: domain.spec.relayRef.name };
}

function poolRefs({ value }: Cached<SmtpRelay | null>): string[] {
  return value === null ? [] : poolsNamed(value).map((name) => ref(value.metadata.namespace, name));
}

function poolsOfRelay(caches: Caches, relay: ObjectKey, visit: (pool: ObjectKey) => void): void {
  const cached = caches.relays.cache.get(relay);
  if (cached !== undefined) for (const pool of poolRefs(cached)) visit(parseKey(pool));
}

function toRelay({ object }: Cached<KubeObject>, visit: (key: ObjectKey) => void): void {
  const name = object.metadata.labels?.[RELAY_LABEL];
  if (name !== undefined) visit({ namespace: object.metadata.namespace ?? "", name });
}
