/** How etcd and kube-apiserver of the tests are called: their files and their flags. */
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { auditPolicy, type AuditScope } from "./audit.ts";
import { type Identities, tokenFile } from "./identities.ts";

/** The first address of the range is the API server's own Service. */
export const SERVICE_RANGE = "10.96.0.0/16";

export interface ServerFiles {
  readonly certificates: string;
  readonly ca: string;
  readonly serviceAccountKey: string;
  readonly tokens: string;
  readonly auditPolicy: string | null;
  readonly auditLog: string;
}

/** Keys, tokens and policy of a server, in its folder. */
export function writeFiles(
  directory: string,
  identities: Identities,
  audit: AuditScope | undefined,
): ServerFiles {
  const certificates = join(directory, "certificates");
  mkdirSync(certificates);
  const files: ServerFiles = {
    certificates,
    // The server makes its certificate and the authority behind it in this folder, and keeps them.
    ca: join(certificates, "apiserver.crt"),
    serviceAccountKey: join(directory, "service-account.key"),
    tokens: join(directory, "tokens.csv"),
    auditPolicy: audit === undefined ? null : join(directory, "audit-policy.yaml"),
    auditLog: join(directory, "audit.log"),
  };
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = privateKey.export({ type: "pkcs1", format: "pem" });
  writeFileSync(files.serviceAccountKey, key, { mode: 0o600 });
  writeFileSync(files.tokens, tokenFile(identities), { mode: 0o600 });
  if (files.auditPolicy !== null && audit !== undefined) writeFileSync(files.auditPolicy, auditPolicy(audit));
  return files;
}

export interface Ports {
  readonly client: number;
  readonly peer: number;
  readonly api: number;
}

export function etcdFlags(directory: string, ports: Ports): string[] {
  const client = `http://127.0.0.1:${ports.client}`;
  const peer = `http://127.0.0.1:${ports.peer}`;
  return [
    `--data-dir=${join(directory, "etcd")}`,
    "--name=throw-away",
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=throw-away=${peer}`,
    // Nothing of this is to survive the machine.
    "--unsafe-no-fsync",
    "--log-level=warn",
  ];
}

export function apiServerFlags(address: string, ports: Ports, files: ServerFiles): string[] {
  const loopback = address.startsWith("127.");
  return [
    `--etcd-servers=http://127.0.0.1:${ports.client}`,
    `--bind-address=${address}`,
    `--secure-port=${ports.api}`,
    `--cert-dir=${files.certificates}`,
    // An endpoint may not be a loopback address; nobody uses this one when there is no node.
    `--advertise-address=${loopback ? "192.0.2.1" : address}`,
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    "--authorization-mode=Node,RBAC",
    `--token-auth-file=${files.tokens}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${files.serviceAccountKey}`,
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    "--allow-privileged=true",
    "--kubelet-preferred-address-types=InternalIP",
    // A server that is to end has no load balancer to wait for.
    "--shutdown-delay-duration=0s",
    ...(files.auditPolicy === null
      ? []
      : [`--audit-policy-file=${files.auditPolicy}`, `--audit-log-path=${files.auditLog}`]),
  ];
}
