/**
 * The place of the operator's benchmark: a network and a mount namespace of its own, so that the operator can
 * run exactly as shipped. In it port 53 is free for a name server that /etc/resolv.conf names, any address of
 * POD_NETWORK reaches this machine, and a pod's ServiceAccount lies where a pod expects it. Nothing of it is
 * seen outside, and all of it is gone with the last process.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { SERVICE_ACCOUNT_FOLDER } from "../../../operator/adapters/cluster/inClusterAccess.ts";
import { runProgram } from "../../support/peers/program.ts";

const INSIDE = "SMTP_RELAY_BENCH_INSIDE";
/** Addresses of pods; every one of them is this machine (AnyIP). */
export const POD_NETWORK = "10.64.0.0/16";

export function isInside(): boolean {
  return process.env[INSIDE] === "yes";
}

/** Null when namespaces can be made; else why not. */
export function cannotEnter(): string | null {
  if (process.platform !== "linux") return "it needs Linux, for network namespaces.";
  if (process.getuid?.() !== 0) return "network namespaces are made as root only. Run it as root.";
  const made = spawnSync("unshare", ["--net", "--mount", "true"]);
  return made.status === 0 ? null : "this machine makes no network namespaces (unshare --net --mount).";
}

/** Runs this program again inside; resolves with its exit code. */
export async function enter(words: readonly string[]): Promise<number> {
  const child = spawn("unshare", ["--net", "--mount", "--kill-child", "--fork", process.execPath, ...words], {
    stdio: "inherit",
    env: { ...process.env, [INSIDE]: "yes" },
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

/** Once inside: loopback up, pod addresses, our own resolver. `folder` holds what is mounted over. */
export async function furnish(folder: string): Promise<void> {
  const resolver = join(folder, "resolv.conf");
  writeFileSync(resolver, "nameserver 127.0.0.1\n");
  await runProgram("ip", ["link", "set", "lo", "up"]);
  await runProgram("ip", ["route", "add", "local", POD_NETWORK, "dev", "lo"]);
  await runProgram("mount", ["--bind", resolver, "/etc/resolv.conf"]);
}

/** Puts the ServiceAccount of the operator's pod in its place. */
export async function giveServiceAccount(files: {
  readonly token: string;
  readonly ca: string;
  readonly namespace: string;
}): Promise<void> {
  // A file system of our own over /run: nothing is written to the machine's.
  await runProgram("mount", ["-t", "tmpfs", "tmpfs", "/run"]);
  mkdirSync(SERVICE_ACCOUNT_FOLDER, { recursive: true });
  writeFileSync(join(SERVICE_ACCOUNT_FOLDER, "token"), files.token, { mode: 0o600 });
  writeFileSync(join(SERVICE_ACCOUNT_FOLDER, "ca.crt"), files.ca);
  writeFileSync(join(SERVICE_ACCOUNT_FOLDER, "namespace"), files.namespace);
}
