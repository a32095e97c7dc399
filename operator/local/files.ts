/**
 * Files that are never seen half written: new content goes to a temporary file beside the target, is
 * synced, and takes the target's place by one rename. What must survive a power cut syncs the folder too.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { dirname } from "node:path";

export interface WriteOptions {
  /** Permission bits; 0o600 unless told. */
  readonly mode?: number;
  /** Sync file and folder before returning; true unless told. Off for what can be made again. */
  readonly durable?: boolean;
}

/** Replaces `path` by `content` as a whole; makes the folder (0700) when it is not there. */
export function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  options: WriteOptions = {},
): void {
  const { mode = 0o600, durable = true } = options;
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, "w", mode);
    try {
      const bytes = typeof content === "string" ? Buffer.from(content) : content;
      for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written);
      if (durable) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw new Error(`Cannot write ${path}: ${codeOf(cause)}`, { cause });
  }
  if (durable) syncFolder(folder);
}

/** Makes renames and removals within `folder` durable. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** The file's text, null when it is not there. Reads at most `maxBytes`; a longer file is an error. */
export async function readSmallFile(path: string, maxBytes: number): Promise<string | null> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      if (size > maxBytes) throw new Error(`it has ${size} bytes, more than ${maxBytes}`);
      return await readFile(file, "utf8");
    } finally {
      await file.close();
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new Error(`Cannot read ${path}: ${codeOf(cause)}`, { cause });
  }
}

/** The error's code when the system gave one, else its message. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error as NodeJS.ErrnoException).code ?? error.message;
}
