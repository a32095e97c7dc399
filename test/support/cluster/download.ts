/**
 * Official release files: fetched, compared with the SHA-256 published beside them, unpacked. A network that
 * says no, or says nothing, is expected: the caller then goes another way.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { runProgram } from "../peers/program.ts";
import type { Release } from "./programs.ts";

/** The answer to the first, small request must come within this. */
const FIRST_ANSWER_MS = 3000;
/** The whole file: 120 MB at 1 MB/s. */
const WHOLE_FILE_MS = 180_000;
const LONGEST_CHECKSUM_FILE = 1_048_576;

/** Puts the program at `target`; false when it cannot be had this way. Nothing half-done stays behind. */
export async function download(release: Release, target: string): Promise<boolean> {
  const checksum = await publishedChecksum(release);
  if (checksum === null) return false;
  const scratch = await mkdtemp(join(dirname(target), ".download-"));
  try {
    const file = join(scratch, "file");
    const response = await fetch(release.url, { signal: AbortSignal.timeout(WHOLE_FILE_MS) });
    if (!response.ok || response.body === null) return false;
    await pipeline(Readable.fromWeb(response.body), createWriteStream(file, { mode: 0o755 }));
    if ((await sha256(file)) !== checksum) return false;
    if (release.member === undefined) {
      await rename(file, target);
    } else {
      await runProgram("tar", ["-xzf", file, "-C", scratch, release.member]);
      await rename(join(scratch, release.member), target);
    }
    return true;
  } catch {
    return false;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Either one bare digest, or lines of "digest  name". */
async function publishedChecksum(release: Release): Promise<string | null> {
  try {
    const response = await fetch(release.checksumUrl, { signal: AbortSignal.timeout(FIRST_ANSWER_MS) });
    if (!response.ok) return null;
    const text = await response.text();
    if (text.length > LONGEST_CHECKSUM_FILE) return null;
    const name = basename(new URL(release.url).pathname);
    const line = text.split("\n").find((one) => one.trim().endsWith(name)) ?? text;
    return /^\s*([0-9a-f]{64})(\s|$)/i.exec(line)?.[1]?.toLowerCase() ?? null;
  } catch {
    return null;
  }
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
