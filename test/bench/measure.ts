/**
 * One measurement of one relay: smtp-source submits, the relay queues and sends, smtp-sink takes.
 * The sink's count is the rate, to the last message; CPU is the relay's process tree alone.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";

import { peerProgram } from "../support/peers/debian.ts";
import { freePort } from "../support/peers/program.ts";

/** Linux counts CPU time in hundredths of a second for everyone who reads /proc. */
const TICKS_PER_SECOND = 100;

export interface Sink extends AsyncDisposable {
  readonly port: number;
  taken(): number;
  /** Resolves with the time (performance.now) at which `count` was reached; rejects when the count stands still. */
  reached(count: number): Promise<number>;
}

/** smtp-sink counting to standard output: "sess=… quit=… mesg=…" at each change. */
export async function startSink(): Promise<Sink> {
  const port = await freePort();
  const args = ["-c", `127.0.0.1:${port}`, "1000"];
  // As root, smtp-sink insists on dropping to another user.
  if (process.getuid?.() === 0) args.unshift("-u", "nobody");
  const child = spawn(peerProgram("smtp-sink"), args, { stdio: ["ignore", "pipe", "ignore"] });
  let taken = 0;
  let lastChange = performance.now();
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    rest = (rest + chunk.toString("latin1")).slice(-4096);
    const counts = [...rest.matchAll(/mesg=(\d+)\s*\r/g)];
    const last = counts.at(-1);
    if (last === undefined) return;
    const now = Number(last[1]);
    if (now !== taken) lastChange = performance.now();
    taken = now;
  });
  return {
    port,
    taken: () => taken,
    async reached(count) {
      const standstillMs = 30_000;
      const started = performance.now();
      const isDue = () => taken < count;
      while (isDue()) {
        if (performance.now() - Math.max(lastChange, started) > standstillMs) {
          throw new Error(`The sink took ${taken} messages and then none for 30 s; ${count} were due.`);
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return lastChange;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
    },
  };
}

/** CPU seconds of a process and all its descendants, ended children included. */
export function cpuSeconds(rootPid: number): number {
  const processes = new Map<number, { parent: number; ticks: number }>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "latin1");
      // The command name, in parentheses, may hold spaces; fields count from behind it.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
      processes.set(Number(entry), { parent: Number(fields[1]), ticks });
    } catch {
      // It ended while we looked; its parent carries its time.
    }
  }
  const belongs = (pid: number): boolean => {
    if (pid === rootPid) return true;
    const parent = processes.get(pid)?.parent;
    return parent !== undefined && parent > 1 && belongs(parent);
  };
  let total = 0;
  for (const [pid, { ticks }] of processes) if (belongs(pid)) total += ticks;
  return total / TICKS_PER_SECOND;
}

/** Sends `messages` of `bytes` over `sessions` kept-open sessions, and waits for the submitting side only. */
export async function submit(load: {
  readonly port: number;
  readonly sessions: number;
  readonly messages: number;
  readonly bytes: number;
}): Promise<void> {
  const child = spawn(
    peerProgram("smtp-source"),
    [
      "-d",
      ...["-s", String(load.sessions), "-m", String(load.messages), "-l", String(load.bytes)],
      ...["-M", "client.example.test", "-f", "sender@example.test", "-t", "someone@inbox.test"],
      `127.0.0.1:${load.port}`,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString("utf8")).slice(-2000)));
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`smtp-source ended with ${String(code)}: ${complaint.trim()}`);
}

export interface Sample {
  readonly messagesPerSecond: number;
  readonly cpuMillisecondsPerMessage: number;
}

export async function measure(
  relay: { readonly port: number; readonly pid: number },
  sink: Sink,
  load: { readonly sessions: number; readonly messages: number; readonly bytes: number },
): Promise<Sample> {
  const before = sink.taken();
  const cpuBefore = cpuSeconds(relay.pid);
  const started = performance.now();
  await submit({ ...load, port: relay.port });
  const ended = await sink.reached(before + load.messages);
  const cpu = cpuSeconds(relay.pid) - cpuBefore;
  if (sink.taken() !== before + load.messages) {
    throw new Error(
      `The sink took ${sink.taken() - before} messages of ${load.messages}: a run that doubles or loses is no run.`,
    );
  }
  return {
    messagesPerSecond: load.messages / ((ended - started) / 1000),
    cpuMillisecondsPerMessage: (cpu * 1000) / load.messages,
  };
}
