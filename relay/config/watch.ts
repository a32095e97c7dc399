/**
 * Follows the configuration folder: the kubelet's swap of `..data`, or files that somebody renames or
 * writes. The file system's events make it quick; a slow look at the folder makes it sure, because events
 * get lost (a folder that was replaced, a network mount). Whoever watches hears of each new content once,
 * good or refused, one after the other.
 */
import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { lstat, readdir, readlink, stat } from "node:fs/promises";
import { join } from "node:path";

import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import { type ConfigRead, readConfigFolder } from "./read.ts";

export interface WatchOptions {
  readonly dir: string;
  readonly podName: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of the first content and of each other one after it; the next waits until this one resolves. */
  readonly onRead: (read: ConfigRead) => Promise<void> | void;
}

export interface ConfigWatch {
  /** Looks now, for example on SIGHUP. */
  look(): void;
  stop(): void;
}

/** Writers touch several files: the storm of events is waited out. */
const DEBOUNCE_MS = 100;
const POLL_MS = 10_000;

/** Begins with a look at what is there. */
export function watchConfig({ dir, podName, clock, log, onRead }: WatchOptions): ConfigWatch {
  let events: FSWatcher | undefined;
  let isStopped = false;
  let isReading = false;
  let isAskedAgain = false;
  let seen: { readonly signature: string; readonly content: string } | undefined;
  let listenedTo: number | undefined;
  let cancelDebounce = () => {};
  let cancelPoll = () => {};

  function look(): void {
    if (isStopped) return;
    if (isReading) {
      isAskedAgain = true;
      return;
    }
    isReading = true;
    void read().finally(() => {
      isReading = false;
      if (!isAskedAgain) return;
      isAskedAgain = false;
      look();
    });
  }

  async function read(): Promise<void> {
    try {
      // Taken before the content: a change in between gives another signature next time.
      const signature = await folderSignature(dir);
      if (signature === seen?.signature) return;
      await followFolder();
      const found = await readConfigFolder(dir, podName);
      const content = contentOf(found);
      const isNew = content !== seen?.content;
      seen = { signature, content };
      if (isNew && !isStopped) await onRead(found);
    } catch (error) {
      log.error("configuration could not be followed", { dir, error });
    }
  }

  function listen(): void {
    try {
      events = watch(dir, { persistent: false }, () => {
        cancelDebounce();
        cancelDebounce = clock.after(DEBOUNCE_MS, look);
      });
      // The folder went away or the system has no more watches: the slow look goes on.
      events.on("error", deafen);
    } catch {
      deafen();
    }
  }

  /** A folder that was replaced sends its events to nobody: listen to the one that stands there now. */
  async function followFolder(): Promise<void> {
    const inode = await stat(dir).then(
      ({ ino }) => ino,
      () => undefined,
    );
    if (inode === listenedTo && events !== undefined) return;
    listenedTo = inode;
    deafen();
    if (!isStopped) listen();
  }

  function deafen(): void {
    events?.close();
    events = undefined;
  }

  function poll(): void {
    cancelPoll = clock.after(POLL_MS, () => {
      look();
      poll();
    });
  }

  poll();
  look();
  return {
    look,
    stop() {
      isStopped = true;
      cancelDebounce();
      cancelPoll();
      deafen();
    },
  };
}

/** Changes whenever a file of the folder does: cheap to look at, nothing is read. */
async function folderSignature(dir: string): Promise<string> {
  const parts: string[] = [];
  try {
    for (const name of (await readdir(dir)).toSorted()) {
      const stat = await lstat(join(dir, name), { bigint: true });
      const target = stat.isSymbolicLink() ? await readlink(join(dir, name)) : "";
      parts.push(`${name} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${target}`);
    }
  } catch (error) {
    parts.push(String(error));
  }
  return parts.join("\n");
}

function contentOf(read: ConfigRead): string {
  if (!read.ok) return `refused ${read.revision} ${read.reason}`;
  const hash = createHash("sha256").update(JSON.stringify(read.config));
  for (const [name, bytes] of [...read.files].toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    hash.update(`\n${name} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest("hex");
}
