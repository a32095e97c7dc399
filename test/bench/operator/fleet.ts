/**
 * Relay pods that do not exist, for an operator that believes in them: plays StatefulSet controller and kubelet
 * at the API server, and answers `GET /report` at every pod's address as an idle relay would that has the
 * published configuration in force.
 */
import { createServer } from "node:http";
import { once } from "node:events";

import type { ClusterClient } from "../../../operator/adapters/cluster/clusterClient.ts";
import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import { MANAGED_BY, RELAY_LABEL } from "../../../operator/plan/labels.ts";
import { Informer } from "../../../operator/reconcile/informer.ts";
import { resources } from "../../../operator/resources.ts";
import { configFiles, STATUS_PORT, statusPaths } from "../../../relay/contract/endpoints.ts";
import type { RelayConfig } from "../../../relay/contract/config.ts";
import { type RelayReport, REPORT_VERSION } from "../../../relay/contract/report.ts";
import { systemClock } from "../../../relay/kit/clock.ts";
import { createLog } from "../../../relay/kit/log.ts";
import { systemRandom } from "../../../relay/kit/random.ts";

export interface Fleet extends AsyncDisposable {
  readonly pods: number;
  /** Reports given so far. */
  readonly reports: number;
}

interface Pod {
  readonly name: string;
  /** NAMESPACE/RELAY */
  readonly relay: string;
}

const MANAGER = "bench-kubelet";
const STARTED_AT = `${new Date().toISOString().slice(0, 19)}Z`;

export async function startFleet(client: ClusterClient): Promise<Fleet> {
  const configs = new Map<string, RelayConfig>();
  const podByAddress = new Map<string, Pod>();
  const addressByPod = new Map<string, string>();
  let reports = 0;
  let working: Promise<unknown> = Promise.resolve();
  const common = {
    client,
    clock: systemClock,
    random: systemRandom,
    log: createLog({
      clock: systemClock,
      level: "error",
      privacy: () => "Hashed",
      write: (line) => process.stderr.write(line),
    }),
    namespaces: null,
    shape: (object: KubeObject) => object,
  };
  const secrets = new Informer({
    ...common,
    type: resources.secrets,
    labels: { "app.kubernetes.io/managed-by": MANAGED_BY, "app.kubernetes.io/component": "config" },
  });
  secrets.onChange(({ after }) => {
    const object = after?.object;
    const relay = object?.metadata.labels?.[RELAY_LABEL];
    const encoded = (object?.["data"] as Record<string, string> | undefined)?.[configFiles.config];
    if (object === undefined || relay === undefined || encoded === undefined) return;
    const config = JSON.parse(Buffer.from(encoded, "base64").toString()) as RelayConfig;
    configs.set(`${object.metadata.namespace ?? ""}/${relay}`, config);
  });
  const sets = new Informer({
    ...common,
    type: resources.statefulSets,
    labels: { "app.kubernetes.io/managed-by": MANAGED_BY },
  });
  sets.onChange(({ after }) => {
    const set = after?.object;
    if (set === undefined) return;
    working = working
      .then(() => follow(set))
      .catch((error: unknown) => {
        process.stderr.write(`fleet: ${String(error)}\n`);
      });
  });

  const follow = async (set: KubeObject): Promise<void> => {
    const { namespace = "", name } = set.metadata;
    const { replicas = 1 } = set["spec"] as { replicas?: number };
    const missing = Array.from({ length: replicas }, (_, ordinal) => `${name}-${ordinal}`).filter(
      (pod) => !addressByPod.has(`${namespace}/${pod}`),
    );
    if (missing.length === 0) return;
    for (const pod of missing) {
      const number = addressByPod.size + 1;
      const ip = `10.64.${number >> 8}.${number & 255}`;
      addressByPod.set(`${namespace}/${pod}`, ip);
      podByAddress.set(ip, { name: pod, relay: `${namespace}/${name}` });
      await client.apply(podObject(set, pod), MANAGER);
      const status = {
        phase: "Running",
        podIP: ip,
        podIPs: [{ ip }],
        conditions: [{ type: "Ready", status: "True" }],
      };
      await client.applyStatus({ ...frame("v1", "Pod", namespace, pod), status }, MANAGER);
    }
    const status = {
      observedGeneration: set.metadata.generation,
      replicas,
      readyReplicas: replicas,
      availableReplicas: replicas,
      currentReplicas: replicas,
      updatedReplicas: replicas,
    };
    await client.applyStatus({ ...frame("apps/v1", "StatefulSet", namespace, name), status }, MANAGER);
  };

  const server = createServer((request, response) => {
    const pod = podByAddress.get(request.socket.localAddress?.replace("::ffff:", "") ?? "");
    if (pod === undefined || request.url !== statusPaths.report) {
      response.writeHead(404).end();
      return;
    }
    reports += 1;
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify(reportOf(pod.name, configs.get(pod.relay))));
  });
  server.listen(STATUS_PORT, "0.0.0.0");
  await once(server, "listening");
  secrets.start();
  sets.start();
  await Promise.all([secrets.synced, sets.synced]);
  return {
    get pods() {
      return addressByPod.size;
    },
    get reports() {
      return reports;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([secrets.stop(), sets.stop()]);
      await working;
      server.close();
      server.closeAllConnections();
    },
  };
}

