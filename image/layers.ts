/**
 * What stands where in the image, in layers by how often they change: libraries, Node, packages, our own code. An
 * update moves only the layers above the first that differs in most releases: a megabyte, not fifty.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { unpackTar } from "modern-tar";

import { type ImageFile, type Layer, PLAIN, PROGRAM, textFile } from "./files.ts";
import { javascriptPath, toJavascript } from "./javascript.ts";
import { outputOf } from "./parts/command.ts";
import type { DebianPackage } from "./parts/debian.ts";
import { readLock } from "./parts/debianLock.ts";
import type { NpmPackage, NpmPackages } from "./parts/npm.ts";
import { isCode, isLicense, keptOfDebian, keptOfPackage, keptOfTree } from "./parts/rules.ts";

/** The user of the chart's pods and of relay pods; owns nothing in the image. */
export const USER_ID = 65_532;
export const APP = "app";

export interface Parts {
  readonly tree: string;
  readonly debian: readonly DebianPackage[];
  readonly npm: NpmPackages;
}

export interface Contents {
  readonly layers: readonly Layer[];
  /** npm packages that are in it, Node's apart. */
  readonly packages: readonly NpmPackage[];
  /** What the rules kept out of the packages layer. */
  readonly leftOutBytes: number;
}

export async function contentsOf({ tree, debian, npm }: Parts): Promise<Contents> {
  const { files, packages, leftOutBytes } = packagesLayer(npm);
  return {
    layers: [
      { name: "base", files: await baseLayer(debian) },
      { name: "node", files: nodeLayer(npm) },
      { name: "packages", files },
      { name: "code", files: codeLayer(tree) },
    ],
    packages,
    leftOutBytes,
  };
}

async function baseLayer(debian: readonly DebianPackage[]): Promise<readonly ImageFile[]> {
  const { release, suite } = readLock();
  const files: ImageFile[] = [
    textFile(
      "etc/passwd",
      `root:x:0:0:root:/root:/sbin/nologin\nsmtp-relay:x:${USER_ID}:${USER_ID}:smtp-relay:/tmp:/sbin/nologin\n`,
    ),
    textFile("etc/group", `root:x:0:\nsmtp-relay:x:${USER_ID}:\n`),
    // /etc/hosts first: kubelet writes hostAliases there.
    textFile("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    // Scanners look here, and under status.d, for what they know flaws of.
    textFile(
      "etc/os-release",
      `PRETTY_NAME="Debian GNU/Linux ${release} (${suite})"\nNAME="Debian GNU/Linux"\nID=debian\n` +
        `VERSION_ID="${release}"\nVERSION="${release} (${suite})"\nVERSION_CODENAME=${suite}\n`,
    ),
    { kind: "folder", path: "tmp", mode: 0o1777 },
  ];
  for (const { name, path } of debian) {
    const control = await outputOf("dpkg-deb", ["--field", path]);
    files.push(textFile(`var/lib/dpkg/status.d/${name}`, control.toString("utf8")));
    files.push(...(await filesOfDebian(path)));
  }
  return files;
}

async function filesOfDebian(path: string): Promise<readonly ImageFile[]> {
  const files: ImageFile[] = [];
  for (const { header, data } of await unpackTar(await outputOf("dpkg-deb", ["--fsys-tarfile", path]))) {
    const name = header.name.replace(/^\.\//, "").replace(/\/$/, "");
    if (!keptOfDebian(name)) continue;
    if (header.type === "symlink") files.push({ kind: "link", path: name, target: header.linkname ?? "" });
    if (header.type === "file") {
      const mode = ((header.mode ?? 0) & 0o100) === 0 ? PLAIN : PROGRAM;
      files.push({ kind: "file", path: name, mode, content: data ?? new Uint8Array() });
    }
  }
  return files;
}

function nodeLayer({ folder, node }: NpmPackages): readonly ImageFile[] {
  const read = (path: string) => readFileSync(join(folder, node, path));
  return [
    { kind: "file", path: "usr/local/bin/node", mode: PROGRAM, content: read("bin/node") },
    { kind: "file", path: "usr/local/share/doc/node/LICENSE", mode: PLAIN, content: read("LICENSE") },
  ];
}

function packagesLayer(npm: NpmPackages) {
  const files: ImageFile[] = [];
  const packages: NpmPackage[] = [];
  let leftOutBytes = 0;
  for (const one of npm.packages) {
    if (one.path === npm.node) continue;
    const all = filesUnder(join(npm.folder, one.path)).map((path) => ({
      path,
      content: readFileSync(join(npm.folder, one.path, path)),
    }));
    const kept = all.filter(({ path }) => keptOfPackage(path));
    const holdsCode = kept.some(({ path }) => isCode(path) && !isLicense(path));
    const taken = holdsCode ? kept : [];
    const bytes = (list: typeof all) => list.reduce((sum, { content }) => sum + content.length, 0);
    leftOutBytes += bytes(all) - bytes(taken);
    if (holdsCode) packages.push(one);
    for (const { path, content } of taken) {
      files.push({ kind: "file", path: `${APP}/${one.path}/${path}`, mode: PLAIN, content });
    }
  }
  return { files, packages, leftOutBytes };
}

/** Our own code, as JavaScript. */
export function codeLayer(tree: string): readonly ImageFile[] {
  const { name, version, type, license } = JSON.parse(
    readFileSync(join(tree, "package.json"), "utf8"),
  ) as Record<string, string>;
  const files: ImageFile[] = [
    textFile(
      `${APP}/package.json`,
      `${JSON.stringify({ name, version, type, license, private: true }, null, 2)}\n`,
    ),
    { kind: "file", path: `${APP}/LICENSE`, mode: PLAIN, content: readFileSync(join(tree, "LICENSE")) },
  ];
  for (const room of ["crds", "operator", "relay", "image/commands"]) {
    for (const file of filesUnder(join(tree, room))) {
      const path = `${room}/${file}`;
      if (!keptOfTree(path)) continue;
      const mode = room === "image/commands" ? PROGRAM : PLAIN;
      const source = readFileSync(join(tree, path));
      const content = path.endsWith(".ts")
        ? Buffer.from(toJavascript(source.toString("utf8"), path))
        : source;
      files.push({ kind: "file", path: `${APP}/${javascriptPath(path)}`, mode, content });
      if (room !== "image/commands") continue;
      const command = `usr/local/bin/${file.replace(/\.mjs$/, "")}`;
      files.push({ kind: "link", path: command, target: `/${APP}/${path}` });
    }
  }
  return files;
}

/** Paths of plain files, nested packages apart; links are of npm's own making. */
function filesUnder(folder: string, prefix = ""): string[] {
  return readdirSync(join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
    const path = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isFile()) return [path];
    return entry.isDirectory() && entry.name !== "node_modules" ? filesUnder(folder, path) : [];
  });
}
