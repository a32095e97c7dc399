/** The relay's file port with a point before and after each operation. */
import { basename } from "node:path";

import type { Files, StoredFile } from "../../../relay/queue/files.ts";
import { die, fails, hit, isLast, within } from "./hit.ts";
import type { Where } from "./table.ts";

/** Whether the relay is reading what a former life left. */
export const phase = { isRecovering: false };

export function pointedFiles(files: Files): Files {
  return {
    makeFolder: (path) => files.makeFolder(path),
    list: (folder) => files.list(folder),
    freeBytes: (path) => files.freeBytes(path),
    async create(path) {
      const where = whereOf(path);
      if (where === null) return files.create(path);
      const file = await within(name(where, "create", "before"), name(where, "create", "after"), () =>
        files.create(path),
      );
      return pointedFile(where, file);
    },
    async open(path) {
      const file = await files.open(path);
      const where = whereOf(path);
      return where === null ? file : pointedFile(where, file);
    },
    rename(from, to) {
      const where = whereOf(from);
      if (where !== "checkpoint" && where !== "birth") return files.rename(from, to);
      return within(`${where}.rename.before`, `${where}.rename.after`, () => files.rename(from, to));
    },
    remove(path) {
      const where = whereOf(path);
      if (where === null || where === "birth") return files.remove(path);
      if (phase.isRecovering)
        return within("recovery.remove.before", "recovery.remove.after", () => files.remove(path));
      return within(`${where}.remove.before`, `${where}.remove.after`, () => files.remove(path));
    },
    syncFolder(path) {
      return phase.isRecovering
        ? within("recovery.folder.sync.before", "recovery.folder.sync.after", () => files.syncFolder(path))
        : within("folder.sync.before", "folder.sync.after", () => files.syncFolder(path));
    },
  };
}

function pointedFile(where: Where, file: StoredFile): StoredFile {
  return {
    async write(buffers, position) {
      hit(name(where, "write", "before"));
      if (isLast(`${where}.write.torn`)) {
        const bytes = Buffer.concat(buffers);
        await file.write([bytes.subarray(0, bytes.length / 2)], position);
        die(`${where}.write.torn`);
      }
      if (fails(where)) {
        const bytes = Buffer.concat(buffers);
        await file.write([bytes.subarray(0, bytes.length / 2)], position);
        throw Object.assign(new Error("a write that the crash suite failed"), { code: "EIO" });
      }
      await file.write(buffers, position);
      hit(name(where, "write", "after"));
    },
    async read(length, position) {
      if (!phase.isRecovering) return file.read(length, position);
      return within("recovery.read.before", "recovery.read.after", () => file.read(length, position));
    },
    datasync: () =>
      within(name(where, "sync", "before"), name(where, "sync", "after"), () => file.datasync()),
    truncate: (bytes) =>
      within(`${where}.truncate.before`, `${where}.truncate.after`, () => file.truncate(bytes)),
    size: () => file.size(),
    close: () => file.close(),
  };
}

/** The log that a recovery begins has points of its own. */
function name<Step extends "create" | "write" | "sync", Side extends "before" | "after">(
  where: Where,
  step: Step,
  side: Side,
) {
  return phase.isRecovering && where === "log"
    ? (`recovery.log.${step}.${side}` as const)
    : (`${where}.${step}.${side}` as const);
}

function whereOf(path: string): Where | null {
  const file = basename(path);
  if (file.startsWith("metadata-")) return "log";
  if (file.startsWith("content-")) return "segment";
  if (file.startsWith("checkpoint-")) return "checkpoint";
  if (file.startsWith("spool.json")) return "birth";
  return file.endsWith(".msg") ? "message" : null;
}
