/**
 * Volumes of the one node: a default StorageClass, and a loop that makes a `local` PersistentVolume for every
 * claim that has none and tidies up after deleted ones. `local`, since kubelet gives those the pod's group,
 * which it does not for hostPath: a container without root can write there.
 */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import type { KubeObject } from "../../../../operator/adapters/kubeClient.ts";
import { sleep, systemClock } from "../../../../relay/kit/clock.ts";
import { NODE_NAME } from "../identities.ts";
import type { RawApi } from "../rawApi.ts";

export const STORAGE_CLASS = "throw-away";
const MANAGED_BY = { "app.kubernetes.io/managed-by": "throw-away-cluster" };
const LOOK_EVERY_MS = 250;

interface Claim extends KubeObject {
  readonly spec: {
    readonly storageClassName?: string;
    readonly volumeName?: string;
    readonly accessModes: readonly string[];
    readonly resources: { readonly requests: { readonly storage: string } };
  };
}

interface Volume extends KubeObject {
  readonly spec: { readonly local?: { readonly path: string } };
  readonly status?: { readonly phase?: string };
}

/** Starts the loop; the result ends it and waits for the turn that runs. */
export async function startVolumes(api: RawApi, directory: string): Promise<() => Promise<void>> {
  const folder = join(directory, "volumes");
  mkdirSync(folder, { recursive: true });
  await api.apply({
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: STORAGE_CLASS, annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    provisioner: "kubernetes.io/no-provisioner",
    volumeBindingMode: "Immediate",
    reclaimPolicy: "Delete",
  });
  const ending = new AbortController();
  const run = async () => {
    while (!ending.signal.aborted) {
      // An API server that is away is part of some stories: the next turn tries again.
      await turn(api, folder).catch(() => {});
      await sleep(systemClock, LOOK_EVERY_MS, ending.signal);
    }
  };
  const running = run();
  return async () => {
    ending.abort();
    await running;
  };
}

async function turn(api: RawApi, folder: string): Promise<void> {
  const claims = (await api.list("v1", "PersistentVolumeClaim")) as readonly Claim[];
  const volumes = (await api.list("v1", "PersistentVolume")) as readonly Volume[];
  const names = new Set(volumes.map(({ metadata }) => metadata.name));
  for (const claim of claims) {
    if (claim.spec.storageClassName !== STORAGE_CLASS || claim.spec.volumeName !== undefined) continue;
    const name = `pvc-${claim.metadata.uid ?? ""}`;
    if (!names.has(name)) await makeVolume(api, join(folder, name), name, claim);
  }
  for (const { metadata, spec, status } of volumes) {
    const ours = metadata.labels?.["app.kubernetes.io/managed-by"] === "throw-away-cluster";
    // "Failed": nobody but this loop knows how to delete a local volume.
    if (!ours || !["Released", "Failed"].includes(status?.phase ?? "")) continue;
    await api.delete("v1", "PersistentVolume", metadata.name);
    if (spec.local !== undefined) rmSync(spec.local.path, { recursive: true, force: true });
  }
}

async function makeVolume(api: RawApi, path: string, name: string, claim: Claim): Promise<void> {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o770);
  const node = { key: "kubernetes.io/hostname", operator: "In", values: [NODE_NAME] };
  const { namespace, name: claimName, uid } = claim.metadata;
  await api.apply({
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name, labels: MANAGED_BY },
    spec: {
      capacity: { storage: claim.spec.resources.requests.storage },
      accessModes: claim.spec.accessModes,
      storageClassName: STORAGE_CLASS,
      persistentVolumeReclaimPolicy: "Delete",
      claimRef: {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        namespace,
        name: claimName,
        ...(uid !== undefined && { uid }),
      },
      local: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [node] }] } },
    },
  });
}
