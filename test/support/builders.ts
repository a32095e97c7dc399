/**
 * Objects as tests need them: complete, with the schema's defaults, and only what the story is about
 * spelled out. Overrides of `spec` are manifests (defaults filled in), overrides of `metadata` are merged.
 */
import type { z } from "zod";

import { API_VERSION } from "../../crds/group.ts";
import { ipPoolSpec, type IpPoolStatus } from "../../crds/ipPool.ts";
import type { IpPool, ResourceMeta, SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
import { sendingDomainSpec, type SendingDomainStatus } from "../../crds/sendingDomain.ts";
import { smtpRelaySpec, type SmtpRelayStatus } from "../../crds/smtpRelay.ts";
import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import { relayLabels } from "../../operator/plan/labels.ts";
import { CLUSTER_RHYTHM, type Environment, type PodView, type SecretObject } from "../../operator/world.ts";
import type { RelayReport } from "../../relay/contract/report.ts";

export const NAMESPACE = "default";
/** A Monday noon; every builder's object is created an hour before. */
export const NOON = Date.parse("2026-11-23T12:00:00Z");

interface Overrides<Spec, Status> {
  readonly metadata?: Partial<ResourceMeta>;
  readonly spec?: Partial<Spec>;
  readonly status?: Status;
}

function meta(kind: string, name: string, overrides: Partial<ResourceMeta> = {}): ResourceMeta {
  const { namespace = NAMESPACE } = overrides;
  return {
    name,
    namespace,
    uid: `${kind}-${namespace}-${overrides.name ?? name}`,
    resourceVersion: "1",
    generation: 1,
    creationTimestamp: "2026-11-23T11:00:00Z",
    ...overrides,
  };
}

const statusOf = <S>(status: S | undefined) => (status === undefined ? {} : { status });

/** SmtpRelay `mail`: two replicas, pool `default`. */
export function aRelay(overrides: Overrides<z.input<typeof smtpRelaySpec>, SmtpRelayStatus> = {}): SmtpRelay {
  return {
    apiVersion: API_VERSION,
    kind: "SmtpRelay",
    metadata: meta("SmtpRelay", "mail", overrides.metadata),
    spec: smtpRelaySpec.parse({
      hostname: "mail.example.com",
      replicas: 2,
      poolRef: { name: "default" },
      ...overrides.spec,
    }),
    ...statusOf(overrides.status),
  };
}

/** SendingDomain `example-com` for example.com, through relay `mail`. */
export function aDomain(
  overrides: Overrides<z.input<typeof sendingDomainSpec>, SendingDomainStatus> = {},
): SendingDomain {
  return {
    apiVersion: API_VERSION,
    kind: "SendingDomain",
    metadata: meta("SendingDomain", "example-com", overrides.metadata),
    spec: sendingDomainSpec.parse({
      domain: "example.com",
      relayRef: { name: "mail" },
      ...overrides.spec,
    }),
    ...statusOf(overrides.status),
  };
}

/** IpPool `default`: addresses `a` and `b` on the Standard ramp. */
export function aPool(overrides: Overrides<z.input<typeof ipPoolSpec>, IpPoolStatus> = {}): IpPool {
  return {
    apiVersion: API_VERSION,
    kind: "IpPool",
    metadata: meta("IpPool", "default", overrides.metadata),
    spec: ipPoolSpec.parse({
      addresses: [
        { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com" },
        { name: "b", ip: "192.0.2.11", ehloName: "b.mail.example.com" },
      ],
      ...overrides.spec,
    }),
    ...statusOf(overrides.status),
  };
}

/** What an idle, ready relay pod says. */
export function aReport(overrides: Partial<RelayReport> = {}): RelayReport {
  return {
    version: 1,
    pod: "mail-0",
    at: "2026-11-23T12:00:00Z",
    startedAt: "2026-11-23T11:00:00Z",
    appliedRevision: null,
    refusal: null,
    ready: true,
    notReadyReason: "",
    queue: { messages: 0, recipients: 0, oldestSeconds: null, providers: [] },
    restraints: [],
    missingAddresses: [],
    loadedKeys: [],
    usage: [],
    usageSince: "2026-11-23T11:00:00Z",
    counters: [],
    spool: { state: "Ok", reason: "" },
    ...overrides,
  };
}

/** A ready pod that answered with `report`. */
export function aPod(name: string, report: Partial<RelayReport> = {}): PodView {
  return {
    name,
    ready: true,
    ip: "127.0.0.2",
    answer: { kind: "report", report: aReport({ pod: name, ...report }) },
  };
}

/** A pod that is there and does not answer. */
export function aSilentPod(name: string, reason = "connect ECONNREFUSED"): PodView {
  return { name, ready: false, ip: null, answer: { kind: "silent", reason } };
}

/** A Secret with these entries, given as text. */
export function aSecret(
  name: string,
  entries: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
): SecretObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: NAMESPACE, annotations: { ...annotations } },
    type: "Opaque",
    data: Object.fromEntries(
      Object.entries(entries).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
    ),
  };
}

/** One that the operator made for a relay, `mail` unless said otherwise. */
export function aRelaySecret(
  name: string,
  entries: Readonly<Record<string, string>>,
  relay = "mail",
): SecretObject {
  const secret = aSecret(name, entries);
  return { ...secret, metadata: { ...secret.metadata, labels: relayLabels(relay, "credentials") } };
}

export function anEnvironment(overrides: Partial<Environment> = {}): Environment {
  return {
    relayImage: "smtp-relay:test",
    dnsServers: [],
    deliveryPort: 25,
    forbiddenNetworks: [],
    submissionHost: null,
    submissionPorts: {},
    bindSourceAddresses: true,
    ...CLUSTER_RHYTHM,
    ...overrides,
  };
}

/** A StatefulSet as the cluster has it, with so many replicas. */
export function aStatefulSet(name: string, replicas: number): KubeObject {
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name, namespace: NAMESPACE, uid: `StatefulSet-${name}` },
    spec: { replicas },
  };
}
