/**
 * The few file operations the spool stands on, as a port, so that tests can fill the disk, tear a write or
 * fail a sync at will (test/support/faultyFiles.ts). Errors are Node's own, with `code` (ENOSPC, EROFS, EIO);
 * the spool translates them.
 *
 * A file is created, appended to at positions its owner keeps, and never opened for writing again: after
 * a failed sync nobody can tell which of its pages reached the disk (the kernel marks them clean), so a
 * new life always begins a new file.
 */
import { constants, type Dirent } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from "node:fs/promises";

export interface StoredFile {
  /** Writes all the buffers at `position`, or rejects; then any part of them may have been written. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /** Reads up to `length` bytes at `position`; fewer only at the end of the file. */
  read(length: number, position: number): Promise<Buffer>;
  /** The data, and what is needed to find it, are on stable storage. */
  datasync(): Promise<void>;
  size(): Promise<number>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface Files {
  /** With all missing parents; these are made durable too. */
  makeFolder(path: string): Promise<void>;
  /** A new, empty file for writing; rejects with EEXIST when there is one. */
  create(path: string): Promise<StoredFile>;
  /** An existing file for reading. */
  open(path: string): Promise<StoredFile>;
  /** Names in a folder. */
  list(folder: string): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  /** A file that is missing is fine. */
  remove(path: string): Promise<void>;
  /** Created and renamed files of the folder are found after a power loss. */
  syncFolder(path: string): Promise<void>;
  /** Bytes this user can still write on the file system of `path`. */
  freeBytes(path: string): Promise<number>;
}

export const nodeFiles: Files = {
  async makeFolder(path) {
    const first = await mkdir(path, { recursive: true });
    if (first === undefined) return;
    await nodeFiles.syncFolder(path);
    for (let made = path; made !== first; made = parentOf(made)) await nodeFiles.syncFolder(parentOf(made));
    await nodeFiles.syncFolder(parentOf(first));
  },
  create: async (path) =>
    // Read by the relay's user only: a spool holds mail.
    new NodeFile(await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)),
  open: async (path) => new NodeFile(await open(path, constants.O_RDONLY)),
  list: async (folder) => (await readdir(folder, { withFileTypes: true })).filter(isFile).map((f) => f.name),
  rename,
  remove: (path) => rm(path, { force: true }),
  async syncFolder(path) {
    const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  },
};

class NodeFile implements StoredFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    let left = buffers.filter((buffer) => buffer.length > 0);
    let at = position;
    while (left.length > 0) {
      const { bytesWritten } = await this.#handle.writev(left, at);
      // A short write happens at the edge of a full disk or of a limit: the next one tells why.
      if (bytesWritten === 0) throw Object.assign(new Error("no byte could be written"), { code: "EIO" });
      at += bytesWritten;
      left = dropBytes(left, bytesWritten);
    }
  }

  async read(length: number, position: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(buffer, filled, length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  }

  datasync(): Promise<void> {
    return this.#handle.datasync();
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  truncate(bytes: number): Promise<void> {
    return this.#handle.truncate(bytes);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** For tidying up after a failure that is being reported already. Never rejects. */
export async function ignoreFailure(action: Promise<unknown> | undefined): Promise<void> {
  try {
    await action;
  } catch {
    // Told by whoever reports the first failure.
  }
}

/** The system's code of an error ("ENOSPC"), or "" when it has none. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code ?? "";
}

function isFile(entry: Dirent): boolean {
  return entry.isFile();
}

function parentOf(path: string): string {
  return path.replace(/\/+[^/]*\/*$/, "") || "/";
}

function dropBytes(buffers: readonly Uint8Array[], count: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = count;
  for (const buffer of buffers) {
    if (skip >= buffer.length) skip -= buffer.length;
    else {
      left.push(buffer.subarray(skip));
      skip = 0;
    }
  }
  return left;
}

/** Opens a file that is there, and closes it whatever becomes of its use. */
export async function withFile<T>(
  files: Files,
  path: string,
  use: (file: StoredFile) => Promise<T>,
): Promise<T> {
  const file = await files.open(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}
