/**
 * Is that process still the one we mean? A process id alone is reused; together with the instant at which
 * the process started it is not.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { z } from "zod";

export const processIdentity = z.strictObject({ pid: z.int().min(1), startedAt: z.string() });
export type ProcessIdentity = z.infer<typeof processIdentity>;

/** Null when there is no such process. */
export function identify(pid: number): ProcessIdentity | null {
  const startedAt = process.platform === "linux" ? startFromProc(pid) : startFromPs(pid);
  return startedAt === null ? null : { pid, startedAt };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startedAt === identity.startedAt;
}

/** Sends the signal when the process is still the one meant. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // It ended in between.
  }
}

/** Clock ticks since boot, field 22 of /proc/PID/stat; the name in field 2 may hold spaces and brackets. */
function startFromProc(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended; only its parent has not looked.
    return fields[0] === "Z" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function startFromPs(pid: number): string | null {
  const found = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" });
  const text = found.status === 0 ? found.stdout.trim() : "";
  return text === "" ? null : text;
}
