/**
 * Relays that a former local mode left running when it was killed: they hold spools and ports. They are
 * asked to stop, as Ctrl-C would have done, before anything is started.
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { type Clock, sleep } from "../../relay/kit/clock.ts";
import { isAlive, processIdentity, type ProcessIdentity, signalProcess } from "./processes.ts";

const GRACE_SECONDS = 30;
const LOOK_MS = 50;

/** Resolves to the names of the pods whose processes were ended. */
export async function stopOrphans(pods: string, clock: Clock): Promise<string[]> {
  const orphans: { readonly pod: string; readonly process: ProcessIdentity }[] = [];
  for (const pod of folders(pods)) {
    const note = join(pods, pod, "process.json");
    const process = readIdentity(note);
    if (process !== null && isAlive(process)) orphans.push({ pod, process });
    rmSync(note, { force: true });
  }
  for (const { process } of orphans) signalProcess(process, "SIGTERM");
  const deadline = clock.now() + GRACE_SECONDS * 1000;
  while (orphans.some(({ process }) => isAlive(process))) {
    if (clock.now() >= deadline) for (const { process } of orphans) signalProcess(process, "SIGKILL");
    await sleep(clock, LOOK_MS);
  }
  return orphans.map(({ pod }) => pod);
}

function folders(root: string): string[] {
  try {
    return readdirSync(root);
  } catch {
    return [];
  }
}

function readIdentity(path: string): ProcessIdentity | null {
  try {
    return processIdentity.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null;
  }
}
