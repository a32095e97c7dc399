/**
 * What the process and the machine say of their load: lateness of the event loop, memory against the limit
 * that would end the process, room on a volume. Read-only and cheap: three small files a look.
 */
import { readFile, statfs } from "node:fs/promises";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as immediate, setTimeout as timeout } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";

export interface Load {
  /** How late the loop came to what was due since the last look, the median. */
  readonly loopDelayMs: number;
  /** The tighter of two limits: the container's and the heap's. Null: there is none. */
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number } | null;
  readonly diskFreeBytes: number | null;
}

export interface LoadProbe {
  look(): Promise<Load>;
  stop(): void;
}

/** How often the loop's lateness is sampled; the floor of what it can tell, and taken off. */
const LOOP_RESOLUTION_MS = 20;

export function createLoadProbe(options: {
  readonly diskPath: string;
  /** Where control groups are mounted; tests have their own. */
  readonly controlGroups?: string;
}): LoadProbe {
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  loop.enable();
  return {
    async look() {
      // After a block the histogram's own timer is due as well, and must come first: what it has not
      // recorded is lost with the reset. So: to the timers, and past all of them.
      await timeout(1);
      await immediate();
      const loopDelayMs = Math.max(0, loop.percentile(50) / 1e6 - LOOP_RESOLUTION_MS);
      loop.reset();
      const [container, diskFreeBytes] = await Promise.all([
        containerMemory(options.controlGroups),
        freeBytes(options.diskPath),
      ]);
      const heap = getHeapStatistics();
      const limits = [
        { usedBytes: heap.used_heap_size, limitBytes: heap.heap_size_limit },
        ...(container === null ? [] : [container]),
      ];
      const tightest = limits.reduce((a, b) =>
        b.usedBytes / b.limitBytes > a.usedBytes / a.limitBytes ? b : a,
      );
      return { loopDelayMs: Number.isFinite(loopDelayMs) ? loopDelayMs : 0, memory: tightest, diskFreeBytes };
    },
    stop: () => loop.disable(),
  };
}

export interface MemoryUse {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

/**
 * The working set of this process's control group, as kubelet counts it (usage without file pages that can
 * go at once), and its limit; cgroup v2, else v1. Null: not in one, or without a limit.
 */
export async function containerMemory(mount = "/sys/fs/cgroup"): Promise<MemoryUse | null> {
  return (
    (await workingSet(mount, {
      usage: "memory.current",
      limit: "memory.max",
      statistics: "memory.stat",
      reclaimable: "inactive_file",
    })) ??
    (await workingSet(join(mount, "memory"), {
      usage: "memory.usage_in_bytes",
      limit: "memory.limit_in_bytes",
      statistics: "memory.stat",
      reclaimable: "total_inactive_file",
    }))
  );
}

/** v1 writes "no limit" as the largest number of pages; nobody has that much. */
const NO_LIMIT_BYTES = 2 ** 60;

async function workingSet(
  folder: string,
  files: {
    readonly usage: string;
    readonly limit: string;
    readonly statistics: string;
    readonly reclaimable: string;
  },
): Promise<MemoryUse | null> {
  try {
    const [usage, limit, statistics] = await Promise.all(
      [files.usage, files.limit, files.statistics].map((file) => readFile(join(folder, file), "utf8")),
    );
    // "max" is no number, and no limit.
    const limitBytes = Number(limit);
    if (!(limitBytes > 0 && limitBytes < NO_LIMIT_BYTES)) return null;
    const line = (statistics ?? "").split("\n").find((one) => one.startsWith(`${files.reclaimable} `));
    const reclaimable = Number(line?.split(" ")[1] ?? 0);
    return { usedBytes: Math.max(0, Number(usage) - reclaimable), limitBytes };
  } catch {
    return null;
  }
}

async function freeBytes(path: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}
