/**
 * The one throw-away node of this machine, written down while it lives: whose it is and where its files are. So a
 * later run, or `npm run cluster -- down`, can tidy up after one that was killed.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { isAlive, lookUp, type ProcessId } from "./processTable.ts";
import { sweepNode } from "./sweep.ts";

export interface NodeRecord {
  readonly owner: ProcessId;
  /** Every program of the cluster names this folder in its command line. */
  readonly directory: string;
}

const file = join(tmpdir(), "smtp-relay-cluster.json");

/** Null when no node is written down. */
export function readRecord(): NodeRecord | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as NodeRecord;
  } catch {
    return null;
  }
}

export function writeRecord(directory: string): void {
  const owner = lookUp(process.pid);
  if (owner === null) throw new Error("Cannot find this process in /proc.");
  const record: NodeRecord = { owner: { pid: owner.pid, startedAt: owner.startedAt }, directory };
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(record), { mode: 0o600 });
  renameSync(draft, file);
}

export function forgetRecord(): void {
  rmSync(file, { force: true });
}

/**
 * Makes room for a node: what an owner that has ended left behind is taken away. Throws when the owner lives.
 * Returns whether there was something.
 */
export async function clearLeftovers(): Promise<boolean> {
  const record = readRecord();
  if (record === null) return false;
  if (isAlive(record.owner)) {
    throw new Error(
      `Cannot start a node: process ${record.owner.pid} runs one on this machine; end it first (npm run cluster -- down).`,
    );
  }
  await sweepNode(record.directory);
  forgetRecord();
  return true;
}
