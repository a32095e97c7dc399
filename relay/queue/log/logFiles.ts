/**
 * The files the metadata log lies in: how they are called, how places in them are numbered, and which may go.
 *
 *   checkpoint-0000000007.log   the state after (at least) log 7
 *   metadata-0000000008.log     changes since; the last one is appended to
 *
 * A file that a checkpoint stands for is deleted; one that could not be read whole is kept under another name.
 */
import { join } from "node:path";

import { type Files, type StoredFile, withFile } from "../files.ts";

/** A record of a log or a checkpoint, for whoever reads it again. */
export interface LogPlace {
  readonly file: number;
  readonly offset: number;
}

type Stem = "metadata" | "checkpoint";

/** Files are numbered for places: logs even, checkpoints odd. */
export const logNumber = (sequence: number) => 2 * sequence;
/** What is pending is in no file: its offset is its number. */
export const PENDING_FILE = 1;
export const checkpointNumber = (sequence: number) => 2 * sequence + 1;
export const isCheckpoint = (file: number) => file % 2 === 1 && file !== PENDING_FILE;
/** The seed of a file's records. */
export const sequenceOf = (file: number) => Math.floor(file / 2);
/** What a damaged file is called when a checkpoint stands for it; releases that do not know it leave it alone. */
export const DAMAGED_SUFFIX = ".damaged";
/** A checkpoint that is being written; no start reads it. */
const UNFINISHED_SUFFIX = ".tmp";

export class LogFiles {
  readonly #files: Files;
  readonly #directory: string;
  /** Names of files that could not be read whole: a checkpoint does not stand for what is gone. */
  readonly #damaged = new Set<string>();

  constructor(files: Files, directory: string) {
    this.#files = files;
    this.#directory = directory;
  }

  /** Everything in the folder, whoever it belongs to. */
  names(): Promise<readonly string[]> {
    return this.#files.list(this.#directory);
  }

  /** The file of a place. Missing once a checkpoint stands for it. */
  pathOf(file: number): string {
    return this.#path(logFileName(file));
  }

  open(stem: Stem, sequence: number): Promise<StoredFile> {
    return this.#files.open(this.#path(nameOf(stem, sequence)));
  }

  /** Opens it for `use` only. */
  read<T>(stem: Stem, sequence: number, use: (file: StoredFile) => Promise<T>): Promise<T> {
    return withFile(this.#files, this.#path(nameOf(stem, sequence)), use);
  }

  /** Its name is durable after `sync`. */
  createLog(sequence: number): Promise<StoredFile> {
    return this.#files.create(this.#path(nameOf("metadata", sequence)));
  }

  removeLog(sequence: number): Promise<void> {
    return this.#files.remove(this.#path(nameOf("metadata", sequence)));
  }

  /** A checkpoint has its name when it is whole (`nameCheckpoint`). */
  createCheckpoint(sequence: number): Promise<StoredFile> {
    return this.#files.create(this.#path(nameOf("checkpoint", sequence) + UNFINISHED_SUFFIX));
  }

  dropCheckpoint(sequence: number): Promise<void> {
    return this.#files.remove(this.#path(nameOf("checkpoint", sequence) + UNFINISHED_SUFFIX));
  }

  async nameCheckpoint(sequence: number): Promise<void> {
    const path = this.#path(nameOf("checkpoint", sequence));
    await this.#files.rename(path + UNFINISHED_SUFFIX, path);
    await this.sync();
  }

  sync(): Promise<void> {
    return this.#files.syncFolder(this.#directory);
  }

  async removeUnfinished(names: readonly string[]): Promise<void> {
    for (const name of names)
      if (name.endsWith(UNFINISHED_SUFFIX)) await this.#files.remove(this.#path(name));
  }

  /** As `noteDamage`, by the number of places. */
  noteUnreadable(file: number): void {
    this.noteDamage(isCheckpoint(file) ? "checkpoint" : "metadata", sequenceOf(file));
  }

  /** This file could not be read whole. */
  noteDamage(stem: Stem, sequence: number): void {
    this.#damaged.add(nameOf(stem, sequence));
  }

  get damaged(): readonly string[] {
    return [...this.#damaged];
  }

  /** Those that the checkpoint `covered` stands for. */
  async removeCovered(covered: number, names: readonly string[]): Promise<void> {
    for (const sequence of sequencesOf(names, "metadata")) {
      if (sequence <= covered) await this.#putAway(nameOf("metadata", sequence));
    }
    for (const sequence of sequencesOf(names, "checkpoint")) {
      if (sequence < covered) await this.#putAway(nameOf("checkpoint", sequence));
    }
  }

  #putAway(name: string): Promise<void> {
    const path = this.#path(name);
    return this.#damaged.has(name)
      ? this.#files.rename(path, `${path}${DAMAGED_SUFFIX}`)
      : this.#files.remove(path);
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

/** What a start reads: the last checkpoint (0: there is none), then the logs it does not stand for, in order. */
export function standingLogs(names: readonly string[]): {
  readonly checkpoint: number;
  readonly logs: readonly number[];
} {
  const checkpoint = Math.max(0, ...sequencesOf(names, "checkpoint"));
  const logs = sequencesOf(names, "metadata").filter((sequence) => sequence > checkpoint);
  return { checkpoint, logs: logs.toSorted((a, b) => a - b) };
}

/** The file of a place. */
export function logFileName(file: number): string {
  return nameOf(isCheckpoint(file) ? "checkpoint" : "metadata", sequenceOf(file));
}

/** Of a log or a checkpoint, damaged ones too; null: it is neither. */
export function sequenceOfLog(name: string): number | null {
  const whole = name.endsWith(DAMAGED_SUFFIX) ? name.slice(0, -DAMAGED_SUFFIX.length) : name;
  const [sequence] = [...sequencesOf([whole], "metadata"), ...sequencesOf([whole], "checkpoint")];
  return sequence ?? null;
}

function sequencesOf(names: readonly string[], stem: Stem): number[] {
  return names.flatMap((name) => {
    const match = /^([a-z]+)-(\d{10})\.log$/.exec(name);
    return match?.[1] === stem ? [Number(match[2])] : [];
  });
}

function nameOf(stem: Stem, sequence: number): string {
  return `${stem}-${String(sequence).padStart(10, "0")}.log`;
}
