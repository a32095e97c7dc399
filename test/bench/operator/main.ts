/**
 * `npm run bench:operator`: the operator at scale, against a real API server: memory, cold start, edits while
 * everything is listed anew, and silence at steady state.
 *
 *   npm run bench:operator -- [--domains N] [--relays N] [--pools N] [--namespaces N] [--runs N] [--json]
 *
 * docs/operator-scale.md says what each line means and what it is held to.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { renderTable } from "../../../relay/kit/table.ts";
import { providePrograms } from "../../support/cluster/binaries.ts";
import { apiServerPrograms, KUBERNETES_VERSION } from "../../support/cluster/programs.ts";
import { installPeers, peers } from "../../support/peers/debian.ts";
import { type ColdStart, coldStart, type Edits, editWhileRelisting, p99, settle } from "./measures.ts";
import { chartMemoryLimit } from "./memoryLimit.ts";
import { type Spread, spread } from "../spread.ts";
import { memoryOf, percentile, round } from "./observed.ts";
import { cannotEnter, enter, furnish, isInside } from "./place.ts";
import type { Sizes } from "./population.ts";
import { setStage } from "./stage.ts";

const usage = `usage: npm run bench:operator -- [options]

Starts an API server, fills it, and measures \`smtp-relay-operator run\` on it. Needs Linux and root, for a network
namespace of its own; nothing is left behind. The full size takes about fifteen minutes on two cores.

  --domains N         SendingDomains (default 10000)
  --relays N          SmtpRelays (default 500)
  --pools N           IpPools of two addresses (default 500)
  --namespaces N      they are spread over (default 50; 1: all in one)
  --replicas N        pods of a relay (default 1)
  --runs N            cold starts and rounds of edits (default 3)
  --edits N           edits in each run (default 200; 0: none)
  --steady-seconds N  how long writes are counted after each cold start (default 120)
  --node-flag FLAG    for the operator's node, as --cpu-prof (repeatable)
  --entry FILE        measure another operator/main.js or main.ts than the one that ships, which settles
  --directory DIR     where the operator runs, and leaves its profiles
  --stay              keep the stage and measure again at each line of standard input, which may be
                      "RUNS EDITS STEADY-SECONDS" to have others than the options', and flags for node
  --json              one JSON document on standard output; progress goes to standard error
  -h, --help          this text
`;

const { values } = parseArgs({
  options: {
    domains: { type: "string", default: "10000" },
    relays: { type: "string", default: "500" },
    pools: { type: "string", default: "500" },
    namespaces: { type: "string", default: "50" },
    replicas: { type: "string", default: "1" },
    runs: { type: "string", default: "3" },
    edits: { type: "string", default: "200" },
    "steady-seconds": { type: "string", default: "120" },
    "node-flag": { type: "string", multiple: true, default: [] },
    entry: { type: "string" },
    directory: { type: "string" },
    stay: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const count = (
  name: "domains" | "relays" | "pools" | "namespaces" | "replicas" | "runs" | "edits" | "steady-seconds",
  least: number,
) => {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= least && number <= 100_000) return number;
  process.stderr.write(`--${name} ${values[name]}: must be a whole number of at least ${least}\n${usage}`);
  return process.exit(2);
};
const sizes: Sizes = {
  domains: count("domains", 1),
  relays: count("relays", 1),
  pools: count("pools", 1),
  namespaces: count("namespaces", 1),
  replicas: count("replicas", 1),
};
const runs = count("runs", 1);
const edits = count("edits", 0);
const steadySeconds = count("steady-seconds", 1);
if (sizes.namespaces > Math.min(sizes.relays, sizes.pools)) {
  process.stderr.write("--namespaces: each needs a relay and a pool\n");
  process.exit(2);
}

const say = (line: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);

if (!isInside()) {
  const why = cannotEnter();
  if (why !== null) {
    process.stderr.write(`Cannot measure: ${why}\n`);
    process.exit(1);
  }
  const provision = await providePrograms(apiServerPrograms, { print: say });
  const installed = installPeers(
    say,
    peers.filter((peer) => peer.program === "nsd"),
  );
  for (const step of [provision, installed]) {
    if (step.kind !== "impossible") continue;
    process.stderr.write(`Cannot measure: ${step.reason}\n`);
    process.exit(1);
  }
  process.exit(await enter([import.meta.filename, ...process.argv.slice(2)]));
}

const folder = mkdtempSync(join(tmpdir(), "bench-operator-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
await furnish(folder);
using limit = chartMemoryLimit();
if (limit === null) say("no control group can be made here: the operator runs without the chart's limit");
const common = {
  nodeFlags: values["node-flag"],
  entry: values.entry ?? null,
  limit,
  directory: values.directory ?? folder,
};
await using stage = await setStage(sizes, say);
await settle(stage, sizes, { ...common, nodeFlags: [], entry: null, limit: null }, say);

interface Run {
  readonly cold: ColdStart;
  readonly edits: Edits | null;
}

async function measure(
  runs: number,
  edits: number,
  steadySeconds: number,
  moreFlags: readonly string[] = [],
): Promise<void> {
  const launch = { ...common, nodeFlags: [...common.nodeFlags, ...moreFlags] };
  const measured: Run[] = [];
  for (let run = 1; run <= runs; run++) {
    const cold = await coldStart(stage, sizes, launch, steadySeconds);
    say(
      `run ${run}/${runs}: cold start ${cold.seconds.toFixed(1)} s (${cold.cpuSeconds.toFixed(1)} s CPU), ${cold.writes.length} writes, ` +
        `RSS ${cold.peakMegabytes} peak ${cold.settledMegabytes} settled, block ${cold.longestBlockMilliseconds} ms; ` +
        `steady ${cold.steadyWrites.length} writes, block ${cold.steadyLongestBlockMilliseconds} ms, CPU ${cold.steadyCpuPercent} %`,
    );
    for (const write of new Set([...cold.writes, ...cold.steadyWrites].slice(0, 10)))
      say(`  wrote: ${write}`);
    const edited = edits === 0 ? null : await editWhileRelisting(stage, sizes, launch, edits, say);
    if (edited !== null) {
      say(
        `run ${run}/${runs}: ${edited.seconds.length} edits, P50 ${percentile(edited.seconds, 0.5)} s, P99 ${p99(edited.seconds)} s, ` +
          `block ${edited.longestBlockMilliseconds} ms, RSS peak ${edited.peakMegabytes}`,
      );
      // What was edited comes to rest before the next cold start.
      await settle(stage, sizes, { ...launch, nodeFlags: [], entry: null, limit: null }, () => {});
    }
    measured.push({ cold, edits: edited });
  }
  report(measured, steadySeconds);
}

function report(measured: readonly Run[], steadySeconds: number): void {
  const over = (of: (run: Run) => number): Spread => spread(measured.map(of));
  const worst = (of: (run: Run) => number): number => Math.max(...measured.map(of));
  const editSeconds = measured.flatMap((run) => run.edits?.seconds ?? []);
  const relistSeconds = measured.flatMap((run) => run.edits?.duringRelist ?? []);
  const blocks = (run: Run) =>
    Math.max(
      run.cold.longestBlockMilliseconds,
      run.cold.steadyLongestBlockMilliseconds,
      run.edits?.longestBlockMilliseconds ?? 0,
    );
  const peak = (run: Run) => Math.max(run.cold.peakMegabytes, run.edits?.peakMegabytes ?? 0);
  const perMinute = (run: Run) => (run.cold.steadyWrites.length * 60) / steadySeconds;
  const memory = (half: "etcd" | "kube-apiserver") => {
    const pid = stage.api.pid(half);
    return pid === null ? null : memoryOf(pid).peakMegabytes;
  };
  const document = {
    rssMegabytes: worst(peak),
    rssPeakMegabytes: over(peak),
    rssSettledMegabytes: over((run) => run.cold.settledMegabytes),
    coldStartSeconds: worst((run) => run.cold.seconds),
    coldStart: over((run) => run.cold.seconds),
    coldStartCpuSeconds: over((run) => run.cold.cpuSeconds),
    writesUnchanged: worst((run) => run.cold.writes.length),
    editToStatusP99Seconds: editSeconds.length === 0 ? null : worst((run) => p99(run.edits?.seconds ?? [])),
    editToStatusMedianSeconds: editSeconds.length === 0 ? null : percentile(editSeconds, 0.5),
    editToStatusP99: over((run) => p99(run.edits?.seconds ?? [])),
    edits: editSeconds.length,
    editsDuringRelist: relistSeconds.length,
    editDuringRelistP99Seconds: relistSeconds.length === 0 ? null : p99(relistSeconds),
    longestBlockMilliseconds: worst(blocks),
    longestBlock: over(blocks),
    longestBlockByPhase: {
      coldStart: over((run) => run.cold.longestBlockMilliseconds),
      steady: over((run) => run.cold.steadyLongestBlockMilliseconds),
      relist: over((run) => run.edits?.longestBlockMilliseconds ?? Number.NaN),
    },
    writesPerMinuteSteady: round(worst(perMinute)),
    steadyCpuPercent: over((run) => run.cold.steadyCpuPercent),
    apiServerPeakMegabytes: memory("kube-apiserver"),
    etcdPeakMegabytes: memory("etcd"),
    memoryLimitMegabytes: limit?.megabytes ?? null,
    sizes,
    runs: measured.length,
    steadySeconds,
    machine: {
      cpu: cpus()[0]?.model ?? "",
      cores: cpus().length,
      memoryGibibytes: Math.round(totalmem() / 2 ** 30),
      kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
      node: process.version,
      kubernetes: KUBERNETES_VERSION,
    },
  };
  if (values.json) {
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  const text = ({ median, low, high }: Spread, unit: string) => `${median} ${unit} (${low}–${high})`;
  const rows = [
    ["RSS, highest", text(document.rssPeakMegabytes, "MB"), "500 MB", "300 MB"],
    ["RSS, settled", text(document.rssSettledMegabytes, "MB"), "500 MB", "300 MB"],
    ["cold start, nothing changed", text(document.coldStart, "s"), "90 s", "30 s"],
    ["writes during it", String(document.writesUnchanged), "0", "0"],
    ["edit to status during a relist, P99", text(document.editToStatusP99, "s"), "3 s", "1 s"],
    ["longest event-loop block", text(document.longestBlock, "ms"), "200 ms", "50 ms"],
    ["writes a minute at steady state", String(document.writesPerMinuteSteady), "0", "0"],
  ];
  const columns = ["WHAT", "MEDIAN (LOW–HIGH)", "MUST", "GOAL"].map((header) => ({ header }));
  process.stdout.write(`${renderTable({ columns, rows, width: null }).join("\n")}\n`);
  process.stdout.write(
    `\n${sizes.domains} SendingDomains, ${sizes.relays} SmtpRelays, ${sizes.pools} IpPools in ${sizes.namespaces} namespaces; ${measured.length} runs; ` +
      `${document.machine.cores} × ${document.machine.cpu}. API server ${document.apiServerPeakMegabytes} MB, etcd ${document.etcdPeakMegabytes} MB.\n`,
  );
}

if (values.stay) {
  say("the stage is set; each line of standard input measures, its end ends it");
  for await (const line of createInterface({ input: process.stdin })) {
    const words = line.split(/\s+/);
    const [runsNow = runs, editsNow = edits, steadyNow = steadySeconds] = words.flatMap((word) =>
      /^\d+$/.test(word) ? [Number(word)] : [],
    );
    const flags = words.filter((word) => word.startsWith("--"));
    await measure(runsNow, editsNow, steadyNow, flags).catch((error: unknown) => say(String(error)));
    say("measured");
  }
} else {
  await measure(runs, edits, steadySeconds);
}
