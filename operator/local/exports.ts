/**
 * What a person or a script may read while local mode runs: the status of each object as YAML, and the
 * connection settings of each credential as plain files, a file a key, as a mounted Secret looks.
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { stringify } from "yaml";

import type { KubeObject } from "../adapters/kubeClient.ts";
import { writeFileAtomic } from "./files.ts";
import { folderName, type StateFolder } from "./stateFolder.ts";

/** Brings both folders to what the objects say; writes only what differs. */
export function exportObjects(
  state: StateFolder,
  custom: readonly KubeObject[],
  secret: (namespace: string, name: string) => KubeObject | undefined,
): void {
  const statuses = new Map<string, string>();
  const secrets = new Map<string, string>();
  for (const object of custom) {
    const { name, namespace = "" } = object.metadata;
    statuses.set(
      join(state.status, `${object.kind}.${folderName(namespace, name)}.yaml`),
      statusText(object),
    );
    for (const secretName of credentialSecrets(object)) {
      const data = (secret(namespace, secretName)?.["data"] ?? {}) as Record<string, string>;
      for (const [key, value] of Object.entries(data)) {
        const path = join(state.secrets, folderName(namespace, secretName), key);
        secrets.set(path, Buffer.from(value, "base64").toString("utf8"));
      }
    }
  }
  bring(state.status, statuses, (path) => path.endsWith(".yaml"));
  bring(state.secrets, secrets, () => true);
}

function statusText(object: KubeObject): string {
  const { name, namespace, generation, creationTimestamp } = object.metadata;
  return stringify(
    {
      apiVersion: object.apiVersion,
      kind: object.kind,
      metadata: { name, namespace, generation, creationTimestamp },
      status: object["status"] ?? {},
    },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

function credentialSecrets(object: KubeObject): string[] {
  const status = (object["status"] ?? {}) as { credentials?: { secretName: string }[] };
  return (status.credentials ?? []).map(({ secretName }) => secretName);
}

function bring(root: string, wanted: ReadonlyMap<string, string>, ours: (path: string) => boolean): void {
  for (const [path, text] of wanted) {
    if (readText(path) !== text) writeFileAtomic(path, text, { durable: false });
  }
  const folders = new Set<string>();
  for (const path of filesBelow(root)) {
    if (!ours(path) || wanted.has(path)) continue;
    rmSync(path, { force: true });
    if (dirname(path) !== root) folders.add(dirname(path));
  }
  for (const folder of folders) {
    if (filesBelow(folder).length === 0) rmSync(folder, { recursive: true, force: true });
  }
}

function filesBelow(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && !basename(entry.name).endsWith(".tmp"))
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
