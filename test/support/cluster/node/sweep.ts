/**
 * What a node leaves on its machine, taken away: containers and their shims, mounts, network namespaces, cgroups,
 * the rules of Services, links to logs. After an orderly end there is next to nothing to do; after a kill -9
 * there is all of it.
 */
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { findProgram } from "../../peers/debian.ts";
import { runProgram } from "../../peers/program.ts";
import { containerdPaths } from "./containerd.ts";
import { removeBridge } from "./network.ts";
import { allProcesses, endProcesses, withDescendants } from "./processTable.ts";

const CGROUPS = "/sys/fs/cgroup";
const CONTAINER_LOGS = "/var/log/containers";
/** No option moves these. */
const foreignFolders = [
  "/run/containerd",
  "/run/netns",
  "/var/lib/cni",
  "/var/lib/kubelet",
  "/var/log/containers",
  "/var/log/pods",
];
const MISSING = "missing-before.json";

/**
 * Notes which of the folders that kubelet and containerd insist on this machine does not have, before they make
 * them.
 */
export function noteMissingFolders(directory: string): void {
  const missing = foreignFolders.filter((folder) => !existsSync(folder));
  writeFileSync(join(directory, MISSING), JSON.stringify(missing));
}

/** Ends and removes everything of the node whose files are in `directory`, that folder included. */
export async function sweepNode(directory: string): Promise<void> {
  const bundles = bundlesOf(containerdPaths(directory).state);
  const namespaces = bundles.flatMap(networkNamespace);
  const shimSockets = bundles.flatMap(shimSocket);
  await endPrograms(directory);
  await unmountBelow(directory);
  for (const path of namespaces) await removeNamespace(path);
  for (const path of shimSockets) rmSync(path, { force: true });
  await removeServiceRules();
  await removeCgroups();
  removeLogLinks(directory);
  await removeBridge(directory);
  removeMadeFolders(directory);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Programs and shims name a file of this folder in their command lines; containers descend from shims. */
async function endPrograms(directory: string): Promise<void> {
  const named = allProcesses().filter(({ words }) => words.some((word) => word.includes(`${directory}/`)));
  const all = withDescendants(named);
  if (await endProcesses(all)) return;
  throw new Error(
    `Cannot end the programs of ${directory}: processes ${all.map(({ pid }) => pid).join(", ")}.`,
  );
}

function removeMadeFolders(directory: string): void {
  const file = join(directory, MISSING);
  if (!existsSync(file)) return;
  const missing = JSON.parse(readFileSync(file, "utf8")) as readonly string[];
  for (const folder of foreignFolders.filter((one) => missing.includes(one))) {
    rmSync(folder, { recursive: true, force: true });
  }
}

function bundlesOf(state: string): string[] {
  const folder = join(state, "io.containerd.runtime.v2.task", "k8s.io");
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

function networkNamespace(bundle: string): string[] {
  const file = join(bundle, "config.json");
  if (!existsSync(file)) return [];
  const { linux } = JSON.parse(readFileSync(file, "utf8")) as {
    linux?: { namespaces?: readonly { type: string; path?: string }[] };
  };
  const path = linux?.namespaces?.find(({ type }) => type === "network")?.path;
  return path?.includes("/netns/cni-") === true ? [path] : [];
}

function shimSocket(bundle: string): string[] {
  const file = join(bundle, "address");
  if (!existsSync(file)) return [];
  const path = readFileSync(file, "utf8").trim().replace("unix://", "");
  return path.startsWith("/run/containerd/s/") ? [path] : [];
}

/** Its interfaces go with it. */
async function removeNamespace(path: string): Promise<void> {
  if (!existsSync(path)) return;
  await runProgram("umount", [path]).catch(() => {});
  rmSync(path, { force: true });
}

/** Deepest first; what is in use goes as soon as it is not. */
async function unmountBelow(directory: string): Promise<void> {
  const below = mounts().filter((path) => path.startsWith(`${directory}/`));
  for (const path of below.toReversed()) {
    await runProgram("umount", [path]).catch(async () => await runProgram("umount", ["-l", path]));
  }
}

export function mounts(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4])
    .filter((path) => path !== undefined)
    .map((path) =>
      path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    );
}

async function removeServiceRules(): Promise<void> {
  const nft = findProgram("nft");
  if (nft === undefined) return;
  const tables = await runProgram(nft, ["list", "tables"]);
  for (const family of ["ip", "ip6"]) {
    if (tables.includes(`table ${family} kube-proxy\n`)) {
      await runProgram(nft, ["delete", "table", family, "kube-proxy"]);
    }
  }
}

/** Folders that kubelet makes for its pods, under each hierarchy (cgroup v1) or the one (v2). */
export function podCgroups(): string[] {
  const hierarchies = readdirSync(CGROUPS, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(CGROUPS, name));
  return [CGROUPS, ...hierarchies]
    .map((folder) => join(folder, "kubepods"))
    .filter((path) => existsSync(path));
}

async function removeCgroups(): Promise<void> {
  // A cgroup is busy for a moment after its last process has ended.
  for (let attempt = 0; attempt < 100 && podCgroups().length > 0; attempt += 1) {
    for (const folder of podCgroups()) removeCgroup(folder);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function removeCgroup(folder: string): void {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) removeCgroup(join(folder, entry.name));
    }
    rmdirSync(folder);
  } catch {
    // Busy, or gone already: the caller looks again.
  }
}

function removeLogLinks(directory: string): void {
  if (!existsSync(CONTAINER_LOGS)) return;
  for (const name of readdirSync(CONTAINER_LOGS)) {
    const link = join(CONTAINER_LOGS, name);
    if (readlinkSync(link).startsWith(`${directory}/`)) rmSync(link);
  }
}
