/** What the benchmark reads of a running operator: its own metrics, /proc, and the audit log of the API server. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

import type { AuditEvent } from "../../support/cluster/audit.ts";

/** One scrape of /metrics. */
export class Scrape {
  readonly #lines: readonly string[];

  constructor(text: string) {
    this.#lines = text.split("\n");
  }

  /** Sum over the series of this name whose labels contain all of `labels` as text. */
  sum(name: string, ...labels: readonly string[]): number {
    let sum = 0;
    for (const line of this.#lines) {
      if (!line.startsWith(name)) continue;
      const next = line[name.length];
      if (next !== "{" && next !== " ") continue;
      if (labels.every((label) => line.includes(label))) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
    }
    return sum;
  }
}

/** Null when nobody answers (yet). */
export async function scrape(port: number): Promise<Scrape | null> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(5000) });
    return new Scrape(await answer.text());
  } catch {
    return null;
  }
}

export interface Memory {
  readonly residentMegabytes: number;
  readonly peakMegabytes: number;
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const megabytes = (field: string) =>
    Math.round(
      (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN) / 1024) * 10,
    ) / 10;
  return { residentMegabytes: megabytes("VmRSS"), peakMegabytes: megabytes("VmHWM") };
}

/** Follows a growing audit log and hands out what is new, whole lines only. */
export class AuditTail {
  readonly #file: string;
  #offset = 0;
  #rest = "";

  constructor(file: string) {
    this.#file = file;
  }

  read(): readonly AuditEvent[] {
    const events: AuditEvent[] = [];
    const descriptor = openSync(this.#file, "r");
    try {
      const buffer = Buffer.alloc(4 * 1024 * 1024);
      for (;;) {
        const bytes = readSync(descriptor, buffer, 0, buffer.length, this.#offset);
        if (bytes === 0) break;
        this.#offset += bytes;
        const lines = (this.#rest + buffer.toString("latin1", 0, bytes)).split("\n");
        this.#rest = lines.pop() ?? "";
        for (const line of lines) if (line !== "") events.push(JSON.parse(line) as AuditEvent);
      }
    } finally {
      closeSync(descriptor);
    }
    return events;
  }
}

/** Nearest rank: the least value that is not under `share` of all. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN);
}

export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
