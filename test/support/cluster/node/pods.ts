/** All pods ended while kubelet can still tear them down: sandbox, addresses, mounts. */
import type { RawApi } from "../rawApi.ts";

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
