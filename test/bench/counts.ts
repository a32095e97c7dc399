/**
 * What the kernel counts of ours for a load: syncs and system calls by strace, bytes as pages written. Run by
 * itself, for strace slows a process down; the counts are hardly changed by what else the machine does.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { findProgram } from "../support/peers/debian.ts";
import type { CountCase } from "./cases.ts";
import { send, startSink } from "./load.ts";
import { writtenBytes } from "./machine.ts";
import { startOurs } from "./relays.ts";

export interface Counts {
  readonly case: string;
  readonly fsyncsPerMessage: number | null;
  readonly bytesWrittenPerMessage: number;
  /** The most frequent system calls of a message; null without strace. */
  readonly systemCallsPerMessage: Readonly<Record<string, number>> | null;
}

const MOST_CALLS_TOLD = 12;

export async function runCounts({ name, load }: CountCase): Promise<Counts> {
  await using sink = await startSink();
  await using relay = await startOurs({ sinkPort: sink.port, setup: "plain" });
  await send(relay.port, sink, { ...load, sessions: 20, messages: 2000 });
  const before = writtenBytes(relay.pid);
  await send(relay.port, sink, load);
  const bytes = (writtenBytes(relay.pid) - before) / load.messages;
  const calls = await traced(relay.pid, () => send(relay.port, sink, load));
  const each = (count: number) => Math.round((count / load.messages) * 1000) / 1000;
  return {
    case: name,
    fsyncsPerMessage: calls === null ? null : each((calls.get("fsync") ?? 0) + (calls.get("fdatasync") ?? 0)),
    bytesWrittenPerMessage: Math.round(bytes),
    systemCallsPerMessage:
      calls === null
        ? null
        : Object.fromEntries(
            [...calls]
              .toSorted((a, b) => b[1] - a[1])
              .slice(0, MOST_CALLS_TOLD)
              .map(([call, count]) => [call, each(count)]),
          ),
  };
}

/** System calls of a process while `work` runs; null where there is no strace. */
async function traced(pid: number, work: () => Promise<unknown>): Promise<Map<string, number> | null> {
  const strace = findProgram("strace");
  if (strace === undefined) return null;
  const folder = await mkdtemp(join(tmpdir(), "strace-"));
  const output = join(folder, "counts");
  const child = spawn(strace, ["-f", "-c", "-U", "name,calls", "-o", output, "-p", String(pid)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  // "Process N attached" on standard error.
  await once(child.stderr, "data");
  await work();
  child.kill("SIGINT");
  await once(child, "exit");
  const text = await readFile(output, "utf8");
  await rm(folder, { recursive: true });
  const rows = text.split("\n").flatMap((line) => {
    const row = /^\s*(\w+)\s+(\d+)\s*$/.exec(line);
    return row?.[1] === undefined || row[1] === "total" ? [] : [[row[1], Number(row[2])] as const];
  });
  return new Map(rows);
}
