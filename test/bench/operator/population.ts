/**
 * The objects of the operator's benchmark, as users would have applied them: namespaces with relays, each with
 * a pool of two addresses and its part of the sending domains. Domains come with the key Secret and the status an
 * operator gave them long ago, by its own pure functions: ten thousand of them are not verified for the first time
 * in every benchmark. Pure but for the keys and the time.
 *
 * Keys: to make 10,000 RSA keys takes a quarter of an hour of CPU that says nothing about an operator, so a few
 * are made and used in turn; Ed25519 keys are all different. Secrets have the size they have in real life.
 */
import { generateKeyPairSync } from "node:crypto";

import { API_VERSION, type KindName } from "../../../crds/group.ts";
import { ipPoolSpec } from "../../../crds/ipPool.ts";
import type { IpPool, SendingDomain, SmtpRelay } from "../../../crds/kinds.ts";
import { sendingDomainSpec } from "../../../crds/sendingDomain.ts";
import { smtpRelaySpec } from "../../../crds/smtpRelay.ts";
import type { ApplyObject, KubeObject } from "../../../operator/adapters/kubeClient.ts";
import { createdAnnotation, pemEntry } from "../../../operator/plan/dkimKeys.ts";
import type { DkimAlgorithm } from "../../../operator/plan/dkimRecord.ts";
import { poolRecords } from "../../../operator/plan/dnsRecords.ts";
import { domainStatus, expectedDomainRecords, planDomain } from "../../../operator/plan/index.ts";
import { dkimSecretName } from "../../../operator/plan/names.ts";
import { withHash } from "../../../operator/reconcile/differs.ts";
import { dnsQuestion, type ExpectedRecord, type SecretObject } from "../../../operator/world.ts";
import { anEnvironment } from "../../support/builders.ts";

export interface Sizes {
  readonly domains: number;
  readonly relays: number;
  readonly pools: number;
  readonly namespaces: number;
  readonly replicas: number;
}

export interface Population {
  readonly namespaces: readonly KubeObject[];
  readonly pools: readonly KubeObject[];
  readonly relays: readonly KubeObject[];
  readonly domains: readonly KubeObject[];
  readonly keySecrets: readonly ApplyObject[];
  readonly domainStatuses: readonly ApplyObject[];
  /** Records by zone. */
  readonly zones: ReadonlyMap<string, readonly ExpectedRecord[]>;
}

const RSA_KEYS = 8;
/** RFC 2544's network for benchmarks. */
const REVERSE_ZONE = "18.198.in-addr.arpa";
const POOL_ZONE = "pools.test";
const SELECTORS: readonly { readonly selector: string; readonly algorithm: DkimAlgorithm }[] = [
  { selector: "r2611", algorithm: "rsa-sha256" },
  { selector: "e2611", algorithm: "ed25519-sha256" },
];

const environment = anEnvironment();

