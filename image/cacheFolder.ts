/** Where what was fetched or made once is kept between runs, in the user's own cache. */
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export function cacheFolder(environment: NodeJS.ProcessEnv): string {
  return join(environment["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "smtp-relay-operator");
}

/** A folder of the cache, made when it is not there. */
export function imageCache(part: string, environment: NodeJS.ProcessEnv = process.env): string {
  const folder = join(cacheFolder(environment), "image", part);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Keeps the newest entries: a cache of former versions would only grow. */
export function keepNewest(folder: string, most: number): void {
  const entries = readdirSync(folder).map((name) => {
    const path = join(folder, name);
    return { path, at: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 };
  });
  const old = entries.toSorted((a, b) => b.at - a.at).slice(most);
  for (const { path } of old) rmSync(path, { recursive: true, force: true });
}
