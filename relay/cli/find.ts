/** Finds the admin sockets to ask: one that was named, those of local mode's pods, or a pod's own. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { z } from "zod";

import { bootVariables, mountPaths } from "../contract/endpoints.ts";

export interface AdminSocket {
  /** Name of the pod as far as it is known before it is asked. */
  readonly pod: string;
  readonly socket: string;
}

export type Found =
  | { readonly kind: "sockets"; readonly sockets: readonly AdminSocket[] }
  /** Nothing to ask; the reason says what was looked for and what to do. */
  | { readonly kind: "none"; readonly reason: string };

export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Names the state folder of local mode. */
export const STATE_VARIABLE = "SMTP_RELAY_STATE";
const STATE_FOLDER = ".smtp-relay";
const MOST_PODS = 1000;

/** `pods/<name>/admin.json` in the state folder of local mode. */
const adminNote = z.object({ pod: z.string().min(1).max(253), socket: z.string().min(1).max(4096) });

export function findSockets(
  asked: { readonly state: string | null; readonly socket: string | null },
  { cwd, env }: Surroundings,
): Found {
  if (asked.socket !== null) return named(resolve(cwd, asked.socket));
  if (asked.state !== null) return podsOf(resolve(cwd, asked.state));
  const socket = env[bootVariables.adminSocket];
  if (socket !== undefined && socket !== "") return named(resolve(cwd, socket));
  const state = env[STATE_VARIABLE];
  if (state !== undefined && state !== "") return podsOf(resolve(cwd, state));
  const near = upwards(cwd);
  if (near !== null) return podsOf(near);
  const inPod = join(mountPaths.spool, "admin.sock");
  if (existsSync(inPod)) return named(inPod);
  return {
    kind: "none",
    reason:
      `No relay was found: there is no ${STATE_FOLDER} folder here or above ${cwd}, and no ${inPod}. ` +
      "Go to the folder where local mode runs, or name its state folder with --state or a socket with --socket.",
  };
}

function named(socket: string): Found {
  return { kind: "sockets", sockets: [{ pod: socket, socket }] };
}

function podsOf(state: string): Found {
  const pods = join(state, "pods");
  let names: string[];
  try {
    names = readdirSync(pods).slice(0, MOST_PODS);
  } catch {
    const reason = existsSync(state)
      ? `No relay has run with the state folder ${state} yet. Start local mode: smtp-relay-operator local -f DIR.`
      : `There is no state folder ${state}. Name the one local mode was started with: --state DIR.`;
    return { kind: "none", reason };
  }
  const sockets = names.flatMap((name) => noteOf(join(pods, name, "admin.json")) ?? []);
  if (sockets.length === 0) {
    return {
      kind: "none",
      reason: `No relay runs with the state folder ${state}: no pod left its admin.json there.`,
    };
  }
  const byName = new Intl.Collator("en", { numeric: true });
  return { kind: "sockets", sockets: sockets.toSorted((a, b) => byName.compare(a.pod, b.pod)) };
}

/** Null when the pod has none, or is just writing it. */
function noteOf(file: string): AdminSocket | null {
  try {
    const note = adminNote.safeParse(JSON.parse(readFileSync(file, "utf8")));
    return note.success ? note.data : null;
  } catch {
    return null;
  }
}

function upwards(from: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, STATE_FOLDER);
    if (existsSync(candidate)) return candidate;
    if (dirname(folder) === folder) return null;
  }
}
