/**
 * Pods as the node sees them: their processes; and all of them ended while kubelet can still tear them down
 * (sandbox, addresses, mounts).
 */
import { readFileSync } from "node:fs";

import type { RawApi } from "../rawApi.ts";
import { allProcesses, type ProcessId } from "./processTable.ts";

const GONE_WITHIN_MS = 30_000;

/** Asks for it and waits. Best effort and bounded: what stays is swept up by force. */
export async function deleteAllPods(api: RawApi): Promise<void> {
  const deadline = performance.now() + GONE_WITHIN_MS;
  let asked: ReadonlySet<string> = new Set();
  while (performance.now() < deadline) {
    const pods = await api.list("v1", "Pod").catch(() => null);
    // An API server that is away cannot be asked.
    if (pods === null || pods.length === 0) return;
    for (const { metadata } of pods.filter((pod) => !asked.has(pod.metadata.uid ?? ""))) {
      const { namespace = "default", name } = metadata;
      const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
      // Finalizers would wait for who is gone already.
      const free = { body: { metadata: { finalizers: null } }, contentType: "application/merge-patch+json" };
      await api.request("DELETE", path, { query: { gracePeriodSeconds: "1" } }).catch(() => {});
      await api.request("PATCH", path, free).catch(() => {});
    }
    asked = new Set(pods.map(({ metadata }) => metadata.uid ?? ""));
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Processes whose cgroup is the pod's, without the one that holds its namespaces. */
export function podProcesses(uid: string): readonly ProcessId[] {
  return allProcesses()
    .filter(({ pid, words }) => cgroupOf(pid).includes(`/pod${uid}/`) && words.join(" ").trim() !== "/pause")
    .map(({ pid, startedAt }) => ({ pid, startedAt }));
}

function cgroupOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return "";
  }
}
