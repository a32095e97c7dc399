/**
 * Relay pods of a real API server as processes of this machine, for faults that need no kubelet: local mode's
 * player of StatefulSets, over HTTP. Each pod has a loopback address of its own and mounts, probes, restarts and
 * volumes as local mode gives them; the Pod objects are the API server's.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createClusterClient } from "../../../operator/adapters/cluster/clusterClient.ts";
import { kubeConfigAccess } from "../../../operator/adapters/cluster/kubeConfigAccess.ts";
import type { KubeClient, ObjectKey, ResourceType } from "../../../operator/adapters/kubeClient.ts";
import { Notes } from "../../../operator/local/notes.ts";
import type { LocalPod } from "../../../operator/local/pod.ts";
import { PodAddresses } from "../../../operator/local/podAddresses.ts";
import { StateFolder } from "../../../operator/local/stateFolder.ts";
import { playStatefulSets } from "../../../operator/local/statefulSets.ts";
import { resources } from "../../../operator/resources.ts";
import { systemClock } from "../../../relay/kit/clock.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { systemRandom } from "../../../relay/kit/random.ts";
import { findProgram } from "../peers/debian.ts";
import type { ApiServer } from "./apiServer.ts";
import type { RawApi } from "./rawApi.ts";

export interface ProcessNode extends AsyncDisposable {
  pods(): readonly LocalPod[];
  /** Where ready pods of a relay take mail of a listener port. */
  addresses(namespace: string, relay: string): readonly string[];
}

const relayProgram = join(import.meta.dirname, "../../../relay/main.ts");

/** A namespace a pod can be made in: there is no controller that makes its ServiceAccount. */
export async function makeNamespace(api: RawApi, name: string): Promise<void> {
  await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  const metadata = { name: "default", namespace: name };
  await api.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata });
}

export async function startProcessNode(api: ApiServer): Promise<ProcessNode> {
  const folder = mkdtempSync(join(tmpdir(), "process-node-"));
  const state = new StateFolder(folder);
  const access = await kubeConfigAccess({ file: api.kubeconfigFile("admin") });
  const direct = createClusterClient({ access, clock: systemClock, random: systemRandom });
  const sets = await playStatefulSets({
    client: withoutGrace(direct, api.admin),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    state,
    addresses: new PodAddresses({
      notes: new Notes(state.notes),
      range: true,
      owner: folder,
      reserved: () => new Set(),
    }),
    adaptFile: (_name, bytes) => bytes,
    command: relayCommand(),
    onChange: () => {},
  });
  return {
    pods: () => sets.pods(),
    addresses: (namespace, relay) =>
      sets.pods().flatMap(({ identity, ready, place }) => {
        const ours = identity.namespace === namespace && identity.name.startsWith(`${relay}-`);
        return ours && ready && place !== null ? [place.ip] : [];
      }),
    async [Symbol.asyncDispose]() {
      // What they hold is of no interest any more.
      sets.kill();
      await sets.stop().catch(() => {});
      direct.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

/** Tied to this process where that can be (tied.ts). */
function relayCommand(): [string, ...string[]] {
  const setpriv = findProgram("setpriv");
  const relay: [string, string] = [process.execPath, relayProgram];
  return setpriv === undefined ? relay : [setpriv, "--pdeathsig", "KILL", "--", ...relay];
}

/** A pod on a node is deleted twice: by a user, and for good by its kubelet, who is played here. */
function withoutGrace(client: KubeClient, admin: RawApi): KubeClient {
  return {
    get: (type, key) => client.get(type, key),
    list: (type, options) => client.list(type, options),
    listVersions: (type, options) => client.listVersions(type, options),
    watch: (type, options) => client.watch(type, options),
    apply: (object, manager) => client.apply(object, manager),
    applyStatus: (object, manager) => client.applyStatus(object, manager),
    async delete(type: ResourceType, key: ObjectKey, precondition) {
      if (type !== resources.pods) return await client.delete(type, key, precondition);
      const path = `/api/v1/namespaces/${key.namespace}/pods/${key.name}`;
      const reply = await admin.request("DELETE", path, { query: { gracePeriodSeconds: "0" } });
      return reply.code === 200;
    },
  };
}
