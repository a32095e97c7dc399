/**
 * The log files of the pods: kept from growing without bound, and on wish shown line by line with the
 * pod's name before each.
 */
import { copyFileSync, readdirSync, statSync, truncateSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, join } from "node:path";

import type { Clock } from "../../relay/kit/clock.ts";

const LARGEST_LOG_BYTES = 16 * 1024 * 1024;
const ROTATE_EVERY_MS = 15_000;
const TAIL_EVERY_MS = 300;
const TAIL_CHUNK_BYTES = 256 * 1024;
const LONGEST_LINE = 16 * 1024;

/** Moves a full log aside to NAME.1; the program that writes it appends to the emptied file. */
export function rotateLogs(folder: string): void {
  for (const name of logNames(folder)) {
    const path = join(folder, name);
    try {
      if (statSync(path).size < LARGEST_LOG_BYTES) continue;
      copyFileSync(path, `${path}.1`);
      truncateSync(path, 0);
    } catch {
      // Tried again at the next look; a log must not stop anything.
    }
  }
}

export function keepLogsBounded(folder: string, clock: Clock): () => void {
  let cancel = () => {};
  const look = () => {
    rotateLogs(folder);
    cancel = clock.after(ROTATE_EVERY_MS, look);
  };
  look();
  return () => cancel();
}

/** Calls `print` with "POD: line" for all that is written from now on, in any log of the folder. */
export function followLogs(folder: string, clock: Clock, print: (line: string) => void): () => void {
  const tails = new Map<string, Tail>();
  let stopped = false;
  let cancel = () => {};
  for (const name of logNames(folder))
    tails.set(name, new Tail(join(folder, name), sizeOf(join(folder, name))));
  const look = async () => {
    for (const name of logNames(folder)) {
      const tail = tails.get(name) ?? new Tail(join(folder, name), 0);
      tails.set(name, tail);
      for (const line of await tail.newLines()) print(`${basename(name, ".log")}: ${line}`);
    }
    if (!stopped) cancel = clock.after(TAIL_EVERY_MS, () => void look());
  };
  void look();
  return () => {
    stopped = true;
    cancel();
  };
}

class Tail {
  readonly #path: string;
  #offset: number;
  #rest = "";

  constructor(path: string, offset: number) {
    this.#path = path;
    this.#offset = offset;
  }

  async newLines(): Promise<string[]> {
    const size = sizeOf(this.#path);
    if (size < this.#offset) this.#offset = 0;
    if (size === this.#offset) return [];
    const file = await open(this.#path, "r").catch(() => null);
    if (file === null) return [];
    try {
      const chunk = Buffer.alloc(Math.min(size - this.#offset, TAIL_CHUNK_BYTES));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, this.#offset);
      this.#offset += bytesRead;
      const lines = (this.#rest + chunk.toString("utf8", 0, bytesRead)).split("\n");
      this.#rest = (lines.pop() ?? "").slice(0, LONGEST_LINE);
      return lines;
    } finally {
      await file.close();
    }
  }
}

function logNames(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".log"));
  } catch {
    return [];
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
