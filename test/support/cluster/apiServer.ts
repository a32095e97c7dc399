/**
 * A real API server for tests: etcd and kube-apiserver of our own on loopback, RBAC on, tokens drawn for
 * several identities. Ready in seconds. Either half can be stopped and started again and keeps its data.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePort, type Program } from "../peers/program.ts";
import { apiServerFlags, etcdFlags, writeFiles } from "./apiServerFlags.ts";
import { type AuditEvent, type AuditScope, readAudit } from "./audit.ts";
import { programPath } from "./binaries.ts";
import {
  type Identities,
  type IdentityName,
  kubeconfigText,
  makeIdentities,
  type ServiceAccountNames,
} from "./identities.ts";
import { RawApi } from "./rawApi.ts";
import { startTied } from "./tied.ts";

export interface ApiServerOptions {
  /** Where to listen: loopback, or the address of a bridge that pods reach. */
  readonly address?: string;
  readonly audit?: AuditScope;
  /** ServiceAccounts that the identities `operator` and `relay` stand for. */
  readonly operator?: ServiceAccountNames;
  readonly relay?: ServiceAccountNames;
  /** Where to make the folder of its files; the system's temporary folder when left out. */
  readonly parent?: string;
  /** More flags for kube-apiserver, which win. */
  readonly flags?: readonly string[];
}

export type Half = "etcd" | "kube-apiserver";

export interface ApiServer extends AsyncDisposable {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** Of the server itself; removed with it. */
  readonly directory: string;
  readonly identities: Identities;
  /** Signs tokens of ServiceAccounts: for the controller manager. */
  readonly serviceAccountKeyFile: string;
  readonly caFile: string;
  /** As admin. */
  readonly admin: RawApi;
  as(identity: IdentityName): RawApi;
  kubeconfig(identity: IdentityName): string;
  /** Path of a kubeconfig, for programs. */
  kubeconfigFile(identity: IdentityName): string;
  audited(): readonly AuditEvent[];
  /** Ends one half: at once with SIGKILL, else in its own order. */
  halt(half: Half, signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Starts a half that was ended, on its old port with its old data; resolves when it answers. */
  resume(half: Half): Promise<void>;
  /** Process id of a half; null while it is ended. */
  pid(half: Half): number | null;
  output(half: Half): string;
}

const READY_WITHIN_MS = 90_000;

/** The programs must be there: ask providePrograms(apiServerPrograms) first. */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  for (let attempt = 1; ; attempt += 1) {
    const directory = mkdtempSync(join(options.parent ?? tmpdir(), "api-server-"));
    try {
      return await start(directory, options);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      // Somebody took a port between our finding it free and using it.
      if (attempt < 3 && String(error).includes("address already in use")) continue;
      throw error;
    }
  }
}

async function start(directory: string, options: ApiServerOptions): Promise<ApiServer> {
  const address = options.address ?? "127.0.0.1";
  const ports = { client: await freePort(), peer: await freePort(), api: await freePort(address) };
  const url = `https://${address}:${ports.api}`;
  const identities = makeIdentities(
    options.operator ?? { namespace: "smtp-relay-operator", name: "smtp-relay-operator" },
    options.relay ?? { namespace: "default", name: "mail" },
  );
  const files = writeFiles(directory, identities, options.audit);
  const commands: Readonly<Record<Half, readonly string[]>> = {
    etcd: etcdFlags(directory, ports),
    "kube-apiserver": [...apiServerFlags(address, ports, files), ...(options.flags ?? [])],
  };
  const running = new Map<Half, Program>();
  const clients = new Map<IdentityName, RawApi>();

  const halt = async (half: Half, signal: "SIGTERM" | "SIGKILL" = "SIGTERM") => {
    const program = running.get(half);
    if (program === undefined) return;
    if (signal === "SIGKILL") program.child.kill(signal);
    await program.stop();
    running.delete(half);
  };
  const stop = async () => {
    for (const client of clients.values()) client[Symbol.dispose]();
    // The API server first: it complains long and loud about an etcd that is gone.
    await halt("kube-apiserver", "SIGKILL");
    await halt("etcd", "SIGKILL");
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  const resume = async (half: Half) => {
    if (running.has(half)) return;
    const program = startTied(programPath(half), commands[half]);
    running.set(half, program);
    const ready = half === "etcd" ? () => etcdAnswers(ports.client) : () => apiServerAnswers(url, files.ca);
    await untilReady(half, program, ready);
  };
  try {
    await resume("etcd");
    await resume("kube-apiserver");
  } catch (error) {
    await stop();
    throw error;
  }

  const ca = readFileSync(files.ca, "utf8");
  const as = (name: IdentityName): RawApi => {
    const client = clients.get(name) ?? new RawApi(url, ca, identities[name].token);
    clients.set(name, client);
    return client;
  };
  const kubeconfig = (name: IdentityName) => kubeconfigText(url, ca, identities[name]);
  return {
    url,
    ca,
    directory,
    identities,
    serviceAccountKeyFile: files.serviceAccountKey,
    caFile: files.ca,
    admin: as("admin"),
    as,
    kubeconfig,
    kubeconfigFile(name) {
      const path = join(directory, `${name}.kubeconfig`);
      // Once: a program that is just starting must not find it half written.
      if (!existsSync(path)) writeFileSync(path, kubeconfig(name), { mode: 0o600 });
      return path;
    },
    audited() {
      if (options.audit === undefined) throw new Error("Cannot read the audit log: it was not asked for.");
      return existsSync(files.auditLog) ? readAudit(files.auditLog) : [];
    },
    halt,
    resume,
    pid: (half) => running.get(half)?.child.pid ?? null,
    output: (half) => running.get(half)?.output() ?? "",
    [Symbol.asyncDispose]: stop,
  };
}

async function etcdAnswers(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2000) });
  return response.ok;
}

async function apiServerAnswers(url: string, caFile: string): Promise<boolean> {
  using api = new RawApi(url, readFileSync(caFile, "utf8"), "none");
  // Without a valid token the answer would be 401; anonymous callers may ask for this one.
  const reply = await api.request("GET", "/readyz", { seconds: 2, anonymous: true });
  return reply.code === 200;
}

async function untilReady(half: Half, program: Program, ready: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS;
  while (performance.now() < deadline) {
    if (program.child.exitCode !== null || program.child.signalCode !== null) break;
    if (await ready().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await program.stop();
  throw new Error(`Cannot start ${half}: it is not ready.\n${program.output().slice(-4000)}`);
}
