/**
 * The spool's folder before anything is read: created, locked, and of a format this release knows. The
 * birth certificate `spool.json` tells the format and when the folder became a spool; before that instant
 * use of allowances is unknown.
 */
import { join } from "node:path";

import { lockFolder } from "./lock.ts";
import type { Instant } from "../../message.ts";
import type { Files } from "../files.ts";
import { reasonOf } from "./health.ts";
import { FORMAT_VERSION } from "./record.ts";

const NAME = "spool.json";
const LONGEST = 4096;

export interface OpenFolder {
  readonly createdAt: Instant;
  readonly unlock: () => Promise<void>;
}

export async function openFolder(options: {
  directory: string;
  files: Files;
  now: Instant;
}): Promise<OpenFolder> {
  const { directory, files } = options;
  try {
    await files.makeFolder(directory);
  } catch (error) {
    throw new Error(`Cannot open the spool at ${directory}: the folder cannot be made: ${reasonOf(error)}.`, {
      cause: error,
    });
  }
  const unlock = await lockFolder(directory);
  try {
    return { createdAt: (await readBirth(directory, files)) ?? (await writeBirth(options)), unlock };
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function readBirth(directory: string, files: Files): Promise<Instant | null> {
  if (!(await files.list(directory)).includes(NAME)) return null;
  const file = await files.open(join(directory, NAME));
  const text = (await file.read(LONGEST, 0)).toString();
  await file.close();
  const refuse = (fact: string) => new Error(`Cannot open the spool at ${directory}: ${fact}.`);
  let birth: { format?: unknown; createdAt?: unknown };
  try {
    birth = JSON.parse(text) as typeof birth;
  } catch (cause) {
    throw new Error(refuse(`${NAME} is damaged`).message, { cause });
  }
  if (typeof birth.format !== "number" || typeof birth.createdAt !== "string")
    throw refuse(`${NAME} is damaged`);
  if (birth.format > FORMAT_VERSION) {
    throw refuse(`its format is version ${birth.format}, this release knows up to ${FORMAT_VERSION}`);
  }
  const createdAt = Date.parse(birth.createdAt);
  if (Number.isNaN(createdAt)) throw refuse(`${NAME} is damaged`);
  return createdAt;
}

async function writeBirth({
  directory,
  files,
  now,
}: {
  directory: string;
  files: Files;
  now: Instant;
}): Promise<Instant> {
  const temporary = join(directory, `${NAME}.tmp`);
  await files.remove(temporary);
  const file = await files.create(temporary);
  const birth = { format: FORMAT_VERSION, createdAt: new Date(now).toISOString() };
  await file.write([Buffer.from(`${JSON.stringify(birth)}\n`)], 0);
  await file.datasync();
  await file.close();
  await files.rename(temporary, join(directory, NAME));
  await files.syncFolder(directory);
  return now;
}
