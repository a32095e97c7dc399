/**
 * Haraka as a peer: installed by npm into the user's cache at a pinned version (it is no dependency of the
 * product), two nodes, a durable queue of its own, everything to one smart host.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { cacheFolder } from "../../image/cacheFolder.ts";
import { freePort, startProgram, untilListening } from "../support/peers/program.ts";
import type { MeasuredRelay } from "./relays.ts";

export const HARAKA_VERSION = "3.3.4";

/** Its script; installs it when it is missing. Throws with npm's words when it cannot. */
export function provideHaraka(): string {
  const folder = join(cacheFolder(process.env), `haraka-${HARAKA_VERSION}`);
  const script = join(folder, "node_modules/haraka/haraka.js");
  if (existsSync(script)) return script;
  process.stderr.write(`installing Haraka ${HARAKA_VERSION} into ${folder}, once …\n`);
  const done = spawnSync(
    "npm",
    [
      ...["install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
      `haraka@${HARAKA_VERSION}`,
    ],
    { stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" },
  );
  if (done.status !== 0 || !existsSync(script)) {
    throw new Error(`Cannot install Haraka ${HARAKA_VERSION}: npm said: ${done.stderr.trim()}`);
  }
  return script;
}

/** A plugin: whoever is on this machine may relay, and every domain's host is the sink. */
const plugin = (sinkPort: number) => `
exports.register = function () {
  this.register_hook("connect", "trust");
  this.register_hook("rcpt", "take");
  this.register_hook("get_mx", "sink");
};
exports.trust = (next, connection) => { connection.relaying = true; next(); };
exports.take = (next) => next(OK);
exports.sink = (next) => next(OK, [{ priority: 0, exchange: "127.0.0.1", port: ${sinkPort} }]);
`;

export async function startHaraka(sinkPort: number): Promise<MeasuredRelay> {
  const script = provideHaraka();
  const port = await freePort();
  const base = await mkdtemp(join(tmpdir(), "haraka-"));
  const files: Readonly<Record<string, string>> = {
    "config/smtp.ini": `listen=127.0.0.1:${port}\nnodes=2\n`,
    "config/outbound.ini":
      "concurrency_max=50\nenable_tls=false\nlocal_mx_ok=true\nreceived_header=disabled\n",
    "config/me": "haraka.example.test\n",
    "config/loglevel": "WARN\n",
    "config/plugins": "bench\n",
    "plugins/bench.js": plugin(sinkPort),
  };
  for (const folder of ["plugins", "queue"]) await mkdir(join(base, folder));
  // Its own defaults, as `haraka -i` lays them out, and what the bench needs on top.
  await cp(join(dirname(script), "config"), join(base, "config"), { recursive: true });
  for (const [name, content] of Object.entries(files)) await writeFile(join(base, name), content);
  const program = startProgram(process.execPath, [script, "-c", base], {
    cwd: base,
    env: { ...process.env, HARAKA: base },
    logFile: join(base, "haraka.log"),
  });
  await untilListening(program, port);
  return {
    port,
    pid: program.child.pid ?? -1,
    async [Symbol.asyncDispose]() {
      await program.stop();
      await rm(base, { recursive: true, force: true });
    },
  };
}
