/** The Pod object of a local pod: what scheduler and kubelet would write into it. Pure. */
import type { ApplyObject, OwnerReference } from "../adapters/kubeClient.ts";
import type { ContainerStatus } from "./container.ts";
import type { PodTemplate } from "./podTemplate.ts";

/** Kept until the process has ended, so that nobody takes the pod for gone before. */
export const PROCESS_FINALIZER = "local.smtprelay.dev/process";
/** Where ports tell pods apart: what is added to each of them. */
export const PORT_SHIFT_ANNOTATION = "local.smtprelay.dev/port-shift";

export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly ordinal: number;
  readonly owner: OwnerReference;
  readonly template: PodTemplate;
  /** Hash of the template. */
  readonly revision: string;
  /** Names of the claim templates; each pod has a folder for each. */
  readonly claims: readonly string[];
}

export function claimName(claim: string, pod: string): string {
  return `${claim}-${pod}`;
}

export function podObject(pod: PodIdentity, portShift: number): ApplyObject {
  const { labels, annotations } = pod.template.metadata;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: pod.name,
      namespace: pod.namespace,
      labels: {
        ...labels,
        "statefulset.kubernetes.io/pod-name": pod.name,
        "apps.kubernetes.io/pod-index": String(pod.ordinal),
        "controller-revision-hash": pod.revision,
      },
      annotations: { ...annotations, [PORT_SHIFT_ANNOTATION]: String(portShift) },
      ownerReferences: [pod.owner],
      finalizers: [PROCESS_FINALIZER],
    },
    spec: {
      ...pod.template.spec,
      nodeName: "local",
      hostname: pod.name,
      volumes: [
        ...pod.template.spec.volumes,
        ...pod.claims.map((name) => ({
          name,
          persistentVolumeClaim: { claimName: claimName(name, pod.name) },
        })),
      ],
    },
  };
}

/** `ip` null: it has no address yet. `waiting`: why no process was started yet. */
export function podStatus(
  pod: PodIdentity,
  facts: {
    readonly ip: string | null;
    readonly container: ContainerStatus;
    readonly waiting: string | null;
    readonly startedAt: string;
    /** When readiness last changed. */
    readonly readySince: string;
  },
): ApplyObject {
  const { ip, container, waiting } = facts;
  const runs = container.phase === "Running" || container.phase === "Stopping";
  const reason = waiting ?? container.reason;
  const condition = (type: string, holds: boolean) => ({
    type,
    status: holds ? "True" : "False",
    lastTransitionTime: facts.readySince,
    ...(holds || reason === "" ? {} : { reason: "NotReady", message: reason }),
  });
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: pod.name, namespace: pod.namespace },
    status: {
      phase: runs ? "Running" : "Pending",
      startTime: facts.startedAt,
      ...(ip === null ? {} : { podIP: ip, podIPs: [{ ip }], hostIP: "127.0.0.1" }),
      conditions: [condition("ContainersReady", container.ready), condition("Ready", container.ready)],
      containerStatuses: [
        {
          name: pod.template.spec.containers[0]?.name ?? "",
          ready: container.ready,
          restartCount: container.restarts,
          state: runs
            ? { running: { startedAt: facts.startedAt } }
            : { waiting: { reason: container.phase, message: reason } },
          ...(container.lastEnd === null ? {} : { lastState: { terminated: { reason: container.lastEnd } } }),
        },
      ],
    },
  };
}

/** What is sent when the process has ended: the same pod without what holds its deletion back. */
export function releasedPod(pod: PodIdentity, portShift: number): ApplyObject {
  const object = podObject(pod, portShift);
  return { ...object, metadata: { ...object.metadata, finalizers: [] } };
}