function frame(apiVersion: string, kind: string, namespace: string, name: string) {
  return { apiVersion, kind, metadata: { namespace, name } };
}

function podObject(set: KubeObject, pod: string) {
  const { namespace = "", name } = set.metadata;
  const { template, volumeClaimTemplates = [] } = set["spec"] as {
    template: { metadata: { labels: Record<string, string> }; spec: { volumes?: readonly object[] } };
    volumeClaimTemplates?: readonly { metadata: { name: string } }[];
  };
  const owner = {
    apiVersion: set.apiVersion,
    kind: set.kind,
    name,
    uid: set.metadata.uid ?? "",
    controller: true,
  };
  return {
    ...frame("v1", "Pod", namespace, pod),
    metadata: { namespace, name: pod, labels: template.metadata.labels, ownerReferences: [owner] },
    spec: {
      ...template.spec,
      volumes: [
        ...(template.spec.volumes ?? []),
        ...volumeClaimTemplates.map((claim) => ({ name: claim.metadata.name, emptyDir: {} })),
      ],
    },
  };
}

/** A quiet relay's report: some mail left today by each of its sources, nothing waits. */
function reportOf(pod: string, config: RelayConfig | undefined): RelayReport {
  const at = `${new Date().toISOString().slice(0, 19)}Z`;
  const day = at.slice(0, 10);
  const sources = config?.pods.find(({ name }) => name === pod)?.sources ?? [];
  const providers = ["google", "microsoft", "yahoo"];
  return {
    version: REPORT_VERSION,
    pod,
    at,
    startedAt: STARTED_AT,
    appliedRevision: config?.revision ?? null,
    refusal: null,
    ready: config !== undefined,
    notReadyReason: config === undefined ? "no configuration yet" : "",
    queue: { messages: 0, recipients: 0, oldestSeconds: null, providers: [] },
    restraints: [],
    missingAddresses: [],
    loadedKeys: (config?.domains ?? []).flatMap(({ domain, dkim }) =>
      dkim.map(({ selector }) => `${domain}/${selector}`),
    ),
    usage: sources.flatMap(({ name }) =>
      [...providers, "total"].map((provider) => ({
        source: name,
        day,
        provider,
        used: provider === "total" ? 30 : 10,
        limit: null,
      })),
    ),
    usageSince: STARTED_AT,
    counters: sources.flatMap(({ name }) =>
      providers.map((provider) => ({
        source: name,
        provider,
        day,
        delivered: 10,
        deferred: 0,
        bounced: 0,
        blocked: 0,
      })),
    ),
    spool: { state: "Ok", reason: "" },
  };
}
