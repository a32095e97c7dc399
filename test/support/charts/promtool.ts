/**
 * promtool out of Debian's package of Prometheus, unpacked into the cache: to install the package would leave
 * a monitoring server on the machine for the sake of one checker.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { cacheFolder } from "../../../image/cacheFolder.ts";
import { findProgram } from "../peers/debian.ts";

const PACKAGE = "prometheus";
/** Fifty megabytes from a slow mirror. */
const LONGEST_MS = 300_000;

function cached(): string {
  return join(cacheFolder(process.env), "promtool-debian", "usr/bin/promtool");
}

export function findPromtool(): string | undefined {
  return findProgram("promtool") ?? (existsSync(cached()) ? cached() : undefined);
}

/** Makes sure that findPromtool finds it; the reason why not is one line. */
export function providePromtool(
  print: (line: string) => void,
): { readonly kind: "present" } | { readonly kind: "impossible"; readonly reason: string } {
  if (findPromtool() !== undefined) return { kind: "present" };
  print("unpacking promtool from Debian's package of Prometheus …");
  const folder = mkdtempSync(join(tmpdir(), "promtool-"));
  try {
    const run = (program: string, ...words: string[]) =>
      spawnSync(program, words, { cwd: folder, encoding: "utf8", timeout: LONGEST_MS });
    const wanted = ["-q", "-o", "APT::Sandbox::User=", "download", PACKAGE];
    let fetched = run("apt-get", ...wanted);
    if (fetched.status !== 0) {
      // A new machine has no lists yet.
      run("apt-get", "update", "-qq");
      fetched = run("apt-get", ...wanted);
    }
    const archive = readdirSync(folder).find((file) => file.endsWith(".deb"));
    const said = fetched.error?.message ?? fetched.stderr.trim().split("\n").at(-1) ?? "";
    if (archive === undefined) return { kind: "impossible", reason: `Cannot get promtool: ${said}` };
    const unpacked = run("dpkg-deb", "-x", archive, "root");
    if (unpacked.status !== 0)
      return { kind: "impossible", reason: `Cannot unpack promtool: ${unpacked.stderr}` };
    const target = join(cacheFolder(process.env), "promtool-debian");
    rmSync(target, { recursive: true, force: true });
    // The cache may be on another device.
    const copied = run("cp", "-a", "root", `${target}.new`);
    if (copied.status !== 0) return { kind: "impossible", reason: `Cannot keep promtool: ${copied.stderr}` };
    renameSync(`${target}.new`, target);
    return { kind: "present" };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
