/**
 * Keeps the in-memory cluster on disk: a file for each object, with who owns which of its fields.
 *
 *   cluster/format          version of this layout
 *   cluster/Secret/mail-app.json, cluster/IpPool/default.json …
 *
 * Each write is on stable storage before anyone sees the object: a key that signs, a password that was
 * handed out, a ramp's ledger must not be younger than what was done with them. Pods are left out: none
 * survives this process.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { z } from "zod";

import type { ClusterSnapshot, ClusterWrite, StoredObject } from "../adapters/memory/memoryCluster.ts";
import { codeOf, syncFolder, writeFileAtomic } from "./files.ts";
import { folderName } from "./stateFolder.ts";

const FORMAT = "1";
/** Removals raise the revision and leave no file; versions must not come twice. */
const REVISION_MARGIN = 1_000_000;
const LONGEST_FILE_NAME = 180;
const transientKinds = new Set(["Pod"]);

const storedObject = z.strictObject({
  object: z.looseObject({
    apiVersion: z.string(),
    kind: z.string(),
    metadata: z.looseObject({ name: z.string(), namespace: z.string(), resourceVersion: z.string() }),
  }),
  owners: z.record(z.string(), z.unknown()),
  statusOwners: z.record(z.string(), z.unknown()),
});

export class ClusterStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Undefined: nothing was kept yet. Throws when what is there cannot be read, naming the file. */
  load(): ClusterSnapshot | undefined {
    const format = this.#readFormat();
    if (format === null) {
      writeFileAtomic(join(this.#root, "format"), FORMAT);
      return undefined;
    }
    if (format !== FORMAT) {
      throw new Error(
        `Cannot use ${this.#root}: it has format ${JSON.stringify(format)}, this program writes ${FORMAT}. Use the version that wrote it, or another --state.`,
      );
    }
    const objects: StoredObject[] = [];
    for (const kind of readdirSync(this.#root, { withFileTypes: true })) {
      if (!kind.isDirectory()) continue;
      for (const name of readdirSync(join(this.#root, kind.name))) {
        const path = join(this.#root, kind.name, name);
        // Left by a write that a crash cut short; the file it would have replaced is whole.
        if (name.endsWith(".tmp")) rmSync(path, { force: true });
        else objects.push(readObject(path));
      }
    }
    const newest = Math.max(0, ...objects.map(({ object }) => Number(object.metadata.resourceVersion)));
    return { revision: newest + REVISION_MARGIN, objects };
  }

  /** Durable when it returns; throws when it could not be made so. */
  persist(write: ClusterWrite): void {
    const object = write.type === "put" ? write.stored.object : write.object;
    if (transientKinds.has(object.kind)) return;
    const folder = join(this.#root, object.kind);
    const path = join(folder, `${fileName(object.metadata.namespace ?? "", object.metadata.name)}.json`);
    if (write.type === "put") {
      writeFileAtomic(path, JSON.stringify(write.stored, null, 1));
    } else {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      rmSync(path, { force: true });
      syncFolder(folder);
    }
  }

  #readFormat(): string | null {
    try {
      return readFileSync(join(this.#root, "format"), "utf8").trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw new Error(`Cannot read ${this.#root}: ${codeOf(error)}`, { cause: error });
    }
  }
}

function readObject(path: string): StoredObject {
  try {
    return storedObject.parse(JSON.parse(readFileSync(path, "utf8"))) as unknown as StoredObject;
  } catch (cause) {
    throw new Error(
      `Cannot read the kept object ${path}: ${codeOf(cause).split("\n", 1)[0]}. Restore the file from a backup, or delete it to have the object made anew.`,
      { cause },
    );
  }
}

function fileName(namespace: string, name: string): string {
  const full = folderName(namespace, name);
  if (full.length <= LONGEST_FILE_NAME) return full;
  return `${full.slice(0, LONGEST_FILE_NAME - 17)}_${createHash("sha256").update(full).digest("hex").slice(0, 16)}`;
}
