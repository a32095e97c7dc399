/**
 * Reads the folder of manifests and says when it has changed.
 *
 * Editors save in many ways: by writing in place, by renaming a new file over the old one, by moving the
 * old one away first. So a change is looked at only when the folder has been still for a moment, and
 * longer when a file is missing, since a save in between looks like a wish to delete. Notices of the
 * system are quick but may be lost (network folders, a folder moved away); a slow look finds the rest.
 */
import { type FSWatcher, watch } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";

import type { Clock } from "../../relay/kit/clock.ts";
import { codeOf } from "./files.ts";
import type { ManifestFile } from "./manifests.ts";
import type { Refusal } from "./manifestYaml.ts";

const extensions = new Set([".yaml", ".yml", ".json"]);
const MAX_FILES = 256;
/** The API server takes no larger object either. */
const MAX_FILE_BYTES = 1_048_576;
const STILL_MS = 100;
const STILL_WITH_MISSING_MS = 800;
const SLOW_LOOK_MS = 1_000;

export interface FolderReading {
  readonly files: readonly ManifestFile[];
  readonly refusals: readonly Refusal[];
}

/** Every manifest file directly in the folder, as `kubectl apply -f DIR` takes them. Never rejects. */
export async function readFolder(folder: string): Promise<FolderReading> {
  let names: string[];
  try {
    names = await manifestNames(folder);
  } catch (error) {
    return {
      files: [],
      refusals: [{ place: null, text: `Cannot read the folder ${folder}: ${codeOf(error)}` }],
    };
  }
  if (names.length > MAX_FILES) {
    const text = `the folder ${folder} holds ${names.length} manifest files, more than the ${MAX_FILES} local mode takes`;
    return { files: [], refusals: [{ place: null, text }] };
  }
  const files: ManifestFile[] = [];
  const refusals: Refusal[] = [];
  for (const name of names) {
    try {
      const text = await readText(join(folder, name));
      if (text === null) continue;
      // An editor that truncates first shows this for an instant; it is no wish to delete.
      if (text.trim() === "") throw new Error("the file is empty; delete it if it is not wanted");
      files.push({ name, text });
    } catch (error) {
      refusals.push({ place: { file: name, line: 1, column: null }, text: codeOf(error) });
    }
  }
  return { files, refusals };
}

/**
 * Calls `onChange` after every change that comes later than this call's resolving, one call at a time.
 * `onChange` never rejects.
 */
export async function watchFolder(options: {
  readonly folder: string;
  readonly clock: Clock;
  readonly onChange: () => Promise<void>;
}): Promise<{ stop(): void }> {
  const watching = new FolderWatch(options);
  await watching.start();
  return watching;
}

type Signatures = ReadonlyMap<string, string>;

class FolderWatch {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #onChange: () => Promise<void>;
  /** What `onChange` was last called for. */
  #told: Signatures = new Map();
  #watcher: FSWatcher | null = null;
  #stopped = false;
  #busy = false;
  #noticedWhileBusy = false;
  #cancelQuick = () => {};
  #cancelSlow = () => {};

  constructor(options: { folder: string; clock: Clock; onChange: () => Promise<void> }) {
    this.#folder = options.folder;
    this.#clock = options.clock;
    this.#onChange = options.onChange;
  }

  async start(): Promise<void> {
    this.#listen();
    this.#told = await signatures(this.#folder);
    this.#lookSlowly();
  }

  stop(): void {
    this.#stopped = true;
    this.#deafen();
    this.#cancelQuick();
    this.#cancelSlow();
  }

  #listen(): void {
    if (this.#watcher !== null || this.#stopped) return;
    try {
      this.#watcher = watch(this.#folder, { persistent: false }, () => this.#lookAfter(STILL_MS, null));
      this.#watcher.on("error", () => this.#deafen());
    } catch {
      // Not there now; the slow look comes back to it.
    }
  }

  #deafen(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  #lookSlowly(): void {
    if (this.#stopped) return;
    this.#cancelSlow = this.#clock.after(SLOW_LOOK_MS, () => {
      this.#listen();
      void this.#look(null).finally(() => this.#lookSlowly());
    });
  }

  #lookAfter(delayMs: number, before: Signatures | null): void {
    this.#cancelQuick();
    if (!this.#stopped) this.#cancelQuick = this.#clock.after(delayMs, () => void this.#look(before));
  }

  /** `before`: what was there when we began to wait for stillness. */
  async #look(before: Signatures | null): Promise<void> {
    if (this.#busy) {
      this.#noticedWhileBusy = true;
      return;
    }
    this.#busy = true;
    try {
      const now = await signatures(this.#folder);
      if (this.#stopped || same(now, this.#told)) return;
      if (before === null || !same(now, before)) {
        const missing = [...this.#told.keys()].some((name) => !now.has(name));
        this.#lookAfter(missing ? STILL_WITH_MISSING_MS : STILL_MS, now);
        return;
      }
      this.#told = now;
      await this.#onChange();
    } finally {
      this.#busy = false;
      if (this.#noticedWhileBusy) this.#lookAfter(STILL_MS, null);
      this.#noticedWhileBusy = false;
    }
  }
}

async function manifestNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder);
  return entries.filter((name) => !name.startsWith(".") && extensions.has(extname(name))).toSorted();
}

/** What tells one state of a file from the next without reading it. */
async function signatures(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of await manifestNames(folder).catch(() => [])) {
    const at = await stat(join(folder, name)).catch(() => null);
    if (at?.isFile() === true) found.set(name, `${at.ino} ${at.size} ${at.mtimeMs}`);
  }
  return found;
}

function same(one: Signatures, other: Signatures): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([name, signature]) => other.get(name) === signature);
}

/** Null for what is no file (a folder or a pipe named x.yaml) and for what has gone meanwhile. */
async function readText(path: string): Promise<string | null> {
  try {
    const at = await stat(path);
    if (!at.isFile()) return null;
    if (at.size > MAX_FILE_BYTES) {
      throw new Error(`the file has ${at.size} bytes, more than the ${MAX_FILE_BYTES} a manifest may have`);
    }
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
