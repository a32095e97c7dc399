/** The locked Debian packages on this machine: from the cache, else by apt, and never without the right digest. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

import { imageCache } from "../cacheFolder.ts";
import type { Architecture } from "../oci/archive.ts";
import { type Apt, openApt } from "./apt.ts";
import { type DebianLock, type LockedPackage, readLock, writeLock } from "./debianLock.ts";

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** The .deb. */
  readonly path: string;
  readonly sha256: string;
}

export interface DebianOptions {
  readonly architecture: Architecture;
  readonly print: (line: string) => void;
  /** Where a locked version is gone from Debian, take the one it serves, and say so. Not for a release. */
  readonly takeServed: boolean;
  /** Default: debian.lock.json. */
  readonly lock?: DebianLock;
  readonly environment?: NodeJS.ProcessEnv;
}

export async function debianPackages(options: DebianOptions): Promise<readonly DebianPackage[]> {
  const { architecture, print } = options;
  const lock = options.lock ?? readLock();
  const cache = imageCache("debian", options.environment);
  const missing = lock.packages.filter((locked) => !isCached(cache, locked[architecture]));
  const taken = new Map<string, DebianPackage>();
  if (missing.length > 0) {
    print(`asking Debian for ${missing.map(({ name }) => name).join(", ")} (${architecture}) …`);
    const apt = await openApt(architecture, lock.suite);
    if (typeof apt === "string") throw new Error(byHand(apt, missing, architecture, cache));
    try {
      for (const locked of missing) {
        const got = await fetchLocked(apt, locked, architecture, cache);
        if (!got) taken.set(locked.name, await substitute(apt, lock, locked, options, cache));
      }
    } finally {
      apt.close();
    }
  }
  return lock.packages.map((locked) => {
    const { file, sha256 } = locked[architecture];
    const { name, version } = locked;
    return taken.get(name) ?? { name, version, path: join(cache, file), sha256 };
  });
}

/** Writes what Debian serves now for both architectures into the lock; returns a line for each change. */
export async function updateLock(print: (line: string) => void): Promise<readonly string[]> {
  const lock = readLock();
  const names = lock.packages.map(({ name }) => name);
  const served = new Map<string, Awaited<ReturnType<Apt["served"]>>>();
  for (const architecture of ["amd64", "arm64"] as const) {
    print(`asking Debian for its packages (${architecture}) …`);
    const apt = await openApt(architecture, lock.suite);
    if (typeof apt === "string") throw new Error(`Cannot update the lock: ${apt}.`);
    served.set(architecture, await apt.served(names).finally(() => apt.close()));
  }
  const packages = lock.packages.map(({ name }): LockedPackage => {
    const amd64 = served.get("amd64")?.find((one) => one.name === name);
    const arm64 = served.get("arm64")?.find((one) => one.name === name);
    if (amd64 === undefined || arm64 === undefined) throw new Error(noSource(name, lock));
    if (amd64.version !== arm64.version) {
      throw new Error(
        `Cannot update the lock: ${name} is served as ${amd64.version} for amd64 and ${arm64.version} for arm64; wait until both are built.`,
      );
    }
    return {
      name,
      version: amd64.version,
      amd64: { file: amd64.file, sha256: amd64.sha256 },
      arm64: { file: arm64.file, sha256: arm64.sha256 },
    };
  });
  writeLock({ ...lock, packages });
  return packages.flatMap(({ name, version }, index) => {
    const former = lock.packages[index]?.version;
    return former === version ? [] : [`${name} ${former} → ${version}`];
  });
}

async function fetchLocked(
  apt: Apt,
  locked: LockedPackage,
  architecture: Architecture,
  cache: string,
): Promise<boolean> {
  const scratch = mkdtempSync(join(cache, ".get-"));
  try {
    if (!(await apt.download(locked.name, locked.version, scratch))) return false;
    const [file] = readdirSync(scratch);
    if (file === undefined) return false;
    const wanted = locked[architecture];
    const found = sha256Of(join(scratch, file));
    if (found !== wanted.sha256) {
      throw new Error(
        `Cannot use ${locked.name} ${locked.version}: its SHA-256 must be ${wanted.sha256}, what came has ${found}.`,
      );
    }
    renameSync(join(scratch, file), join(cache, wanted.file));
    return true;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function substitute(
  apt: Apt,
  lock: DebianLock,
  locked: LockedPackage,
  { architecture, takeServed, print }: DebianOptions,
  cache: string,
): Promise<DebianPackage> {
  const [served] = await apt.served([locked.name]);
  if (served === undefined) throw new Error(noSource(locked.name, lock));
  if (!takeServed) {
    throw new Error(
      `Cannot get ${locked.name} ${locked.version}: Debian no longer serves it, but ${served.version}. ` +
        "npm run image -- --update-lock writes what is served into image/parts/debian.lock.json; " +
        "--take-served takes it for this once.",
    );
  }
  print(
    `${locked.name} ${locked.version} is gone from Debian: ${served.version} is taken, so the digest is another`,
  );
  const { name, version, file, sha256 } = served;
  if (!isCached(cache, served)) {
    const asLocked = { ...locked, version, [architecture]: { file, sha256 } };
    if (!(await fetchLocked(apt, asLocked, architecture, cache))) {
      throw new Error(`Cannot get ${name} ${version}, though Debian lists it.`);
    }
  }
  return { name, version, path: join(cache, file), sha256 };
}

function isCached(cache: string, { file, sha256 }: { file: string; sha256: string }): boolean {
  const path = join(cache, file);
  return existsSync(path) && sha256Of(path) === sha256;
}

function sha256Of(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function noSource(name: string, { suite, release }: DebianLock): string {
  return (
    `Cannot get ${name}: none of this machine's apt sources serves it; ` +
    `add a source for Debian ${release} (${suite}), or build where there is one (Containerfile).`
  );
}

function byHand(
  reason: string,
  missing: readonly LockedPackage[],
  architecture: Architecture,
  cache: string,
): string {
  const files = missing.map((locked) => `  ${locked[architecture].file}  ${locked[architecture].sha256}`);
  return `Cannot get Debian's packages: ${reason}. Put these files (SHA-256) into ${cache}, or use the Containerfile:\n${files.join("\n")}`;
}
