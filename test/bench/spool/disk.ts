/** What a folder takes of the disk. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Blocks that are allocated to its files: not what a sparse file says of itself. */
export function storedBytes(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder)) bytes += statSync(join(folder, name)).blocks * 512;
  return bytes;
}
