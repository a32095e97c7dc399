/**
 * The preloaded disk (disk.c) under one relay's spool: built once with cc, told its faults through a shared
 * page, and made to lose power by powerLoss.ts after each kill.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import type { Random } from "../../../relay/kit/random.ts";
import { losePower, type PowerLoss } from "./powerLoss.ts";

/**
 * How much a disk promises beyond what was synced. *strict*: nothing; each name needs a sync of its folder
 * (POSIX). *journalled*: names and modes are kept in the order they were made, and a sync of any file keeps
 * all of them before it (ext4 and XFS as mounted by default, which is what Postfix is written for).
 */
export type DiskModel = "strict" | "journalled";

export interface Faults {
  /** The n-th sync fails with EIO. */
  readonly failSyncAt?: number;
  readonly writeError?: "EROFS" | "EIO" | "ENOSPC";
  readonly syncDelayMs?: number;
  /** KiB until the disk is full. */
  readonly roomKiB?: number;
}

export interface Disk extends AsyncDisposable {
  /** What puts a relay's processes on this disk. */
  readonly env: Readonly<Record<string, string>>;
  /** From now on; nothing given: healthy. */
  setFaults(faults: Faults): Promise<void>;
  /** The relay is dead: what was not durable is gone, or partly gone, as chance has it. */
  losePower(random: Random): Promise<PowerLoss>;
}

export async function openDisk(options: {
  readonly folder: string;
  readonly folders: readonly string[];
  readonly model: DiskModel;
}): Promise<Disk> {
  const library = await build(options.folder);
  const directory = await mkdtemp(join(options.folder, "disk-"));
  const journal = join(directory, "journal");
  const control = join(directory, "control");
  const grave = join(directory, "grave");
  await writeFile(journal, "");
  await writeFile(control, Buffer.alloc(4096));
  await mkdir(grave);
  // Postfix's daemons write as their own user.
  for (const [path, mode] of [
    [options.folder, 0o755],
    [directory, 0o755],
    [journal, 0o666],
    [control, 0o666],
    [grave, 0o777],
  ] as const) {
    await chmod(path, mode);
  }
  const page = await open(control, "r+");
  const setFaults = async ({ failSyncAt = 0, writeError, syncDelayMs = 0, roomKiB }: Faults) => {
    const fields = Buffer.alloc(16);
    fields.writeInt32LE(failSyncAt, 0);
    fields.writeInt32LE(writeError === undefined ? 0 : constants.errno[writeError], 4);
    fields.writeInt32LE(Math.round(syncDelayMs * 1000), 8);
    fields.writeInt32LE(roomKiB === undefined ? 0 : roomKiB + 1, 12);
    await page.write(fields, 0, 16, 0);
  };
  return {
    env: { LD_PRELOAD: library, CRASH_DISK: directory, CRASH_DISK_FOLDERS: options.folders.join(":") },
    setFaults,
    async losePower(random) {
      await setFaults({});
      const loss = await losePower({ journal, grave, model: options.model, random });
      await truncate(journal, 0);
      return loss;
    },
    async [Symbol.asyncDispose]() {
      await page.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const built = new Map<string, Promise<string>>();

function build(folder: string): Promise<string> {
  const building = built.get(folder) ?? compile(join(folder, "disk.so"));
  built.set(folder, building);
  return building;
}

async function compile(library: string): Promise<string> {
  const source = join(import.meta.dirname, "disk.c");
  try {
    await promisify(execFile)("cc", [
      "-O2",
      "-Wall",
      "-shared",
      "-fPIC",
      "-o",
      library,
      source,
      "-ldl",
      "-lpthread",
    ]);
  } catch (cause) {
    throw new Error("Cannot build the disk that loses power: cc is needed (apt-get install gcc libc6-dev).", {
      cause,
    });
  }
  return library;
}
