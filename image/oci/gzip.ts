/**
 * Layers as they travel. The deflate is written in JavaScript and pinned like every package: zlib's output differs
 * with the processor it runs on and with the Node around it, and then the digests of one source would differ too.
 *
 * It takes eight seconds for Node's layer, once: results are kept by digest.
 */
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { gzipSync } from "fflate";

import { imageCache, keepNewest } from "../cacheFolder.ts";
import { hexOf } from "./digest.ts";

const LEVEL = 6;
/** Part of the kept file's name: another packer or level never meets its results. */
const METHOD = `fflate-${pinnedVersion()}-${LEVEL}`;
/** Some 50 MB is the largest: a handful of versions for two platforms. */
const MOST_KEPT = 24;

/** `digest` is that of `tar`. */
export function gzipLayer(tar: Uint8Array, digest: string): Uint8Array {
  const folder = imageCache("layers");
  const kept = join(folder, `${hexOf(digest)}.${METHOD}.gz`);
  if (existsSync(kept)) {
    const now = new Date();
    utimesSync(kept, now, now);
    return readFileSync(kept);
  }
  // RFC 1952 §2.3.1: MTIME 0 is "no time stamp".
  const packed = gzipSync(tar, { level: LEVEL, mtime: 0 });
  const draft = join(folder, `.${randomUUID()}`);
  writeFileSync(draft, packed);
  renameSync(draft, kept);
  keepNewest(folder, MOST_KEPT);
  return packed;
}

function pinnedVersion(): string {
  const { devDependencies } = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"),
  ) as { devDependencies: { fflate: string } };
  return devDependencies.fflate;
}
