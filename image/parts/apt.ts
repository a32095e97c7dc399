/**
 * apt's own client with a state of its own: it reads the machine's sources and keys, but no package of the machine
 * and no rights are needed, and another architecture than the machine's is as good.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Architecture } from "../oci/archive.ts";
import { runToEnd } from "./command.ts";

export interface ServedFile {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
}

export interface Apt {
  /** What Debian serves now of these packages; those it has no word of are left out. */
  served(names: readonly string[]): Promise<readonly ServedFile[]>;
  /** Downloads one version into the folder; false when it is not served. */
  download(name: string, version: string, folder: string): Promise<boolean>;
  /** Forgets the lists. */
  close(): void;
}

/** Fetches the lists of packages, which takes some ten seconds. The reason as text where there is no apt. */
export async function openApt(architecture: Architecture, suite: string): Promise<Apt | string> {
  const folder = mkdtempSync(join(tmpdir(), "image-apt-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "lists", "partial"), { recursive: true });
  mkdirSync(join(folder, "cache", "archives", "partial"), { recursive: true });
  const settings = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures::=${architecture}`,
    `APT::Default-Release=/^${suite}(|-security|-updates)$/`,
    // As the user who asks: the folder is theirs, and nothing is installed.
    `APT::Sandbox::User=`,
    `Acquire::Languages=none`,
    `Acquire::http::Timeout=20`,
    `Acquire::https::Timeout=20`,
    `Dir::State=${folder}`,
    `Dir::State::lists=${join(folder, "lists")}`,
    `Dir::State::status=/dev/null`,
    `Dir::Cache=${join(folder, "cache")}`,
  ].flatMap((setting) => ["-o", setting]);
  const apt = async (words: readonly string[], cwd: string) =>
    await runToEnd("apt-get", [...settings, "-q", ...words], { cwd, env: { ...process.env, LC_ALL: "C" } });

  // A source that does not answer is no reason to give up: what is wanted may stand in another.
  const updated = await apt(["update"], folder);
  if (updated.code === null) {
    remove();
    return `this machine has no apt-get (${updated.err})`;
  }
  return {
    async served(names) {
      const found: ServedFile[] = [];
      for (const name of names) {
        const { code, out } = await apt(["download", "--print-uris", name], folder);
        // 'URI' FILE SIZE SHA256:…
        const line = / (\S+\.deb) \d+ SHA256:([0-9a-f]{64})/.exec(out.toString("utf8"));
        const [, file, sha256] = line ?? [];
        if (code !== 0 || file === undefined || sha256 === undefined) continue;
        found.push({ name, version: versionIn(file), file, sha256 });
      }
      return found;
    },
    async download(name, version, target) {
      const { code } = await apt(["download", `${name}=${version}`], target);
      return code === 0;
    },
    close: remove,
  };
}

/** NAME_VERSION_ARCHITECTURE.deb, where a colon is written %3a. */
function versionIn(file: string): string {
  return decodeURIComponent(file.split("_")[1] ?? "");
}
