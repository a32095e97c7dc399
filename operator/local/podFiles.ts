/** The folders and files of one local pod: mounted Secrets, volumes, admin socket, log. */
import { createHash } from "node:crypto";
import { mkdirSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

import type { KubeObject } from "../adapters/kubeClient.ts";
import { swapFiles } from "./mounts.ts";
import { claimName, type PodIdentity } from "./podObject.ts";
import { secretMounts } from "./podTemplate.ts";
import type { StateFolder } from "./stateFolder.ts";

/** A unix socket's path is bounded by sun_path: 104 bytes on macOS, 108 on Linux, with the final NUL. */
const LONGEST_SOCKET_PATH = 100;

/** Changes a file between Secret and mount, for what this machine cannot give. */
export type AdaptFile = (name: string, bytes: Buffer) => Buffer;

export type MountResult =
  | { readonly kind: "mounted"; readonly changed: boolean }
  | { readonly kind: "missing"; readonly reason: string };

export class PodFiles {
  readonly adminSocket: string;
  readonly adminNote: string;
  readonly processNote: string;
  readonly log: string;
  readonly #pod: PodIdentity;
  readonly #root: string;
  readonly #state: StateFolder;
  readonly #adapt: AdaptFile;
  #sets = 0;

  constructor(state: StateFolder, pod: PodIdentity, adapt: AdaptFile) {
    this.#state = state;
    this.#pod = pod;
    this.#adapt = adapt;
    this.#root = state.pod(pod.namespace, pod.name);
    mkdirSync(this.#root, { recursive: true, mode: 0o700 });
    this.adminSocket = socketPath(this.#root);
    this.adminNote = join(this.#root, "admin.json");
    this.processNote = join(this.#root, "process.json");
    this.log = state.log(pod.namespace, pod.name);
  }

  /** Folder of each volume by its name; makes those that are not there. */
  folders(): Map<string, string> {
    const folders = new Map<string, string>();
    for (const { name } of this.#pod.template.spec.volumes) folders.set(name, this.#mount(name));
    for (const claim of this.#pod.claims) {
      folders.set(claim, this.#state.volume(this.#pod.namespace, claimName(claim, this.#pod.name)));
    }
    for (const folder of folders.values()) mkdirSync(folder, { recursive: true, mode: 0o700 });
    return folders;
  }

  /** Brings every Secret volume to what the Secrets hold now. `stamp` names the set. */
  mountSecrets(secret: (name: string) => KubeObject | undefined, stamp: string): MountResult {
    const volumes = new Map<string, Map<string, Buffer>>();
    for (const { volume, secretName, items, optional } of secretMounts(this.#pod.template)) {
      const files = volumes.get(volume) ?? new Map<string, Buffer>();
      volumes.set(volume, files);
      const found = secret(secretName);
      if (found === undefined) {
        if (optional) continue;
        return { kind: "missing", reason: `Secret ${secretName} does not exist yet` };
      }
      const data = (found["data"] ?? {}) as Record<string, string>;
      for (const { key, path } of items ?? Object.keys(data).map((name) => ({ key: name, path: name }))) {
        const value = data[key];
        if (value === undefined) {
          if (optional) continue;
          return { kind: "missing", reason: `Secret ${secretName} has no key ${key} yet` };
        }
        files.set(path, this.#adapt(path, Buffer.from(value, "base64")));
      }
    }
    let changed = false;
    for (const [volume, files] of volumes) {
      changed = swapFiles(this.#mount(volume), files, `${stamp}-${this.#sets++}`) || changed;
    }
    return { kind: "mounted", changed };
  }

  #mount(volume: string): string {
    return join(this.#root, "mounts", volume);
  }
}

/** Beside the mounts where the path is short enough; else under the system's temporary folder. */
function socketPath(root: string): string {
  const near = join(root, "admin.sock");
  if (Buffer.byteLength(near) <= LONGEST_SOCKET_PATH) return near;
  const owner = userInfo().uid;
  const name = createHash("sha256").update(root).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), `smtp-relay-${owner}-${name}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const at = statSync(folder);
  // Anyone may make folders there; one of somebody else would give him our admin socket.
  if (owner >= 0 && (at.uid !== owner || (at.mode & 0o077) !== 0)) {
    throw new Error(
      `Cannot keep the admin socket in ${folder}: it belongs to somebody else. Use a shorter --state.`,
    );
  }
  return join(folder, "admin.sock");
}
