/**
 * The locked npm packages for one platform: Node's own program and what production needs. npm itself fetches them,
 * with the lock's integrity, into a folder of the cache; the working tree's node_modules may have been touched.
 */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

import { imageCache, keepNewest } from "../cacheFolder.ts";
import type { Architecture } from "../oci/archive.ts";
import { outputOf } from "./command.ts";

export interface NpmPackage {
  /** "node_modules/NAME", nested ones deeper. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly license: string | null;
  /** As npm has it: "sha512-" and base 64. */
  readonly integrity: string | null;
}

export interface NpmPackages {
  /** Holds node_modules. */
  readonly folder: string;
  /** Sorted by path; Node's own among them. */
  readonly packages: readonly NpmPackage[];
  /** Path of Node's package, as in `packages`. */
  readonly node: string;
}

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
}

/** A folder is some 200 MB. */
const MOST_KEPT = 4;
const npmCpu: Readonly<Record<Architecture, string>> = { amd64: "x64", arm64: "arm64" };

export async function npmPackages(
  tree: string,
  architecture: Architecture,
  print: (line: string) => void,
): Promise<NpmPackages> {
  const cpu = npmCpu[architecture];
  const cache = imageCache("npm");
  const folder = join(cache, `${productionDigest(tree)}-${architecture}`);
  if (!existsSync(folder)) {
    print(`npm fetches the locked packages (${architecture}) …`);
    const scratch = mkdtempSync(join(cache, ".get-"));
    try {
      for (const file of ["package.json", "package-lock.json", ".npmrc"]) {
        if (existsSync(join(tree, file))) copyFileSync(join(tree, file), join(scratch, file));
      }
      const platform = ["--os=linux", `--cpu=${cpu}`, "--libc=glibc"];
      const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
      // npm of another Node than ours may stand first on the PATH: any that knows --cpu will do.
      await outputOf("npm", ["ci", "--omit=dev", ...platform, ...quiet], { cwd: scratch });
      mkdirSync(dirname(folder), { recursive: true });
      if (!existsSync(folder)) renameSync(scratch, folder);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
    keepNewest(cache, MOST_KEPT);
  }
  const installed = lockAt(join(folder, "node_modules", ".package-lock.json"));
  const packages = Object.entries(installed).map(([path, { version = "", license, integrity }]) => ({
    path,
    name: path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length),
    version,
    license: license ?? null,
    integrity: integrity ?? null,
  }));
  const node = `node_modules/node-linux-${cpu}`;
  if (!existsSync(join(folder, node, "bin", "node"))) {
    throw new Error(`Cannot take Node from ${node}: npm did not bring it; it needs npm 10 or newer.`);
  }
  return { folder, packages: packages.toSorted((a, b) => (a.path < b.path ? -1 : 1)), node };
}

/** Tools of development change often, and are not in the image. */
function productionDigest(tree: string): string {
  const production = Object.entries(lockAt(join(tree, "package-lock.json"))).filter(
    ([path, { dev }]) => path !== "" && dev !== true,
  );
  return createHash("sha256").update(JSON.stringify(production)).digest("hex").slice(0, 16);
}

function lockAt(path: string): Readonly<Record<string, LockEntry>> {
  return (JSON.parse(readFileSync(path, "utf8")) as { packages: Record<string, LockEntry> }).packages;
}
