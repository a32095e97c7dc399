/**
 * Where the programs of the throw-away cluster come from: KUBEBUILDER_ASSETS, else a cache folder named by
 * version, else the official downloads, else their Go modules. Each program is asked for by name, so that who
 * needs an API server only does not wait for a kubelet.
 */
import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";

import { cacheFolder } from "../../../image/cacheFolder.ts";
import { download } from "./download.ts";
import { goBuild, goIsMissing, type Print } from "./goBuild.ts";
import { withLock } from "./machineLock.ts";
import { type ClusterProgram, clusterPrograms, programSources } from "./programs.ts";

/** For another process that builds everything. */
const LONGEST_WAIT_S = 3600;

export interface ProvideOptions {
  readonly print?: Print;
  /** Try the official downloads before building; by default unless CLUSTER_DOWNLOAD is "no". */
  readonly download?: boolean;
  readonly environment?: NodeJS.ProcessEnv;
}

export type Provision =
  | { readonly kind: "present"; readonly paths: Readonly<Partial<Record<ClusterProgram, string>>> }
  /** One line that says why, and what would help. */
  | { readonly kind: "impossible"; readonly reason: string };

/** Finds, downloads or builds each of `wanted`. Builds can take ten minutes on two cores: `print` tells. */
export async function providePrograms(
  wanted: readonly ClusterProgram[],
  options: ProvideOptions = {},
): Promise<Provision> {
  const environment = options.environment ?? process.env;
  const print = options.print ?? (() => {});
  const missing = () => wanted.filter((program) => findProgram(program, environment) === null);
  if (missing().length > 0) {
    const cache = cacheFolder(environment);
    const waiting = () => print("waiting for another process that builds the cluster's programs …");
    // Looked at again under the lock: who held it may have built them.
    const reason = await withLock(
      cache,
      { waiting, seconds: LONGEST_WAIT_S },
      async () => await obtain(missing(), cache, print, wantsDownload(options, environment)),
    );
    if (reason !== null) return { kind: "impossible", reason };
  }
  const paths: Partial<Record<ClusterProgram, string>> = {};
  for (const program of wanted) paths[program] = programPath(program, environment);
  return { kind: "present", paths };
}

/** Path of a program that providePrograms has made sure of; throws when it is not there. */
export function programPath(program: ClusterProgram, environment: NodeJS.ProcessEnv = process.env): string {
  const path = findProgram(program, environment);
  if (path !== null) return path;
  throw new Error(`Cannot find ${program}: ask providePrograms for it first (npm run cluster does).`);
}

export function findProgram(
  program: ClusterProgram,
  environment: NodeJS.ProcessEnv = process.env,
): string | null {
  const assets = environment["KUBEBUILDER_ASSETS"];
  const cached = join(cacheFolder(environment), programSources[program].folder, program);
  return [...(assets ? [join(assets, program)] : []), cached].find(isExecutable) ?? null;
}

/** The reason why not; null when all are there. */
async function obtain(
  missing: readonly ClusterProgram[],
  cache: string,
  print: Print,
  downloads: boolean,
): Promise<string | null> {
  let network = downloads && process.platform === "linux";
  for (const program of clusterPrograms.filter((one) => missing.includes(one))) {
    const source = programSources[program];
    const target = join(cache, source.folder, program);
    mkdirSync(join(cache, source.folder), { recursive: true });
    if (network && (await download(source.release(goArchitecture()), target))) {
      print(`downloaded ${program}`);
      continue;
    }
    // A network that refused one file is not asked for the others.
    network = false;
    const list = missing.join(", ");
    const help = `set KUBEBUILDER_ASSETS to a folder with ${list}`;
    const noGo = goIsMissing();
    if (noGo !== null) return `Cannot get ${list}: no download, and ${noGo}; ${help}`;
    try {
      await goBuild(source.recipe, target, join(cache, source.folder, "module"), print);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return `Cannot get ${program}: no download, and its Go module does not build here (${oneLine(why)}); ${help}`;
    }
  }
  return null;
}

function wantsDownload(options: ProvideOptions, environment: NodeJS.ProcessEnv): boolean {
  return options.download ?? environment["CLUSTER_DOWNLOAD"] !== "no";
}

function goArchitecture(): string {
  return process.arch === "x64" ? "amd64" : process.arch;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").slice(0, 300);
}
