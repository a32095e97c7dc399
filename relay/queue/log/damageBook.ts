/**
 * `damage.json`: that a life of the relay found logs it could not read all of. Messages may have been in what is
 * gone, and their content looks like that of delivered ones; so the damaged logs are kept when a checkpoint stands
 * for them, and everything that was in the folder then stays, until a person has looked and removes the file
 * (docs/runbooks/broken-disk.md).
 */
import { join } from "node:path";

import { type Files, ignoreFailure } from "../files.ts";

export const DAMAGE_NAME = "damage.json";
const LONGEST = 64 * 1024;

export interface KnownDamage {
  /** When it was found first. */
  readonly at: string;
  /** Bytes of logs and journals that could not be read, over all lives. */
  readonly bytes: number;
  /** Logs, checkpoints and segments they were in. */
  readonly files: readonly string[];
  /** Content up to this segment, and large messages up to this time, may belong to a message that is lost. */
  readonly segmentsThrough: number;
  readonly messagesThrough: string;
}

/** Null when there is none. One that cannot be read itself stands for the worst: everything is kept. */
export async function readDamage(files: Files, directory: string): Promise<KnownDamage | null> {
  if (!(await files.list(directory)).includes(DAMAGE_NAME)) return null;
  const file = await files.open(join(directory, DAMAGE_NAME));
  try {
    return JSON.parse((await file.read(LONGEST, 0)).toString()) as KnownDamage;
  } catch {
    const segmentsThrough = 0xffff_ffff;
    const messagesThrough = new Date(8.64e15).toISOString();
    return { at: new Date(0).toISOString(), bytes: 1, files: [], segmentsThrough, messagesThrough };
  } finally {
    await file.close();
  }
}

export async function writeDamage(files: Files, directory: string, damage: KnownDamage): Promise<void> {
  const temporary = join(directory, `${DAMAGE_NAME}.tmp`);
  await files.remove(temporary);
  const file = await files.create(temporary);
  try {
    await file.write([Buffer.from(`${JSON.stringify(damage, null, 2)}\n`)], 0);
    await file.datasync();
  } finally {
    await ignoreFailure(file.close());
  }
  await files.rename(temporary, join(directory, DAMAGE_NAME));
  await files.syncFolder(directory);
}
