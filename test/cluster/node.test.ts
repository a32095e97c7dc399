/**
 * The throw-away node does what a node does, so that a red cluster story means the operator: pods run, a Service
 * answers, a claim gets a volume a non-root container can write to; and all of it is gone afterwards.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import { type Cluster, provideCluster, startCluster } from "../support/cluster/cluster.ts";
import { BRIDGE } from "../support/cluster/node/network.ts";
import { PAUSE_IMAGE } from "../support/cluster/node/pauseImage.ts";
import { allProcesses } from "../support/cluster/node/processTable.ts";
import { mounts, podCgroups } from "../support/cluster/node/sweep.ts";

const forwarding = () => readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8");
const within = { timeout: 60_000, interval: 100 };
const before = { forwarding: forwarding(), mounts: mounts() };

let cluster: Cluster;

beforeAll(async () => {
  const provision = await provideCluster((line) => console.log(line));
  if (provision.kind === "impossible") throw new Error(provision.reason);
  cluster = await startCluster({ print: (line) => console.log(line) });
}, 3_600_000);

describe("the node", () => {
  test("a StatefulSet with a claim runs under restricted pod security, and writes to its volume", async () => {
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    await cluster.api.admin.apply({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "smoke", labels },
    });
    await cluster.api.admin.apply(statefulSet);

    await expect.poll(async () => await phase("web-0"), within).toBe("Running");
    await expect
      .poll(
        async () =>
          (await cluster.kubectl(["get", "statefulset", "-n", "smoke", "web", "-o", "wide"])).includes("1/1"),
        within,
      )
      .toBe(true);
    const claim = await cluster.api.admin.get("v1", "PersistentVolumeClaim", "data-web-0", "smoke");
    expect(claim).toMatchObject({ status: { phase: "Bound" }, spec: { storageClassName: "throw-away" } });
  });

  test("a Service leads to the pod", async () => {
    const service = await cluster.api.admin.apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web", namespace: "smoke" },
      spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
    });
    const { clusterIP } = service["spec"] as { clusterIP: string };

    await expect.poll(async () => await ask(clusterIP).catch(String), within).toBe("web-0\n");
  });

  test("kubectl logs and exec reach the node", async () => {
    expect(await cluster.kubectl(["exec", "-n", "smoke", "web-0", "--", "/pause", "-once"])).toBe("web-0\n");
    expect(await cluster.kubectl(["logs", "-n", "smoke", "web-0"])).toBe("web-0\n");
  });

  test("a pod reaches the API server through its Service, as its ServiceAccount", async () => {
    const ask = async () =>
      await cluster.kubectl([
        ...["exec", "-n", "smoke", "web-0", "--"],
        ...["/pause", "-ask=https://10.96.0.1/api/v1/namespaces/smoke/pods"],
      ]);
    expect(await ask()).toBe("403\n");

    await cluster.kubectl([
      ...["create", "rolebinding", "view", "-n", "smoke"],
      ...["--clusterrole=view", "--serviceaccount=smoke:default"],
    ]);
    await expect.poll(ask, within).toBe("200\n");
  });

  test("a process of a pod can be killed, and kubelet starts it anew", async () => {
    const [victim, ...others] = await cluster.podProcesses("smoke", "web-0");
    expect(others).toEqual([]);

    process.kill(victim?.pid ?? 0, "SIGKILL");

    await expect.poll(async () => await restarts("web-0"), within).toBe(1);
    await expect.poll(async () => await cluster.podProcesses("smoke", "web-0"), within).toHaveLength(1);
  });
});

describe("the end of the node", () => {
  test("leaves no process, mount, interface, cgroup or namespace", async () => {
    const { directory } = cluster.api;
    await cluster[Symbol.asyncDispose]();

    expect(leftovers(directory)).toEqual({
      ...before,
      programs: [],
      bridge: false,
      cgroups: [],
      namespaces: [],
    });
  }, 120_000);
});

afterAll(async () => await cluster[Symbol.asyncDispose]());

function leftovers(directory: string) {
  const programs = allProcesses().filter(({ words }) => words.some((word) => word.includes(directory)));
  const namespaces = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
  return {
    forwarding: forwarding(),
    mounts: mounts(),
    programs: programs.map(({ words }) => words.join(" ")),
    bridge: existsSync(`/sys/class/net/${BRIDGE}`),
    cgroups: podCgroups(),
    namespaces: namespaces.filter((name) => name.startsWith("cni-")),
  };
}

const statefulSet: KubeObject = {
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  metadata: { name: "web", namespace: "smoke" },
  spec: {
    serviceName: "web",
    replicas: 1,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: {
        automountServiceAccountToken: true,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 1000,
          fsGroup: 1000,
          seccompProfile: { type: "RuntimeDefault" },
        },
        containers: [
          {
            name: "web",
            image: PAUSE_IMAGE,
            args: ["-serve=:8080", "-write=/data/proof"],
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ["ALL"] },
            },
            readinessProbe: { httpGet: { path: "/", port: 8080 }, periodSeconds: 1 },
            volumeMounts: [{ name: "data", mountPath: "/data" }],
          },
        ],
      },
    },
    volumeClaimTemplates: [
      {
        metadata: { name: "data" },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
      },
    ],
  },
};

async function phase(pod: string): Promise<unknown> {
  const found = await cluster.api.admin.get("v1", "Pod", pod, "smoke");
  return (found?.["status"] as { phase?: string } | undefined)?.phase;
}

async function restarts(pod: string): Promise<number | undefined> {
  const found = await cluster.api.admin.get("v1", "Pod", pod, "smoke");
  const status = found?.["status"] as { containerStatuses?: readonly { restartCount: number }[] } | undefined;
  return status?.containerStatuses?.[0]?.restartCount;
}

async function ask(host: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const call = request({ host, port: 80, timeout: 2000, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve(text));
    });
    call.on("timeout", () => call.destroy(new Error("no answer")));
    call.on("error", reject);
    call.end();
  });
}
