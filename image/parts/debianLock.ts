/**
 * debian.lock.json: the Debian packages of the image, by version and SHA-256. What Node's program is linked to, and
 * nothing else: no shell, no package manager. Node brings its own certificate authorities and time zones.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { z } from "zod";

const file = z.strictObject({
  file: z.string().regex(/^[a-z0-9][a-z0-9+._%~-]*\.deb$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
const lockSchema = z.strictObject({
  /** Suite of Debian the packages are from; its security and update suites too. */
  suite: z.string().regex(/^[a-z]+$/),
  release: z.string().regex(/^\d+$/),
  packages: z.array(z.strictObject({ name: z.string(), version: z.string(), amd64: file, arm64: file })),
});

export type DebianLock = z.infer<typeof lockSchema>;
export type LockedPackage = DebianLock["packages"][number];

export const lockFile = join(import.meta.dirname, "debian.lock.json");

export function readLock(): DebianLock {
  return lockSchema.parse(JSON.parse(readFileSync(lockFile, "utf8")));
}

export function writeLock(lock: DebianLock): void {
  writeFileSync(lockFile, `${JSON.stringify(lockSchema.parse(lock), null, 2)}\n`);
}
