/** What Linux tells of processes: CPU time, memory, bytes written; and how much of the machine others took. */
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Linux counts CPU time in hundredths of a second for everyone who reads /proc. */
const TICKS_PER_SECOND = 100;

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

/** CPU seconds of the whole machine that were not idle. */
function busySeconds(): number {
  const line = readFileSync("/proc/stat", "latin1").split("\n", 1)[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** Begins to watch; the result tells the part of the machine that processes not of ours took since. */
export function watchOthers(): () => { readonly part: number; readonly seconds: number } {
  const started = performance.now();
  const before = { busy: busySeconds(), ours: cpuSeconds(process.pid) };
  return () => {
    const seconds = (performance.now() - started) / 1000;
    const others = busySeconds() - before.busy - (cpuSeconds(process.pid) - before.ours);
    return { part: Math.max(0, others / (seconds * cpus().length)), seconds };
  };
}

/** Proportional memory of one process, MiB. */
export function memoryMib(pid: number): number {
  const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1];
  return Number(pss) / 1024;
}

/** Memory of this process as it stands, and the most there was since /proc/self/clear_refs was told 5; MiB. */
export function processMemory(): {
  readonly residentMib: number;
  readonly anonymousMib: number;
  readonly peakMib: number;
} {
  const status = readFileSync("/proc/self/status", "latin1");
  const mib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1024;
  return { residentMib: mib("VmRSS"), anonymousMib: mib("RssAnon"), peakMib: mib("VmHWM") };
}

/** Bytes the process caused to be written to storage, as pages. */
export function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "latin1"))?.[1]);
}

/** Established IPv4 connections to a port of this machine. */
export function connectionsTo(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1);
  return rows.filter((row) => {
    const [, address, , state] = row.trim().split(/\s+/);
    return address?.endsWith(local) === true && state === "01";
  }).length;
}
