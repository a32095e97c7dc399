/**
 * The informers of the three controllers, shared, with the indexes by which one object leads to others.
 * Children are watched by our label; Secrets as a whole, since specs may name any.
 */
import type { IpPool, SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
import type { KubeClient, KubeObject, ResourceType } from "../adapters/kubeClient.ts";
import { DOMAIN_LABEL, MANAGED_BY, RELAY_LABEL } from "../plan/labels.ts";
import { resources } from "../resources.ts";
import type { SecretObject } from "../world.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import type { Cached, Index } from "./cache.ts";
import { type AnyInformer, Informer } from "./informer.ts";
import { createListTurns, type ListTurns } from "./listTurns.ts";
import type { SharedText } from "./sharedText.ts";
import {
  addressesOf,
  domainShape,
  poolShape,
  poolsNamed,
  relayShape,
  secretsNamed,
  withoutSpec,
} from "./typed.ts";

export interface Caches {
  readonly relays: Informer<SmtpRelay | null>;
  readonly domains: Informer<SendingDomain | null>;
  readonly pools: Informer<IpPool | null>;
  readonly secrets: Informer<SecretObject>;
  readonly statefulSets: Informer<KubeObject>;
  readonly pods: Informer<KubeObject>;
  /** Children nobody reads: watched so that what others change is put right. */
  readonly others: readonly Informer<KubeObject>[];
  readonly all: readonly AnyInformer[];
  /** Of the lists they make. */
  readonly turns: Pick<ListTurns, "rush" | "afterRush">;
}

export interface CachesOptions {
  readonly client: KubeClient;
  readonly namespaces: readonly string[] | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly texts?: SharedText;
  readonly breathe?: () => Promise<void>;
}

/** "NAMESPACE/NAME", the entry under which indexes keep references. */
export function ref(namespace: string | undefined, name: string): string {
  return `${namespace ?? ""}/${name}`;
}

export function createCaches(given: CachesOptions): Caches {
  const { log } = given;
  const turns = createListTurns(given.clock);
  const options = { ...given, turns };
  const ours = { "app.kubernetes.io/managed-by": MANAGED_BY };
  const child = (type: ResourceType) =>
    new Informer<KubeObject>({
      ...options,
      type,
      labels: ours,
      shape: (object) => object,
      indexes: { relay: byLabel(RELAY_LABEL) },
    });
  const relays = new Informer<SmtpRelay | null>({
    ...options,
    type: resources.smtpRelays,
    rank: "edited",
    shape: relayShape(log),
    keep: withoutSpec,
    indexes: {
      pool: named((relay) => poolsNamed(relay)),
      secret: named((relay) => secretsNamed(relay)),
    },
  });
  const domains = new Informer<SendingDomain | null>({
    ...options,
    type: resources.sendingDomains,
    rank: "edited",
    shape: domainShape(log),
    keep: withoutSpec,
    indexes: {
      // One that cannot be read still belongs to the relay that is stored.
      relay: ({ object, value }) => {
        const { relayRef } = (value?.spec ?? object["spec"] ?? {}) as { relayRef?: { name?: string } };
        return relayRef?.name === undefined ? [] : [ref(object.metadata.namespace, relayRef.name)];
      },
      domain: ({ value }) => (value === null ? [] : [value.spec.domain]),
    },
  });
  const pools = new Informer<IpPool | null>({
    ...options,
    type: resources.ipPools,
    rank: "edited",
    shape: poolShape(log),
    keep: withoutSpec,
    indexes: { ip: ({ value }) => (value === null ? [] : addressesOf(value)) },
  });
  const secrets = new Informer<SecretObject>({
    ...options,
    type: resources.secrets,
    shape: (object) => object as SecretObject,
    indexes: { relay: byLabel(RELAY_LABEL), domain: byLabel(DOMAIN_LABEL) },
  });
  const statefulSets = child(resources.statefulSets);
  const pods = child(resources.pods);
  const others = [
    resources.serviceAccounts,
    resources.services,
    resources.disruptionBudgets,
    resources.networkPolicies,
  ].map(child);
  const all = [relays, domains, pools, secrets, statefulSets, pods, ...others];
  return { relays, domains, pools, secrets, statefulSets, pods, others, all, turns };
}

function named<T extends { metadata: { namespace: string } }>(
  names: (value: T) => readonly string[],
): Index<T | null> {
  return ({ value }: Cached<T | null>) =>
    value === null ? [] : names(value).map((name) => ref(value.metadata.namespace, name));
}

function byLabel(label: string): Index<KubeObject> {
  return ({ object }) => {
    const name = object.metadata.labels?.[label];
    return name === undefined ? [] : [ref(object.metadata.namespace, name)];
  };
}
