/**
 * The operator's memory limit, as the chart sets it and a kubelet would enforce it: a control group. Node sizes its
 * heap by it, and the kernel ends a process that goes beyond it. One of our own, removed again.
 */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { chartValues } from "../../../charts/values.ts";

const root = "/sys/fs/cgroup";

export interface MemoryLimit extends Disposable {
  readonly megabytes: number;
  /** To be put before a command. */
  readonly wrap: readonly string[];
}

/** Of the chart's defaults. Null where no control group can be made. */
export function chartMemoryLimit(): MemoryLimit | null {
  const text = String(chartValues.parse({}).resources.limits?.["memory"] ?? "");
  const mebibytes = Number(/^(\d+)Mi$/.exec(text)?.[1] ?? Number.NaN);
  const version1 = existsSync(join(root, "memory"));
  const folder = join(root, version1 ? "memory" : "", `bench-operator-${process.pid}`);
  try {
    mkdirSync(folder);
    const file = version1 ? "memory.limit_in_bytes" : "memory.max";
    writeFileSync(join(folder, file), String(mebibytes * 2 ** 20));
  } catch {
    return null;
  }
  return {
    megabytes: mebibytes,
    wrap: ["/bin/sh", "-c", `echo $$ > ${join(folder, "cgroup.procs")} && exec "$0" "$@"`],
    [Symbol.dispose]() {
      rmdirSync(folder);
    },
  };
}