export function populate(sizes: Sizes): Population {
  const namespaceOf = (index: number) => `tenant-${String(index % sizes.namespaces).padStart(3, "0")}`;
  const now = Date.now();
  const createdAt = `${new Date(now).toISOString().slice(0, 19)}Z`;
  const rsaKeys = Array.from({ length: RSA_KEYS }, () => pem("rsa-sha256"));
  const zones = new Map<string, ExpectedRecord[]>([
    [REVERSE_ZONE, []],
    [POOL_ZONE, []],
  ]);

  const pools = indices(sizes.pools).map((index) => {
    const name = poolName(index);
    const object = custom("IpPool", namespaceOf(index), name, {
      addresses: ["a", "b"].map((address, number) => ({
        name: address,
        ip: `198.18.${index >> 7}.${((index & 127) << 1) + number}`,
        ehloName: `${address}.${name}.${POOL_ZONE}`,
      })),
    });
    const pool = { ...object, spec: ipPoolSpec.parse(object["spec"]) } as unknown as IpPool;
    for (const record of poolRecords(pool)) {
      zones.get(record.type === "PTR" ? REVERSE_ZONE : POOL_ZONE)?.push(record);
    }
    return { object, pool };
  });
  const relays = indices(sizes.relays).map((index) => {
    const object = custom("SmtpRelay", namespaceOf(index), relayName(index), {
      hostname: `${relayName(index)}.example.test`,
      replicas: sizes.replicas,
      poolRef: { name: poolName(poolOf(index, sizes)) },
    });
    return {
      object,
      relay: { ...object, spec: smtpRelaySpec.parse(object["spec"]) } as unknown as SmtpRelay,
    };
  });
  const domains: KubeObject[] = [];
  const keySecrets: ApplyObject[] = [];
  const domainStatuses: ApplyObject[] = [];
  for (const index of indices(sizes.domains)) {
    const name = `s${String(index).padStart(5, "0")}`;
    const relay = index % sizes.relays;
    const namespace = namespaceOf(relay);
    const zone = `${name}.test`;
    const object = custom("SendingDomain", namespace, name, {
      domain: zone,
      relayRef: { name: relayName(relay) },
    });
    const keys = SELECTORS.map(({ selector, algorithm }) => ({
      selector,
      algorithm,
      pem: algorithm === "rsa-sha256" ? (rsaKeys[index % RSA_KEYS] ?? "") : pem(algorithm),
    }));
    const keySecret: SecretObject = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: dkimSecretName(name),
        namespace,
        annotations: Object.fromEntries(keys.map(({ selector }) => [createdAnnotation(selector), createdAt])),
      },
      data: Object.fromEntries(keys.map((key) => [pemEntry(key.selector), base64(key.pem)])),
    };
    const domain = {
      ...object,
      metadata: { ...object.metadata, generation: 1, creationTimestamp: createdAt },
      spec: sendingDomainSpec.parse(object["spec"]),
    } as unknown as SendingDomain;
    const pool = pools[poolOf(relay, sizes)]?.pool;
    const gathered = {
      now,
      environment,
      domain,
      allDomains: [domain],
      relay: relays[relay]?.relay ?? null,
      pools: pool === undefined ? [] : [pool],
      keySecret,
      answers: [],
    };
    const records = expectedDomainRecords(gathered);
    const dns = new Map(
      records.map((record) => [dnsQuestion(record), { kind: "records" as const, values: [record.value] }]),
    );
    const world = { ...gathered, dns };
    const plan = planDomain(world);
    domains.push(object);
    keySecrets.push(...plan.objects.map(withHash));
    domainStatuses.push({
      apiVersion: object.apiVersion,
      kind: object.kind,
      metadata: { name, namespace },
      status: domainStatus(world, plan),
    });
    zones.set(zone, [...records]);
  }
  const names = [...new Set([...relays, ...pools].map(({ object }) => namespaceName(object)))];
  return {
    namespaces: names.map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })),
    pools: pools.map(({ object }) => object),
    relays: relays.map(({ object }) => object),
    domains,
    keySecrets,
    domainStatuses,
    zones,
  };
}

/** A relay's pool is in its namespace: both are dealt out in turn. */
function poolOf(relay: number, { pools, namespaces }: Sizes): number {
  return pools >= namespaces ? relay % (pools - (pools % namespaces)) : relay % pools;
}

const relayName = (index: number) => `relay-${String(index).padStart(3, "0")}`;
const poolName = (index: number) => `pool-${String(index).padStart(3, "0")}`;
const namespaceName = (object: KubeObject) => object.metadata.namespace ?? "";

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function custom(kind: KindName, namespace: string, name: string, spec: object): KubeObject {
  return { apiVersion: API_VERSION, kind, metadata: { name, namespace }, spec };
}

function pem(algorithm: DkimAlgorithm): string {
  const { privateKey } =
    algorithm === "rsa-sha256"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ed25519");
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
