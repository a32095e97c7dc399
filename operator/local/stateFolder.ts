/**
 * The folder in which local mode keeps all that must outlive it, and the lock that gives it to one
 * process at a time: two of them would both send what is queued.
 *
 *   lock                who runs here
 *   local.json          addresses and ports given out, so that the next start gives the same
 *   cluster/            objects: manifests as applied, Secrets, status (with the ramps)
 *   volumes/            the spools
 *   pods/               mounted configuration, admin socket
 *   logs/  status/  secrets/    to be read by people
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { codeOf } from "./files.ts";
import { identify, isAlive, processIdentity } from "./processes.ts";

export class StateFolder {
  readonly root: string;

  constructor(root: string) {
    this.root = resolve(root);
  }

  get cluster(): string {
    return join(this.root, "cluster");
  }
  get status(): string {
    return join(this.root, "status");
  }
  get secrets(): string {
    return join(this.root, "secrets");
  }
  get notes(): string {
    return join(this.root, "local.json");
  }
  get refusals(): string {
    return join(this.root, "status", "refusals.txt");
  }
  get pods(): string {
    return join(this.root, "pods");
  }
  pod(namespace: string, name: string): string {
    return join(this.pods, folderName(namespace, name));
  }
  volume(namespace: string, claim: string): string {
    return join(this.root, "volumes", folderName(namespace, claim));
  }
  log(namespace: string, pod: string): string {
    return join(this.root, "logs", `${folderName(namespace, pod)}.log`);
  }
}

/** Object names hold no underscore, so that no two objects share a folder. */
export function folderName(namespace: string, name: string): string {
  return namespace === "default" ? name : `${namespace}_${name}`;
}

export interface Lock {
  release(): void;
}

/**
 * Takes the folder for this process. Throws when another one has it, and when the folder cannot be
 * written. A lock whose process has ended is taken over.
 */
export function lockStateFolder(state: StateFolder): Lock {
  const path = join(state.root, "lock");
  const own = join(state.root, `lock.${process.pid}`);
  try {
    mkdirSync(state.root, { recursive: true, mode: 0o700 });
    writeFileSync(own, JSON.stringify(identify(process.pid)), { mode: 0o600 });
  } catch (cause) {
    throw new Error(
      `Cannot use the state folder ${state.root}: ${codeOf(cause)}. Name another one with --state.`,
      { cause },
    );
  }
  try {
    for (let tries = 0; tries < 5; tries++) {
      // A hard link is made by one process only, with its content complete.
      if (link(own, path)) return { release: () => rmSync(path, { force: true }) };
      const holder = readHolder(path);
      if (holder !== null && isAlive(holder)) {
        throw new Error(
          `Cannot use the state folder ${state.root}: process ${holder.pid} runs on it. Stop that one, or name another folder with --state.`,
        );
      }
      const stale = `${path}.stale.${process.pid}`;
      try {
        renameSync(path, stale);
      } catch {
        continue;
      }
      // Somebody else may have taken over between our look and our rename: then it gets it back.
      const moved = readHolder(stale);
      if (moved !== null && isAlive(moved)) link(stale, path);
      rmSync(stale, { force: true });
    }
    throw new Error(`Cannot lock the state folder ${state.root}: others keep taking the lock.`);
  } finally {
    rmSync(own, { force: true });
  }
}

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw new Error(`Cannot lock ${to}: ${codeOf(error)}`, { cause: error });
  }
}

function readHolder(path: string): { pid: number; startedAt: string } | null {
  try {
    return processIdentity.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}
