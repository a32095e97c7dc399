/**
 * The throw-away cluster: a real Kubernetes of one node on this machine, without a container engine. API server,
 * controllers and scheduler, kubelet with containerd, Services by kube-proxy, volumes. Needs Linux and root;
 * takes everything away again.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { installPeers } from "../peers/debian.ts";
import { type Program, runProgram } from "../peers/program.ts";
import { type ApiServer, type ApiServerOptions, startApiServer } from "./apiServer.ts";
import { programPath, providePrograms, type Provision } from "./binaries.ts";
import { condition } from "./crds.ts";
import { type IdentityName, NODE_NAME } from "./identities.ts";
import { startContainerd } from "./node/containerd.ts";
import { startKubelet, startKubeProxy } from "./node/kubelet.ts";
import { bridgeExists, makeBridge, NODE_ADDRESS, writeCniConfiguration } from "./node/network.ts";
import { nodePackages } from "./node/packages.ts";
import { providePauseImage } from "./node/pauseImage.ts";
import { deleteAllPods, podProcesses } from "./node/pods.ts";
import type { ProcessId } from "./node/processTable.ts";
import { clearLeftovers, forgetRecord, writeRecord } from "./node/record.ts";
import { noteMissingFolders, podCgroups, sweepNode } from "./node/sweep.ts";
import { startVolumes } from "./node/volumes.ts";
import { takeLock } from "./machineLock.ts";
import type { ClusterProgram } from "./programs.ts";
import { startTied } from "./tied.ts";

export interface ClusterOptions extends Omit<ApiServerOptions, "address" | "parent"> {
  /** OCI archives to import; their images keep the names written in them. */
  readonly images?: readonly string[];
  readonly print?: (line: string) => void;
  /** How long to wait for another process that runs the one node of this machine; 20 minutes by default. */
  readonly patienceSeconds?: number;
}

export type ClusterPart =
  | "containerd"
  | "kube-controller-manager"
  | "kube-scheduler"
  | "kubelet"
  | "kube-proxy";

export interface Cluster extends AsyncDisposable {
  /** Stop and start its halves, read its audit log, call it as any identity. */
  readonly api: ApiServer;
  /** Where node ports and the API server answer. */
  readonly nodeAddress: string;
  importImages(archive: string): Promise<void>;
  /** A second name for an image that is there: a new tag of the same release. */
  nameImage(name: string, more: string): Promise<void>;
  /** Standard output; a refusal throws with what kubectl said. As admin unless told otherwise. */
  kubectl(words: readonly string[], options?: { input?: string; as?: IdentityName }): Promise<string>;
  /** As admin. */
  helm(words: readonly string[], seconds?: number): Promise<string>;
  /** Processes of the pod's containers, its sandbox apart: to send signals to. Empty when it has none. */
  podProcesses(namespace: string, name: string): Promise<readonly ProcessId[]>;
  /** What a part printed last, for reports of failures. */
  output(part: ClusterPart): string;
}

export const nodePrograms: readonly ClusterProgram[] = [
  "etcd",
  "kube-apiserver",
  "kubectl",
  "kube-controller-manager",
  "kube-scheduler",
  "kubelet",
  "kube-proxy",
];

const READY_WITHIN_MS = 120_000;
const PATIENCE_SECONDS = 1200;

/** Makes sure of programs, packages and rights; the reason is one line. Builds and installs what is missing. */
export async function provideCluster(
  print: (line: string) => void,
  more: readonly ClusterProgram[] = [],
): Promise<Provision> {
  if (process.platform !== "linux")
    return { kind: "impossible", reason: "Cannot run a node: this is no Linux." };
  if (process.getuid?.() !== 0) {
    return { kind: "impossible", reason: "Cannot run a node: kubelet and containerd need root." };
  }
  const installation = installPeers(print, nodePackages);
  if (installation.kind === "impossible") {
    return { kind: "impossible", reason: `Cannot run a node: ${installation.reason}` };
  }
  const provision = await providePrograms([...nodePrograms, ...more], { print });
  if (provision.kind === "impossible") return provision;
  try {
    await providePauseImage();
  } catch (error) {
    return { kind: "impossible", reason: error instanceof Error ? error.message : String(error) };
  }
  return provision;
}

/** Up to Ready in some ten seconds. Ask provideCluster first. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const print = options.print ?? (() => {});
  const seconds = options.patienceSeconds ?? PATIENCE_SECONDS;
  const waiting = () => print("waiting for another process that runs a node on this machine …");
  const release = await takeLock("the node of this machine", { waiting, seconds });
  try {
    if (await clearLeftovers()) print("took away what a former cluster had left");
    if (bridgeExists() || podCgroups().length > 0) {
      throw new Error("Cannot start a node: this machine runs pods already that are not ours.");
    }
  } catch (error) {
    release();
    throw error;
  }
  const parts = new Parts(mkdtempSync(join(tmpdir(), "cluster-")), release);
  try {
    return await bringUp(parts, options, print);
  } catch (error) {
    // What cannot be taken away now stays written down, and the next start tries again.
    await parts.takeDown().catch((second: unknown) => print(String(second)));
    throw error;
  }
}

/** What runs, in the order in which it was started. */
class Parts {
  readonly directory: string;
  readonly programs = new Map<ClusterPart, Program>();
  api: ApiServer | null = null;
  endVolumes: (() => Promise<void>) | null = null;
  readonly #release: () => void;
  #down = false;

