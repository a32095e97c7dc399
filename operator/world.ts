/**
 * World: everything one reconcile may look at, gathered once, as plain data; and Plan: everything it may
 * do. The pure folders (plan/, warmup/, status/) go from one to the other; reconcile/ gathers and acts.
 *
 *   gather World → plan* → apply objects, satisfy needs → probe → *Status → one status write
 *
 * How an allowance is shared without ever being exceeded (promise 4):
 * - `assignAddresses` says which pod should hold which part of an address (`wantedPermille`).
 * - IpPool.status.addresses[].shares is the ledger of parts that pods may hold. It is written first.
 *   A part grows only into what the others leave of 1000; it shrinks only when the pod's report shows a
 *   revision in force that carries the smaller part.
 * - The relay's configuration carries min(wanted, ledger). A part never shrinks below what its pod used
 *   today, so that what is spent is never granted again.
 */
import type { IpPool, SendingDomain, SmtpRelay } from "../crds/kinds.ts";
import type { RelayConfig } from "../relay/contract/config.ts";
import type { RelayReport } from "../relay/contract/report.ts";
import type { ApplyObject, KubeObject, ObjectKey, ResourceType } from "./adapters/kubeClient.ts";

/** Milliseconds since the Unix epoch. */
export type Instant = number;

/** What the operator was started with: facts of the place, not of the manifests. */
export interface Environment {
  readonly relayImage: string;
  /** "address:port" of the resolvers relays use; empty: the pod's own. */
  readonly dnsServers: readonly string[];
  /** Port of receiving MX hosts; 25 but for tests and local mode. */
  readonly deliveryPort: number;
  /**
   * What a pool without `spec.egress` means: whether its addresses are on interfaces of the pods, so that
   * relays connect from them (local mode). In a cluster a pod has its own address only unless somebody gave it
   * more, and the network translates it on the way out.
   */
  readonly bindSourceAddresses: boolean;
  readonly forbiddenNetworks: readonly string[];
  /** Shown in connection settings in place of spec.hostname: local mode's 127.0.0.1. */
  readonly submissionHost: string | null;
  /** Ports clients reach, by listener port, where they differ: local mode's 587 → 1587. */
  readonly submissionPorts: Readonly<Record<number, number>>;
  /** Namespace of the operator's own pods; null or absent where it runs outside a cluster. */
  readonly operatorNamespace?: string | null;
  /** How often relays that are settled are asked for a report, in seconds. */
  readonly reportSeconds: number;
  /** Figures in status move at most this often for an object, in seconds: an API server is no ticker. */
  readonly figuresSeconds: number;
}

/** The calm of a cluster, where every write is everybody's. */
export const CLUSTER_RHYTHM = { reportSeconds: 15, figuresSeconds: 60 } as const;

export interface SecretObject extends KubeObject {
  kind: "Secret";
  type?: string;
  /** Base64 values. */
  data?: Record<string, string>;
}

/** What a pod said when asked. */
export type PodAnswer =
  | { readonly kind: "report"; readonly report: RelayReport }
  | { readonly kind: "silent"; readonly reason: string };

export interface PodView {
  readonly name: string;
  readonly ready: boolean;
  /** Null before it has an address. */
  readonly ip: string | null;
  readonly answer: PodAnswer;
}

export interface RelayWorld {
  readonly now: Instant;
  readonly environment: Environment;
  readonly relay: SmtpRelay;
  /** SendingDomains of the namespace that name this relay, whatever their state. */
  readonly domains: readonly SendingDomain[];
  /** `spec.domain` of those among them that cannot be read (stored under an older schema): they keep what they have. */
  readonly unreadDomains?: readonly string[];
  /** Every SendingDomain of any namespace that claims one of these domains, to find who did so first. */
  readonly allDomains: readonly SendingDomain[];
  /** Pools this relay names that exist. */
  readonly pools: readonly IpPool[];
  /** Names of those it names that exist but cannot be read. */
  readonly unreadPools?: readonly string[];
  /** Every pool of any namespace that claims one of these pools' addresses, to find who did so first. */
  readonly allPools: readonly IpPool[];
  /** Every relay that names one of `pools`, this one included. */
  readonly poolRelays: readonly SmtpRelay[];
  /** Secrets of the namespace that are ours or are named by the spec, by name. */
  readonly secrets: ReadonlyMap<string, SecretObject>;
  readonly statefulSet: KubeObject | null;
  readonly pods: readonly PodView[];
  /** The configuration in the cluster now, if it can be read. */
  readonly publishedConfig: RelayConfig | null;
}

