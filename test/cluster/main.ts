/**
 * npm run cluster: the throw-away cluster of the tests, for a person to try things on.
 *
 *   npm run cluster            brings it up, prints its kubeconfig and what to try, and leaves it running
 *   npm run cluster -- down    takes it away, also after a crash
 *
 * A process of its own (`supervise`) holds the cluster; its lines go to a log beside the kubeconfig.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { sleep, systemClock } from "../../relay/kit/clock.ts";
import { cacheFolder, programPath } from "../support/cluster/binaries.ts";
import { provideCluster, startCluster } from "../support/cluster/cluster.ts";
import { isAlive } from "../support/cluster/node/processTable.ts";
import { clearLeftovers, readRecord } from "../support/cluster/node/record.ts";

const folder = join(cacheFolder(process.env), "cluster");
const files = { kubeconfig: join(folder, "kubeconfig"), log: join(folder, "log") };
const UP_WITHIN_MS = 300_000;
const DOWN_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 100;
const LONGEST_SLEEP_MS = 3_600_000;

const [command = "up", ...rest] = process.argv.slice(2);
const commands: Readonly<Record<string, () => Promise<number>>> = { up, down, supervise };
const run = rest.length === 0 ? commands[command] : undefined;
if (run === undefined) {
  console.error("usage: npm run cluster [-- down]");
  process.exitCode = 2;
} else {
  process.exitCode = await run().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    return 1;
  });
}

async function up(): Promise<number> {
  const record = readRecord();
  if (record !== null && isAlive(record.owner)) {
    console.log("A cluster of this machine is up already.");
    if (existsSync(files.kubeconfig)) console.log(hints());
    return existsSync(files.kubeconfig) ? 0 : 1;
  }
  const provision = await provideCluster((line) => console.log(`  ${line}`), ["helm"]);
  if (provision.kind === "impossible") {
    console.error(provision.reason);
    return 1;
  }
  mkdirSync(folder, { recursive: true });
  rmSync(files.kubeconfig, { force: true });
  const log = openSync(files.log, "w");
  const supervisor = spawn(process.execPath, [import.meta.filename, "supervise"], {
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const deadline = performance.now() + UP_WITHIN_MS;
  let shown = 0;
  // The kubeconfig is written when the node is ready.
  while (!existsSync(files.kubeconfig)) {
    shown = showNew(shown);
    if (supervisor.exitCode !== null || performance.now() > deadline) {
      supervisor.kill("SIGTERM");
      console.error(`Cannot bring the cluster up: see ${files.log}.`);
      return 1;
    }
    await sleep(systemClock, LOOK_EVERY_MS);
  }
  showNew(shown);
  supervisor.unref();
  console.log(hints());
  return 0;
}

async function down(): Promise<number> {
  const record = readRecord();
  if (record === null) {
    console.log("No cluster of ours runs on this machine.");
    return 0;
  }
  const deadline = performance.now() + DOWN_WITHIN_MS;
  if (isAlive(record.owner)) process.kill(record.owner.pid, "SIGTERM");
  while (isAlive(record.owner)) {
    // What it had no time for is swept up below.
    if (performance.now() > deadline) process.kill(record.owner.pid, "SIGKILL");
    await sleep(systemClock, LOOK_EVERY_MS);
  }
  await clearLeftovers();
  rmSync(folder, { recursive: true, force: true });
  console.log("The cluster is gone.");
  return 0;
}

/** Holds the cluster until SIGTERM. */
async function supervise(): Promise<number> {
  const asked = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => asked.abort());
  await using cluster = await startCluster({
    audit: "writes",
    patienceSeconds: 60,
    print: (line) => console.log(line),
  });
  writeFileSync(files.kubeconfig, cluster.api.kubeconfig("admin"), { mode: 0o600 });
  while (!asked.signal.aborted) await sleep(systemClock, LONGEST_SLEEP_MS, asked.signal);
  return 0;
}

function hints(): string {
  return `
  A Kubernetes of one node runs on this machine, for root and loopback only:

    export KUBECONFIG=${files.kubeconfig}
    export PATH="${join(programPath("kubectl"), "..")}:${join(programPath("helm"), "..")}:$PATH"
    kubectl get nodes

  Take it away with:   npm run cluster -- down
`;
}

/** Prints the log from this character on; returns its length. */
function showNew(from: number): number {
  const text = readFileSync(files.log, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  for (const line of whole.slice(from).split("\n").slice(0, -1)) console.log(`  ${line}`);
  return whole.length;
}
