/**
 * Counts the syncs of a process by its system calls: fsync, fdatasync, msync, and writes to a file that was
 * opened with O_DSYNC or O_SYNC, each of which is one. In a run of its own, for strace slows a process down.
 * Pure but for `tracer`.
 */
import { findProgram } from "../../support/peers/debian.ts";

/** How to start a program so that `countSyncs` can read what it did; null without strace. */
export function tracer(output: string): readonly [command: string, ...args: string[]] | null {
  const strace = findProgram("strace");
  if (strace === undefined) return null;
  const calls =
    "trace=openat,close,fsync,fdatasync,msync,sync_file_range,write,pwrite64,writev,pwritev,pwritev2";
  return [strace, "-f", "-qq", "-e", calls, "-e", "signal=none", "-s", "40", "-o", output];
}

/** Syncs between the marks of the phases (child.ts). */
export function countSyncs(trace: string): Map<string, number> {
  const counts = new Map<string, number>();
  const synchronous = new Set<string>();
  /** An open that is under way, by thread: its number comes with its end. */
  const opening = new Map<string, boolean>();
  let phase = "";
  for (const line of trace.split("\n")) {
    const [, thread = "", call = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const mark = /^write\(\d+, "phase (\w+)\\n"/.exec(call)?.[1];
    if (mark !== undefined) {
      phase = mark;
      continue;
    }
    if (call.startsWith("openat(")) {
      const isSynchronous = /\bO_D?SYNC\b/.test(call);
      const number = /= (\d+)$/.exec(call)?.[1];
      if (number === undefined) opening.set(thread, isSynchronous);
      else note(number, isSynchronous);
      continue;
    }
    const opened = /^<\.\.\. openat resumed>.*= (\d+)$/.exec(call)?.[1];
    if (opened !== undefined) {
      note(opened, opening.get(thread) ?? false);
      continue;
    }
    const [, name = "", file = ""] = /^(\w+)\((\w+)/.exec(call) ?? [];
    const isSync =
      name === "fsync" ||
      name === "fdatasync" ||
      (name === "msync" && call.includes("MS_SYNC")) ||
      (/^p?write/.test(name) && synchronous.has(file));
    if (isSync) counts.set(phase, (counts.get(phase) ?? 0) + 1);
  }
  return counts;

  function note(file: string, isSynchronous: boolean): void {
    if (isSynchronous) synchronous.add(file);
    else synchronous.delete(file);
  }
}
