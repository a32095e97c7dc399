/**
 * One process per spool: a lock file that names its owner. A lock whose owner is gone (kill -9, power loss,
 * a container that was started again) is taken over; pids are reused, in containers at once (each has its
 * process 1), so the owner's start time and the boot of the machine are compared as well.
 *
 * Two machines that mount one volume are beyond a lock file; Kubernetes' ReadWriteOnce volumes and the
 * StatefulSet's promise of one pod per name keep them apart.
 */
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";

import { codeOf } from "../files.ts";

interface Owner {
  readonly pid: number;
  /** Clock ticks after boot at which the process began; "" where the system does not tell. */
  readonly startedAt: string;
  readonly bootId: string;
  readonly host: string;
}

/** Rejects when a living process holds the folder; the message names it. The result gives the lock back. */
export async function lockFolder(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, "lock");
  const mine = JSON.stringify(await ownerOf(process.pid));
  const candidate = join(directory, `lock.${process.pid}.tmp`);
  await writeFile(candidate, mine, { mode: 0o600 });
  try {
    // Twice: once over a lock that is found stale.
    for (const attempt of ["first", "second"]) {
      if (await linked(candidate, path)) return () => rm(path, { force: true });
      const text = await readFile(path, "utf8").catch(() => "");
      const owner = parseOwner(text);
      if (attempt === "second" || (owner !== null && (await isAlive(owner)))) {
        throw new Error(
          `Cannot open the spool at ${directory}: ${owner === null ? "another process" : `process ${owner.pid} on ${owner.host}`} uses it.`,
        );
      }
      await removeStale(path, text, directory);
    }
    throw new Error(`Cannot open the spool at ${directory}: its lock changes hands too fast.`);
  } finally {
    await rm(candidate, { force: true });
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Moved aside first: of two processes that judged the same lock, one finds that it holds another's and puts it back. */
async function removeStale(path: string, judged: string, directory: string): Promise<void> {
  const aside = join(directory, `lock.${process.pid}.stale.tmp`);
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  if ((await readFile(aside, "utf8")) !== judged) await linked(aside, path);
  await rm(aside, { force: true });
}

/** Null for a lock that was never finished. */
function parseOwner(text: string): Owner | null {
  try {
    const owner = JSON.parse(text) as Owner;
    return Number.isInteger(owner.pid) && owner.pid > 0 ? owner : null;
  } catch {
    return null;
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  const now = await ownerOf(owner.pid);
  if (now.bootId !== owner.bootId) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if (codeOf(error) !== "EPERM") return false;
  }
  return now.startedAt === owner.startedAt;
}

async function ownerOf(pid: number): Promise<Owner> {
  const [stat, bootId] = await Promise.all(
    [`/proc/${pid}/stat`, "/proc/sys/kernel/random/boot_id"].map((path) =>
      readFile(path, "utf8").catch(() => ""),
    ),
  );
  // proc(5): the name, in parentheses, may hold spaces; the start time is field 22, the 20th behind it.
  const fields = (stat ?? "").slice((stat ?? "").lastIndexOf(")") + 2).split(" ");
  return { pid, startedAt: fields[19] ?? "", bootId: (bootId ?? "").trim(), host: hostname() };
}
