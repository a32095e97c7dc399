/**
 * The StatefulSet of the relay pods. Only boot-time facts stand here (image, ports, volumes): everything
 * else is configuration that is swapped without a restart.
 *
 * Volumes outlive pods and the set itself (persistentVolumeClaimRetentionPolicy): a queue is never deleted
 * by scaling. The pod obeys the restricted pod security standard and holds no API token.
 */
import type { SmtpRelay } from "../../crds/kinds.ts";
import {
  bootVariables,
  containerPort,
  mountPaths,
  relayCommand,
  STATUS_PORT,
  statusPaths,
} from "../../relay/contract/endpoints.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import { ownedBy, podSelector, relayLabels } from "./labels.ts";
import { relayNames } from "./names.ts";
import { containerResources, identity, placement, podAnnotations } from "./podTemplate.ts";

/** Longer than the relay's own ordered stop, so that what is in flight can end. */
const TERMINATION_GRACE_SECONDS = 60;
/** An unprivileged user that owns nothing in the image; files of the image are readable by all. */
const USER_ID = 65_532;
/** Owner and group may read: keys are nobody else's. */
const SECRET_MODE = 0o440;

export function statefulSet(relay: SmtpRelay, image: string, replicas: number): ApplyObject {
  const names = relayNames(relay.metadata.name);
  const labels = relayLabels(relay.metadata.name, "relay");
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: {
      name: names.statefulSet,
      namespace: relay.metadata.namespace,
      labels,
      ownerReferences: [ownedBy(relay)],
    },
    spec: {
      replicas,
      serviceName: names.podService,
      // Each pod has its own queue and addresses: none waits for another.
      podManagementPolicy: "Parallel",
      updateStrategy: { type: "RollingUpdate" },
      revisionHistoryLimit: 3,
      persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" },
      selector: { matchLabels: podSelector(relay.metadata.name) },
      template: { metadata: { labels, ...podAnnotations(relay) }, spec: podSpec(relay, image) },
      volumeClaimTemplates: [spoolClaim(relay)],
    },
  };
}

function podSpec(relay: SmtpRelay, image: string): Record<string, unknown> {
  const names = relayNames(relay.metadata.name);
  return {
    ...identity(relay),
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: TERMINATION_GRACE_SECONDS,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER_ID,
      runAsGroup: USER_ID,
      fsGroup: USER_ID,
      fsGroupChangePolicy: "OnRootMismatch",
      seccompProfile: { type: "RuntimeDefault" },
    },
    // A wish, never a bar: two pods on one node are better than one pod that waits.
    topologySpreadConstraints: ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map(
      (topologyKey) => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: { matchLabels: podSelector(relay.metadata.name) },
      }),
    ),
    ...placement(relay),
    containers: [container(relay, image)],
    volumes: [
      { name: "config", secret: { secretName: names.runtimeSecret, defaultMode: SECRET_MODE } },
      { name: "tmp", emptyDir: {} },
    ],
  };
}

function container(relay: SmtpRelay, image: string): Record<string, unknown> {
  const probe = (path: string) => ({ httpGet: { path, port: STATUS_PORT } });
  return {
    name: "relay",
    image,
    resources: containerResources(relay),
    command: [...relayCommand],
    env: [
      { name: bootVariables.podName, valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: bootVariables.configDir, value: mountPaths.config },
      { name: bootVariables.spoolDir, value: mountPaths.spool },
    ],
    ports: [
      { name: "status", containerPort: STATUS_PORT, protocol: "TCP" },
      // Unnamed: a listener's name may be longer than the 15 characters a port's may have.
      ...relay.spec.listeners.map(({ port }) => ({ containerPort: containerPort(port), protocol: "TCP" })),
    ],
    // Reading a long queue back takes time: five minutes before the liveness probe counts.
    startupProbe: { ...probe(statusPaths.health), periodSeconds: 2, failureThreshold: 150 },
    livenessProbe: {
      ...probe(statusPaths.health),
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 6,
    },
    readinessProbe: { ...probe(statusPaths.ready), periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 2 },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [
      // A folder, never subPath: only a whole mount follows changes.
      { name: "config", mountPath: mountPaths.config, readOnly: true },
      { name: "spool", mountPath: mountPaths.spool },
      { name: "tmp", mountPath: "/tmp" },
    ],
  };
}

function spoolClaim({ metadata, spec }: SmtpRelay): Record<string, unknown> {
  return {
    metadata: { name: "spool", labels: podSelector(metadata.name) },
    spec: {
      accessModes: ["ReadWriteOnce"],
      ...(spec.storage.className === undefined ? {} : { storageClassName: spec.storage.className }),
      resources: { requests: { storage: spec.storage.size } },
    },
  };
}
