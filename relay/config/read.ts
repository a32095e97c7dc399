/**
 * From the bytes of the configuration folder to a RelayConfig that can be put in force, or a refusal that
 * says where and why. All or nothing: what a revision names (certificate, DKIM keys, passwords of smart
 * hosts) is read and tried here, so that applying it later does not fail half-way.
 *
 * Reads one consistent state: where the kubelet swaps `..data`, the folder behind that link; else the files
 * as they lie there, once more when they changed under our hands.
 */
import { open, realpath } from "node:fs/promises";
import { join } from "node:path";

import type { z } from "zod";

import { CONFIG_VERSION, type RelayConfig, relayConfig } from "../contract/config.ts";
import { configFiles } from "../contract/endpoints.ts";
import { type ConfigFiles, findContradiction, type PodConfig } from "./check.ts";
import { findJsonMistake } from "./jsonPosition.ts";

export interface GoodConfig {
  readonly ok: true;
  readonly config: RelayConfig;
  /** The entry of this pod. */
  readonly pod: PodConfig;
  readonly files: ConfigFiles;
}

export interface RefusedConfig {
  readonly ok: false;
  /** Revision of what was refused, when it could be read. */
  readonly revision: string | null;
  /** At most 2 KiB; names the place and the fact. */
  readonly reason: string;
}

export type ConfigRead = GoodConfig | RefusedConfig;

/** Ten thousand domains with their keys make some 4 MiB. */
const LARGEST_CONFIG_BYTES = 16 * 1024 * 1024;
const LARGEST_FILE_BYTES = 1024 * 1024;
const LONGEST_REASON = 2048;
const MOST_ISSUES = 5;
/** A folder that changes faster than it can be read three times is not ours to follow. */
const MOST_TRIES = 3;

/** Reads the folder. Never rejects: what cannot be read is a refusal. */
export async function readConfigFolder(dir: string, podName: string): Promise<ConfigRead> {
  for (let attempt = 1; ; attempt++) {
    try {
      const state = await readState(dir);
      const read = parseConfig(state.bytes, state.files, podName);
      // What was missing or odd may have been the middle of a change.
      if (read.ok || attempt === MOST_TRIES || (await isUnchanged(dir, state))) return read;
    } catch (error) {
      if (attempt === MOST_TRIES) return refused(null, `Cannot read ${dir}: ${factOf(error)}`);
    }
  }
}

/** Judges the bytes of relay.json with the files beside it. Pure but for the cryptography. */
export function parseConfig(bytes: Buffer, files: ConfigFiles, podName: string): ConfigRead {
  const json = readJson(bytes);
  if (!json.ok) return refused(null, json.reason);
  const revision = revisionOf(json.value);
  const parsed = relayConfig.safeParse(json.value);
  if (!parsed.success) return refused(revision, `relay.json: ${issuesText(parsed.error.issues)}`);
  const config = parsed.data;
  const pod = config.pods.find((entry) => entry.name === podName);
  const reason =
    pod === undefined
      ? `pods has no entry for ${podName}; it has ${listText(config.pods.map((entry) => entry.name))}`
      : findContradiction(config, pod, files);
  if (pod === undefined || reason !== undefined) return refused(revision, `relay.json: ${reason ?? ""}`);
  const named = namedFiles(config);
  return { ok: true, config, pod, files: new Map([...files].filter(([name]) => named.has(name))) };
}

/** Every file the configuration names. */
export function namedFiles(config: RelayConfig): ReadonlySet<string> {
  const passwords = config.routes.flatMap(({ to }) =>
    to.kind === "smarthost" && to.passwordFile !== null ? [to.passwordFile] : [],
  );
  const keys = config.domains.flatMap((domain) => domain.dkim.map((key) => key.file));
  return new Set([config.certificate.certFile, config.certificate.keyFile, ...keys, ...passwords]);
}

// --- the folder ---

interface FolderState {
  /** The folder the state was read from, links resolved. */
  readonly folder: string;
  readonly bytes: Buffer;
  readonly files: ConfigFiles;
}

async function readState(dir: string): Promise<FolderState> {
  const folder = await resolved(dir);
  const bytes = await readBounded(join(folder, configFiles.config), LARGEST_CONFIG_BYTES);
  const files = new Map<string, Buffer>();
  const json = readJson(bytes);
  const parsed = json.ok ? relayConfig.safeParse(json.value) : undefined;
  for (const name of parsed?.success === true ? namedFiles(parsed.data) : []) {
    try {
      files.set(name, await readBounded(join(folder, name), LARGEST_FILE_BYTES));
    } catch (error) {
      // A missing file is told where it is named.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  return { folder, bytes, files };
}

async function isUnchanged(dir: string, state: FolderState): Promise<boolean> {
  if ((await resolved(dir)) !== state.folder) return false;
  return state.bytes.equals(await readBounded(join(state.folder, configFiles.config), LARGEST_CONFIG_BYTES));
}

/** The kubelet's atomic writer keeps each state in a folder of its own and points `..data` at it. */
async function resolved(dir: string): Promise<string> {
  try {
    return await realpath(join(dir, "..data"));
  } catch {
    return dir;
  }
}

async function readBounded(path: string, mostBytes: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > mostBytes) throw new Error(`${path} has ${size} bytes, more than ${mostBytes}`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

// --- the document ---

function readJson(bytes: Buffer): { ok: true; value: unknown } | { ok: false; reason: string } {
  const text = bytes.toString("utf8");
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch {
    const { line, column } = findJsonMistake(text);
    return { ok: false, reason: `relay.json is not JSON: line ${line}, column ${column}` };
  }
}

function revisionOf(value: unknown): string | null {
  const revision = (value as { revision?: unknown } | null)?.revision;
  return typeof revision === "string" ? revision.slice(0, 64) : null;
}

function issuesText(issues: readonly z.core.$ZodIssue[]): string {
  const unknownVersion = issues.find((issue) => issue.path.length === 1 && issue.path[0] === "version");
  if (unknownVersion !== undefined) return `version is not ${CONFIG_VERSION}, the one this relay reads`;
  const told = issues.slice(0, MOST_ISSUES).map((issue) => {
    const path = issue.path
      .map((part, index) =>
        typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${String(part)}`,
      )
      .join("");
    return `${path === "" ? "the document" : path}: ${issue.message}`;
  });
  const more = issues.length - told.length;
  return told.join("; ") + (more > 0 ? `; and ${more} more` : "");
}

function refused(revision: string | null, reason: string): RefusedConfig {
  return { ok: false, revision, reason: reason.slice(0, LONGEST_REASON) };
}

function listText(names: readonly string[]): string {
  const shown = names.slice(0, MOST_ISSUES).join(", ");
  return names.length === 0 ? "none" : shown + (names.length > MOST_ISSUES ? ", …" : "");
}

function factOf(error: unknown): string {
  return error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
}