export interface DomainWorld {
  readonly now: Instant;
  readonly environment: Environment;
  readonly domain: SendingDomain;
  /** All that claim its domain, itself included. */
  readonly allDomains: readonly SendingDomain[];
  /** Null: it does not exist (yet), or cannot be read. */
  readonly relay: SmtpRelay | null;
  /** Why `relay` is null. */
  readonly relayUnread?: boolean;
  /** Pools the relay sends through. */
  readonly pools: readonly IpPool[];
  readonly keySecret: SecretObject | null;
  /** What DNS says about the records of `expectedDomainRecords`, by "TYPE name"; null: not asked yet. */
  readonly dns: ReadonlyMap<string, DnsAnswer> | null;
  /** Of the pods of the relay. */
  readonly answers: readonly PodAnswer[];
}

export interface PoolWorld {
  readonly now: Instant;
  readonly environment: Environment;
  readonly pool: IpPool;
  /** All that claim one of its addresses, itself included. */
  readonly allPools: readonly IpPool[];
  /**
   * Relays that name this pool and relays whose pods stand in its ledger, with their pods and the
   * configuration published to them. Reports are newer than `publishedConfig`.
   */
  readonly relays: readonly {
    readonly relay: SmtpRelay;
    readonly pods: readonly PodView[];
    readonly publishedConfig: RelayConfig | null;
  }[];
  readonly dns: ReadonlyMap<string, DnsAnswer> | null;
}

export interface ExpectedRecord {
  readonly name: string;
  readonly type: "TXT" | "A" | "AAAA" | "PTR";
  readonly purpose: string;
  readonly value: string;
}

export type DnsAnswer =
  | { readonly kind: "records"; readonly values: readonly string[] }
  | { readonly kind: "none" }
  | { readonly kind: "failed"; readonly reason: string };

/** Key of a question in the `dns` maps. */
export function dnsQuestion(record: { readonly type: string; readonly name: string }): string {
  return `${record.type} ${record.name}`;
}

/** Something only chance or a key generator can make; satisfied by the reconciler, then planned again. */
export type Need =
  /** A Secret with a fresh password under `password`, completed by the plan on the next pass. */
  | {
      readonly kind: "password";
      readonly secretName: string;
      readonly credential: string;
      /** Of a Secret of ours: one of that name without them is somebody else's and is left alone. */
      readonly labels: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: "dkimKey";
      readonly secretName: string;
      readonly selector: string;
      readonly algorithm: "rsa-sha256" | "ed25519-sha256";
    }
  | {
      readonly kind: "certificate";
      readonly secretName: string;
      readonly hostname: string;
      readonly labels: Readonly<Record<string, string>>;
    };

/** Why the object cannot be served as written; `reason` comes from crds/conditions.ts. */
export interface Problem {
  readonly severity: "Blocking" | "Degraded";
  readonly reason: string;
  readonly message: string;
}

export interface Plan {
  /** Applied in order with server-side apply; owner references included. */
  readonly objects: readonly ApplyObject[];
  readonly deletes: readonly { readonly type: ResourceType; readonly key: ObjectKey }[];
  readonly needs: readonly Need[];
  readonly problems: readonly Problem[];
}

export interface RelayPlan extends Plan {
  /** Null while something it cannot do without is missing; then the published one stays in force. */
  readonly config: RelayConfig | null;
}
