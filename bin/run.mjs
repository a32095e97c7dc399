#!/usr/bin/env node
// Runs a TypeScript entry point (or a tool of node_modules with --bin) on the project's Node 24.
//
// Whatever Node the machine has (20 or newer) only runs this file: it installs the locked packages
// when they are missing or stale, finds a Node that strips types, and hands over. No dependencies,
// no TypeScript, so that it works in a fresh clone.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const WANTED_MAJOR = 24;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampFile = join(root, "node_modules", ".installed-from");

const [first, ...rest] = process.argv.slice(2);
if (first === undefined || first === "--help") {
  console.log("usage: node bin/run.mjs ENTRY.ts [ARG ...]\n       node bin/run.mjs --bin TOOL [ARG ...]");
  process.exit(first === undefined ? 2 : 0);
}

installPackages();
const node = findNode();
const command =
  first === "--bin"
    ? [join(root, "node_modules", ".bin", rest[0]), ...rest.slice(1)]
    : [join(root, first), ...rest];
const child = spawn(node, command, {
  stdio: "inherit",
  // Child processes of the program find the same Node first.
  env: { ...process.env, PATH: `${dirname(node)}:${process.env.PATH ?? ""}` },
});
// The terminal sends Ctrl-C to the whole group: the program stops in its own order, we wait for it.
process.on("SIGINT", () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
});

/** Installs what package-lock.json names, once per content of that file. */
function installPackages() {
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === lock) return;
  console.error("smtp-relay-operator: installing packages (npm ci), once …");
  // npm's engine warnings speak of the Node that runs npm; the programs run on Node 24.
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const done = spawnSync(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (done.error !== undefined || done.status !== 0) {
    console.error(
      `Cannot install the packages of package-lock.json: npm ci ${done.error?.message ?? `ended with ${done.status}`}. ` +
        "Check that npm is on the PATH and reaches its registry, then run the command again.",
    );
    process.exit(1);
  }
  linkOwnCommands();
  writeFileSync(stampFile, lock);
}

/** `npx smtp-relay` in the checkout finds the commands of this package like any installed one. */
function linkOwnCommands() {
  const folder = join(root, "node_modules", ".bin");
  mkdirSync(folder, { recursive: true });
  for (const name of ["smtp-relay", "smtp-relay-operator"]) {
    rmSync(join(folder, name), { force: true });
    symlinkSync(join("..", "..", "bin", `${name}.mjs`), join(folder, name));
  }
}

/** The pinned binary from node_modules, else this very Node when it is new enough. */
function findNode() {
  const packaged = join(root, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");
  if (existsSync(packaged)) {
    if (spawnSync(packaged, ["--version"]).status === 0) return packaged;
  }
  if (Number(process.versions.node.split(".")[0]) >= WANTED_MAJOR) return process.execPath;
  console.error(
    `Cannot start: Node ${WANTED_MAJOR} or newer is needed, this is ${process.versions.node}, and no packaged binary runs on ` +
      `${process.platform}-${process.arch} (there is one for linux-x64 and linux-arm64). ` +
      `Install Node ${WANTED_MAJOR} (nodejs.org, nvm, fnm or your system's packages) and run the command again.`,
  );
  process.exit(1);
}
