/**
 * Mounts a set of files as the kubelet mounts a Secret: readers see the old set or the new one, never a
 * mix.
 *
 *   config/
 *     ..data         → ..1764000000000-1      swapped by one rename
 *     ..1764000000000-1/relay.json …          the files, written before the swap
 *     relay.json     → ..data/relay.json      stable names for the reader
 *
 * The former set is removed after the swap; a reader that has a file open keeps it.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const DATA_LINK = "..data";

export type FileSet = ReadonlyMap<string, Uint8Array>;

/** True when something changed. `stamp` names the new set and differs from every set still there. */
export function swapFiles(folder: string, files: FileSet, stamp: string): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of files.keys()) {
    // A key of a Secret is a file name; anything else would leave the folder.
    if (!/^[-._a-zA-Z0-9]+$/.test(name) || name.startsWith("..")) {
      throw new Error(`Cannot mount ${JSON.stringify(name)}: it is no plain file name`);
    }
  }
  const current = linkTarget(join(folder, DATA_LINK));
  const changed = current === null || !holds(join(folder, current), files);
  const set = changed ? `..${stamp}` : current;
  if (changed) bringIn(folder, set, files);
  // Also when nothing changed: a crash may have come between the swap and the tidying.
  tidy(folder, set, files);
  return changed;
}

function bringIn(folder: string, set: string, files: FileSet): void {
  const nextFolder = join(folder, set);
  rmSync(nextFolder, { recursive: true, force: true });
  mkdirSync(nextFolder, { mode: 0o700 });
  for (const [name, bytes] of files) writeFileSync(join(nextFolder, name), bytes, { mode: 0o600 });

  const temporaryLink = join(folder, "..data_tmp");
  rmSync(temporaryLink, { force: true });
  symlinkSync(set, temporaryLink);
  renameSync(temporaryLink, join(folder, DATA_LINK));
}

/** The plain names, and nothing else but the set in force. */
function tidy(folder: string, set: string, files: FileSet): void {
  for (const name of files.keys()) {
    const link = join(folder, name);
    if (linkTarget(link) === null) {
      rmSync(link, { recursive: true, force: true });
      symlinkSync(join(DATA_LINK, name), link);
    }
  }
  for (const name of readdirSync(folder)) {
    if (name === DATA_LINK || name === set || files.has(name)) continue;
    rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function linkTarget(path: string): string | null {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null;
  } catch {
    return null;
  }
}

function holds(folder: string, files: FileSet): boolean {
  try {
    const names = readdirSync(folder);
    if (names.length !== files.size) return false;
    return names.every((name) => {
      const wanted = files.get(name);
      return wanted !== undefined && readFileSync(join(folder, name)).equals(wanted);
    });
  } catch {
    return false;
  }
}
