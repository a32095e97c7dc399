/** Every implementation of the spool, as the shared suite drives it: open, kill, open again, break, mend. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { silentLog } from "../../../relay/kit/log.ts";
import type { MessageId, QueuedMessage } from "../../../relay/message.ts";
import { openFileSpool } from "../../../relay/queue/fileSpool.ts";
import type { SpoolLimits } from "../../../relay/queue/log/limits.ts";
import { createMemoryDisk, createMemorySpool } from "../../../relay/queue/memorySpool.ts";
import type { Spool } from "../../../relay/queue/spool.ts";
import { FakeClock } from "../../support/fakeClock.ts";
import { FaultyFiles } from "../../support/faultyFiles.ts";
import { queuedMessage } from "../../support/queuedMessage.ts";

export interface Stage {
  readonly clock: FakeClock;
  /** The first life. `recover()` is the test's to call. */
  open(): Promise<Spool>;
  /** The next life on what the one before left at this very moment, as after kill -9. */
  openAfterKill(): Promise<Spool>;
  /** Makes every write fail, or work again. */
  breakDisk(broken: boolean): void;
  /** Makes the disk look nearly full, or free again. */
  fillDisk(full: boolean): void;
  remove(): Promise<void>;
}

export const harnesses: readonly { readonly name: string; readonly stage: () => Promise<Stage> }[] = [
  { name: "memory", stage: async () => memoryStage() },
  { name: "files", stage: () => fileStage() },
  // Small limits: every message of the suite moves through files of its own, segments and checkpoints.
  {
    name: "files, tiny limits",
    stage: () =>
      fileStage({
        inlineBytes: 16,
        segmentBytes: 256,
        checkpointBytes: 512,
        compactionSlackBytes: 64,
        batchBytes: 300,
      }),
  },
];

function memoryStage(): Stage {
  const clock = new FakeClock();
  const disk = createMemoryDisk();
  const open = async () => createMemorySpool({ clock, disk });
  return {
    clock,
    open,
    openAfterKill: open,
    breakDisk: (broken) => {
      disk.failure = broken ? "input/output error" : null;
    },
    fillDisk: (full) => {
      disk.full = full;
    },
    remove: async () => {},
  };
}

export async function fileStage(
  options: Partial<SpoolLimits> = {},
): Promise<Stage & { readonly files: FaultyFiles; directory(): string }> {
  const clock = new FakeClock();
  const files = new FaultyFiles();
  const root = await mkdtemp(join(tmpdir(), "spool-"));
  const lives: Spool[] = [];
  let life = 0;
  const directory = () => join(root, `life-${life}`);
  const open = async () => {
    const spool = await openFileSpool({
      directory: directory(),
      clock,
      log: silentLog,
      files,
      options: { reserveBytes: 0, patienceMs: 0, ...options },
    });
    lives.push(spool);
    return spool;
  };
  return {
    clock,
    files,
    directory,
    open,
    async openAfterKill() {
      // What a killed process leaves is what its files hold: a copy of them, without its lock.
      const before = directory();
      life++;
      await files.frozen(() =>
        cp(before, directory(), {
          recursive: true,
          filter: (source) => !source.startsWith(join(before, "lock")),
        }),
      );
      return open();
    },
    breakDisk: (broken) => files.failWrites(broken ? "EIO" : null),
    fillDisk: (full) => {
      files.reportedFreeBytes = full ? -1 : null;
    },
    async remove() {
      files.failWrites(null);
      for (const spool of lives) await spool.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Writes and commits one message of these chunks. */
export async function put(
  spool: Spool,
  id: MessageId,
  content: string | readonly string[],
  part: Partial<QueuedMessage> = {},
): Promise<QueuedMessage> {
  const chunks = (typeof content === "string" ? [content] : content).map((chunk) => Buffer.from(chunk));
  const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const message = queuedMessage({ id, sizeBytes, ...part });
  const writer = await spool.begin(id);
  for (const chunk of chunks) await writer.write(chunk);
  await writer.commit(message);
  return message;
}

export async function contentOf(
  spool: Spool,
  id: MessageId,
  range?: { start: number; end?: number },
): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of spool.read(id, range)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("latin1");
}

/** The n-th id: a valid ULID that sorts by n. */
export function nthId(n: number): MessageId {
  return `01J${String(n).padStart(23, "0")}`;
}
