/**
 * Processes by what the kernel says of them. A process id alone is reused sooner or later; with its start time
 * it means one process for ever.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessId {
  readonly pid: number;
  /** Clock ticks since boot, as /proc/PID/stat has it. */
  readonly startedAt: string;
}

export interface ProcessEntry extends ProcessId {
  readonly parent: number;
  readonly words: readonly string[];
}

/** Null when there is no such process, or only its corpse. */
export function lookUp(pid: number): ProcessEntry | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the program, in brackets, may hold anything; fields are counted after it (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z") return null;
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return { pid, parent: Number(fields[1]), startedAt: fields[19] ?? "", words };
  } catch {
    return null;
  }
}

export function allProcesses(): readonly ProcessEntry[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => lookUp(Number(name)))
    .filter((entry) => entry !== null);
}

export function isAlive({ pid, startedAt }: ProcessId): boolean {
  return lookUp(pid)?.startedAt === startedAt;
}

/** The processes and all that descends from them, children before parents. */
export function withDescendants(roots: readonly ProcessEntry[]): readonly ProcessEntry[] {
  const all = allProcesses();
  const below = (entry: ProcessEntry): ProcessEntry[] => [
    ...all.filter(({ parent }) => parent === entry.pid).flatMap(below),
    entry,
  ];
  return roots.flatMap(below);
}

/** SIGKILL to each that is still the same process; resolves when all are gone, false when some stay. */
export async function endProcesses(processes: readonly ProcessId[], seconds = 10): Promise<boolean> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const left = processes.filter(isAlive);
    if (left.length === 0) return true;
    if (performance.now() > deadline) return false;
    for (const { pid } of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It went by itself.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
