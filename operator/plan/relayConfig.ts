/**
 * The only translator from custom resources to RelayConfig. The revision names the content of the document
 * and of every file beside it: "SERIAL-HASH". The serial grows with each change, so that a configuration
 * that returns to an earlier content is a new revision: what a pod once confirmed says nothing about it.
 */
import { createHash } from "node:crypto";

import type { SmtpRelaySpec } from "../../crds/smtpRelay.ts";
import { configFiles } from "../../relay/contract/endpoints.ts";
import {
  CONFIG_VERSION,
  type Credential,
  type RelayConfig,
  type Route,
} from "../../relay/contract/config.ts";
import type { RelayWorld } from "../world.ts";
import type { DomainConfigs } from "./domainConfigs.ts";
import { relayNames } from "./names.ts";
import type { Replicas } from "./replicas.ts";
import { podSources } from "./sources.ts";

export interface ConfigParts {
  readonly credentials: readonly Credential[];
  readonly routes: readonly Route[];
  readonly domains: DomainConfigs["domains"];
  readonly replicas: Replicas;
  /** Files beside relay.json, base64 by name. */
  readonly files: Readonly<Record<string, string>>;
}

export function relayConfigOf(world: RelayWorld, parts: ConfigParts): RelayConfig {
  const { metadata, spec } = world.relay;
  const content: Omit<RelayConfig, "revision"> = {
    version: CONFIG_VERSION,
    relay: { namespace: metadata.namespace, name: metadata.name, hostname: spec.hostname },
    paused: spec.paused,
    listeners: spec.listeners.map((listener) => ({
      ...listener,
      trustedNetworks: [...listener.trustedNetworks],
    })),
    certificate: { certFile: configFiles.certificate, keyFile: configFiles.certificateKey },
    limits: { ...spec.limits },
    credentials: [...parts.credentials],
    domains: [...parts.domains],
    routes: [...parts.routes],
    queue: queueOf(spec.queue),
    tlsOutbound: { ...spec.tlsOutbound },
    dns: { servers: [...world.environment.dnsServers] },
    delivery: {
      port: world.environment.deliveryPort,
      forbiddenNetworks: [...world.environment.forbiddenNetworks],
    },
    privacy: { addressesInLogs: spec.privacy.addressesInLogs },
    pods: podEntries(world, parts.replicas),
  };
  return { ...content, revision: revisionOf(content, parts.files, world) };
}

/** Classes whole: what one leaves out is filled in here, so that the relay need not know the manifest's rules. */
function queueOf({ expireAfterSeconds, retry, classes }: SmtpRelaySpec["queue"]): RelayConfig["queue"] {
  const queue = { expireAfterSeconds, retry: { ...retry } };
  if (classes.length === 0) return queue;
  return {
    ...queue,
    classes: classes.map((one) => ({
      name: one.name,
      priority: one.priority,
      expireAfterSeconds: one.expireAfterSeconds ?? expireAfterSeconds,
      retry: {
        firstDelaySeconds: one.retry?.firstDelaySeconds ?? retry.firstDelaySeconds,
        longestDelaySeconds: one.retry?.longestDelaySeconds ?? retry.longestDelaySeconds,
      },
    })),
  };
}

function podEntries(world: RelayWorld, { listed, draining }: Replicas): RelayConfig["pods"] {
  const { pod: podName } = relayNames(world.relay.metadata.name);
  return Array.from({ length: listed }, (_, ordinal) => {
    const name = podName(ordinal);
    const { sources, usageSince } = podSources(world, name);
    return {
      name,
      state: draining.includes(name) ? "Draining" : "Active",
      ...(usageSince === null ? {} : { usageSince }),
      sources: [...sources],
    };
  });
}

function revisionOf(
  content: Omit<RelayConfig, "revision">,
  files: Readonly<Record<string, string>>,
  world: RelayWorld,
): string {
  const hash = createHash("sha256").update(canonicalJson({ content, files })).digest("hex").slice(0, 16);
  const published = parseRevision(world.publishedConfig?.revision ?? null);
  if (published?.hash === hash) return `${published.serial}-${hash}`;
  // Pods are asked too: should the published one be lost, their revisions must not come again.
  const seen = world.pods.map(({ answer }) =>
    answer.kind === "report" ? (parseRevision(answer.report.appliedRevision)?.serial ?? 0) : 0,
  );
  return `${Math.max(published?.serial ?? 0, ...seen) + 1}-${hash}`;
}

function parseRevision(revision: string | null): { readonly serial: number; readonly hash: string } | null {
  const match = /^(\d{1,15})-([0-9a-f]{16})$/.exec(revision ?? "");
  return match === null ? null : { serial: Number(match[1]), hash: match[2] ?? "" };
}

/** JSON with sorted keys, so that equal content gives equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, field: unknown) =>
    typeof field === "object" && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : field,
  );
}