  constructor(directory: string, release: () => void) {
    this.directory = directory;
    this.#release = release;
    writeRecord(directory);
    noteMissingFolders(directory);
  }

  async takeDown(): Promise<void> {
    if (this.#down) return;
    this.#down = true;
    try {
      // Who makes pods ends first, then the pods, then who runs them.
      for (const part of ["kube-controller-manager", "kube-scheduler"] as const) await this.#end(part);
      if (this.api !== null && this.programs.has("kubelet")) await deleteAllPods(this.api.admin);
      await this.endVolumes?.();
      for (const part of ["kube-proxy", "kubelet", "containerd"] as const) await this.#end(part);
      await this.api?.[Symbol.asyncDispose]();
      await sweepNode(this.directory);
      forgetRecord();
    } finally {
      this.#release();
    }
  }

  async #end(part: ClusterPart): Promise<void> {
    await this.programs.get(part)?.stop();
    this.programs.delete(part);
  }
}

async function bringUp(
  parts: Parts,
  options: ClusterOptions,
  print: (line: string) => void,
): Promise<Cluster> {
  const { directory } = parts;
  await makeBridge(directory);
  // The API server's Service leads pods to the bridge's address.
  const api = await startApiServer({ ...options, address: NODE_ADDRESS, parent: directory });
  parts.api = api;
  print(`API server answers at ${api.url}`);
  const runtime = await startContainerd(directory, writeCniConfiguration(directory));
  parts.programs.set("containerd", runtime.program);
  for (const archive of [await providePauseImage(), ...(options.images ?? [])]) {
    await runtime.importImages(archive);
  }
  parts.programs.set("kubelet", await startKubelet(api, directory, runtime.socket));
  parts.programs.set("kube-proxy", await startKubeProxy(api, directory));
  parts.programs.set("kube-controller-manager", startControllerManager(api));
  parts.programs.set(
    "kube-scheduler",
    startTied(programPath("kube-scheduler"), [
      `--kubeconfig=${api.kubeconfigFile("scheduler")}`,
      "--leader-elect=false",
      "--secure-port=0",
    ]),
  );
  parts.endVolumes = await startVolumes(api.admin, directory);
  await untilReady(api, parts);
  print("node is ready");

  const call = async (
    program: ClusterProgram,
    words: readonly string[],
    as: IdentityName,
    more: { input?: string; seconds?: number } = {},
  ) => {
    const env = { ...process.env, KUBECONFIG: api.kubeconfigFile(as), HOME: directory };
    return await runProgram(programPath(program), words, { env, ...more });
  };
  return {
    api,
    nodeAddress: NODE_ADDRESS,
    importImages: async (archive) => await runtime.importImages(archive),
    nameImage: async (name, more) => await runtime.nameImage(name, more),
    kubectl: async (words, { input, as = "admin" } = {}) =>
      await call("kubectl", words, as, input === undefined ? {} : { input }),
    helm: async (words, seconds = 120) => await call("helm", words, "admin", { seconds }),
    async podProcesses(namespace, name) {
      const pod = await api.admin.get("v1", "Pod", name, namespace);
      return pod?.metadata.uid === undefined ? [] : podProcesses(pod.metadata.uid);
    },
    output: (part) => parts.programs.get(part)?.output() ?? "",
    [Symbol.asyncDispose]: async () => await parts.takeDown(),
  };
}

function startControllerManager(api: ApiServer): Program {
  return startTied(programPath("kube-controller-manager"), [
    `--kubeconfig=${api.kubeconfigFile("controllerManager")}`,
    "--leader-elect=false",
    "--secure-port=0",
    // Each controller with a ServiceAccount and the rights of its own, as in other clusters.
    "--use-service-account-credentials=true",
    `--service-account-private-key-file=${api.serviceAccountKeyFile}`,
    `--root-ca-file=${api.caFile}`,
  ]);
}

/** Node Ready, and the ServiceAccount that every pod of the namespace `default` needs. */
async function untilReady(api: ApiServer, parts: Parts): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS;
  let last = "";
  while (performance.now() < deadline) {
    const ended = [...parts.programs].find(([, { child }]) => child.exitCode !== null);
    if (ended !== undefined) throw new Error(`Cannot start ${ended[0]}:\n${ended[1].output().slice(-4000)}`);
    const node = await api.admin.get("v1", "Node", NODE_NAME);
    const account = await api.admin.get("v1", "ServiceAccount", "default", "default");
    last = `node ${node === null ? "absent" : (condition(node, "Ready") ?? "unknown")}, account ${account === null ? "absent" : "there"}`;
    if (account !== null && node !== null && condition(node, "Ready") === "True") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const outputs = [...parts.programs].map(
    ([name, program]) => `--- ${name}\n${program.output().slice(-2000)}`,
  );
  throw new Error(`Cannot start the node: ${last}\n${outputs.join("\n")}`);
}
