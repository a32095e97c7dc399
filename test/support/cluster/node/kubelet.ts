/** kubelet and kube-proxy of the one node: configuration and start. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { freePort, type Program } from "../../peers/program.ts";
import type { ApiServer } from "../apiServer.ts";
import { programPath } from "../binaries.ts";
import { NODE_NAME } from "../identities.ts";
import { NODE_ADDRESS, POD_RANGE } from "./network.ts";
import { startTied } from "../tied.ts";

/** Started at once; the node is ready when the API server says so. */
export async function startKubelet(api: ApiServer, directory: string, socket: string): Promise<Program> {
  const root = join(directory, "kubelet");
  mkdirSync(root, { recursive: true });
  const resolver = join(root, "resolv.conf");
  // Pods that ask the machine's resolver would ask the world.
  writeFileSync(resolver, `nameserver ${NODE_ADDRESS}\n`);
  const configuration = {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: NODE_ADDRESS,
    port: await freePort(NODE_ADDRESS),
    healthzBindAddress: "127.0.0.1",
    healthzPort: await freePort(),
    // Reached over the bridge only, by the API server that shows logs and runs exec.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    failCgroupV1: false,
    cgroupDriver: "cgroupfs",
    failSwapOn: false,
    enforceNodeAllocatable: [],
    containerRuntimeEndpoint: `unix://${socket}`,
    resolvConf: resolver,
    imageGCHighThresholdPercent: 100,
    // A small disk is no reason to end a test's pods.
    evictionHard: { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
    syncFrequency: "5s",
    makeIPTablesUtilChains: false,
    podLogsDir: join(directory, "pod-logs"),
    volumePluginDir: join(root, "volume-plugins"),
  };
  const file = join(root, "config.json");
  writeFileSync(file, JSON.stringify(configuration));
  return startTied(programPath("kubelet"), [
    `--config=${file}`,
    `--kubeconfig=${api.kubeconfigFile("kubelet")}`,
    `--root-dir=${root}`,
    `--cert-dir=${join(root, "pki")}`,
    `--hostname-override=${NODE_NAME}`,
    // The bridge's: kubelet refuses a loopback address.
    `--node-ip=${NODE_ADDRESS}`,
  ]);
}

export async function startKubeProxy(api: ApiServer, directory: string): Promise<Program> {
  const file = kubeProxyConfiguration(directory);
  const configuration = {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig: api.kubeconfigFile("kubeProxy") },
    mode: "nftables",
    clusterCIDR: POD_RANGE,
    hostnameOverride: NODE_NAME,
    healthzBindAddress: `127.0.0.1:${await freePort()}`,
    metricsBindAddress: `127.0.0.1:${await freePort()}`,
    // The table of connections belongs to the machine.
    conntrack: { maxPerCore: 0, min: 0 },
  };
  writeFileSync(file, JSON.stringify(configuration));
  return startTied(programPath("kube-proxy"), [`--config=${file}`]);
}

export function kubeProxyConfiguration(directory: string): string {
  return join(directory, "kube-proxy.json");
}
