/**
 * `smtp-relay spool …`: takes the spool's lock, so that no relay runs on it meanwhile, and does what was
 * asked. Exit code 0: all is well; 1: something is damaged, and was named; 2: it could not be done.
 */
import { codeOf, nodeFiles } from "../../queue/files.ts";
import { lockFolder } from "../../queue/log/lock.ts";
import { readSpool } from "../../queue/rescue/readSpool.ts";
import { sayInstead } from "../order.ts";
import { parseSpoolOrder, type SpoolOrder } from "./args.ts";
import { importFrom } from "./import.ts";
import { check, dump, exportTo } from "./look.ts";
import type { SpoolTerminal } from "./terminal.ts";

export type { SpoolTerminal };

export async function runSpool(argv: readonly string[], terminal: SpoolTerminal): Promise<number> {
  const parsed = parseSpoolOrder(argv);
  if (parsed.kind !== "order") return sayInstead(parsed, terminal);
  try {
    return await (parsed.order.command === "import"
      ? importFrom(parsed.order.source, parsed.order.folder, terminal)
      : look(parsed.order, terminal));
  } catch (error) {
    terminal.progress("");
    terminal.err([explained(error)]);
    return 2;
  }
}

async function look(
  order: Exclude<SpoolOrder, { command: "import" }>,
  terminal: SpoolTerminal,
): Promise<number> {
  const { folder } = order;
  const names = await nodeFiles.list(folder).catch((cause: unknown) => {
    throw new Error(
      `Cannot read ${folder}: ${codeOf(cause) === "ENOENT" ? "there is no such folder" : String(cause)}.`,
    );
  });
  if (!names.some((name) => name === "spool.json" || /^(metadata|checkpoint|content)-\d{10}\./.test(name))) {
    throw new Error(`Cannot read ${folder}: it is no spool (there is neither spool.json nor a log in it).`);
  }
  let unlock = async () => {};
  try {
    unlock = await lockFolder(folder);
  } catch (error) {
    // A disk that is mounted read-only has no relay either.
    if (codeOf(error) !== "EROFS") throw error;
  }
  try {
    const spool = await readSpool({ directory: folder, files: nodeFiles, progress: terminal.progress });
    switch (order.command) {
      case "check":
        return await check(spool, order.json, terminal);
      case "dump":
        return await dump(spool, order, terminal);
      case "export":
        return await exportTo(spool, order.target, terminal);
    }
  } finally {
    await unlock();
  }
}

function explained(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.includes(" uses it.")
    ? `${text} Stop that relay first, or copy the folder and look at the copy (without its file "lock").`
    : text;
}
