/**
 * `npm test` and `npm run check`: every kind of proof, in the order of how fast it fails, with a table of
 * where the time went.
 *
 *   npm run check            types, lint, format, arrows, generated files, unit tests: no system packages
 *   npm test                 all of that, then contracts, scenarios, real peers and the quickstart
 *   npm test -- --only NAME  one step (repeatable); --list names them
 *
 * What the later steps need of others (Kubernetes, Helm, mail programs) is got in the background from the
 * first moment on: a machine that has none of it builds for a quarter of an hour.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";

import { installPeers } from "./support/peers/debian.ts";

const root = join(import.meta.dirname, "..");
const inCi = process.env["CI"] !== undefined && process.env["CI"] !== "false";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Step {
  readonly name: string;
  /** Part of `npm run check`. */
  readonly quick: boolean;
  /** Begins to get what `run` needs; what it says is shown when its turn comes. */
  prepare?(): void;
  /** Begins in the background once `former` has ended; `run` then waits for it and prints what it said. */
  startAfter?(former: Promise<unknown>): Promise<unknown>;
  run(): Promise<StepResult>;
}

interface StepResult {
  readonly ok: boolean;
  readonly counts?: Counts;
  readonly note?: string;
  /** Where it ran beside others: the time it took itself. */
  readonly seconds?: number;
  /** A part that goes on beside the steps that follow, and is told at the end. */
  readonly rest?: { readonly name: string; readonly done: Promise<StepResult & { readonly output: string }> };
}

const scratch = mkdtempSync(join(tmpdir(), "smtp-relay-tests-"));

const steps: readonly Step[] = [
  tool("types", "tsc", ["-p", "."]),
  tool("lint", "oxlint", []),
  tool("format", "oxfmt", ["--check", "."]),
  background("generated", ["crds/generate.ts", "--check"]),
  // On a machine that has no Helm yet the step "charts" compares what this one cannot; under CI it must.
  background("chart files", ["test/support/charts/generate.ts", "--check"]),
  suite("architecture", true),
  suite("unit", true),
  suite("contract", false),
  suite("scenarios", false),
  peerSuite(),
  program("quickstart", [
    "operator/local/quickstart/main.ts",
    "--once",
    "--state",
    join(scratch, "quickstart"),
  ]),
  imageSuite(),
  suiteWith("charts", "the chart's judges", async (print) => {
    const { provideChartPrograms } = await import("./support/charts/helm.ts");
    return await provideChartPrograms(print);
  }),
  suiteWith(
    "cluster",
    "a real cluster",
    async (print) => {
      const { provideCluster } = await import("./support/cluster/cluster.ts");
      return await provideCluster(print, ["helm"]);
    },
    // Both wait more than they work: for API servers that come back, for pods that start.
    async () => {
      const rest = { name: "cluster node", done: runSuiteUnseen("node") };
      return { ...(await runSuite("api")), rest };
    },
  ),
  // While the cluster's node has its last pods started and stopped.
  crashStep(),
];

const { values } = parseArgs({
  options: {
    check: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    list: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help || values.list) {
  console.log(
    values.list
      ? steps.map((step) => `${step.name}${step.quick ? " (check)" : ""}`).join("\n")
      : "usage: npm test [-- --only STEP …] [--list]\n       npm run check",
  );
  process.exit(0);
}
const unknown = (values.only ?? []).filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(
    `Cannot run ${unknown.join(", ")}: the steps are ${steps.map((step) => step.name).join(", ")}.`,
  );
  process.exit(2);
}

const chosen = steps.filter((step) =>
  values.only === undefined ? step.quick || !values.check : values.only.includes(step.name),
);
const totals: Counts = { passed: 0, failed: 0, skipped: 0 };
const rows: string[] = [];
/** Said once more at the very end: what comes before it is long. */
const failures: string[] = [];
let allOk = true;
const goingOn: NonNullable<StepResult["rest"]>[] = [];
// The tools run one after the other on one core, unseen; the suites go on beside them and are seen working.
let before: Promise<unknown> = Promise.resolve();
for (const step of chosen) if (step.startAfter !== undefined) before = step.startAfter(before);
for (const step of chosen) step.prepare?.();
const inOrder = chosen.toSorted(
  (a, b) => Number(a.startAfter !== undefined) - Number(b.startAfter !== undefined),
);
for (const step of inOrder) {
  announce(step.name);
  const started = performance.now();
  const result = await step.run();
  tally(step.name, result, (performance.now() - started) / 1000);
  if (result.rest !== undefined) goingOn.push(result.rest);
}
for (const { name, done } of goingOn) {
  announce(name);
  const result = await done;
  process.stdout.write(result.output);
  tally(name, result, 0);
}
rmSync(scratch, { recursive: true, force: true });

if (failures.length > 0) console.log(`\n── what failed ${"─".repeat(64)}\n${failures.join("\n")}`);
console.log(`\n── where the time went ${"─".repeat(57)}\n${rows.join("\n")}\n`);
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exitCode = allOk ? 0 : 1;

function announce(name: string): void {
  console.log(`\n── ${name} ${"─".repeat(Math.max(0, 76 - name.length))}`);
}

function tally(name: string, result: StepResult, took: number): void {
  const seconds = (result.seconds ?? took).toFixed(1);
  // A tool without counts of its own is one proof.
  const counts = result.counts ?? { passed: result.ok ? 1 : 0, failed: result.ok ? 0 : 1, skipped: 0 };
  totals.passed += counts.passed;
  totals.failed += counts.failed + (!result.ok && counts.failed === 0 ? 1 : 0);
  totals.skipped += counts.skipped;
  allOk &&= result.ok;
  const verdict = result.ok ? (result.note === undefined ? "ok" : "skipped") : "FAILED";
  rows.push(
    `  ${name.padEnd(14)} ${verdict.padEnd(8)} ${seconds.padStart(7)} s   ${result.note ?? `${counts.passed} passed`}`,
  );
}

/** Runs a program of ours or of node_modules with our Node, output straight to the terminal. */
function node(args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
    child.on("error", () => resolve(false));
    child.on("exit", (code) => resolve(code === 0));
  });
}

/** A program of node_modules that says little: runs in the background, its output is shown at its end. */
function tool(name: string, binary: string, args: readonly string[]): Step {
  return background(name, [join(root, "node_modules", ".bin", binary), ...args]);
}

function background(name: string, args: readonly string[]): Step {
  let running: Promise<{ ok: boolean; seconds: number; output: string }> | undefined;
  return {
    name,
    quick: true,
    startAfter: (former) => (running = former.then(() => capture(args))),
    async run() {
      const ended = await (running ?? capture(args));
      process.stdout.write(ended.output);
      return ended;
    },
  };
}

async function capture(args: readonly string[]): Promise<{ ok: boolean; seconds: number; output: string }> {
  const started = performance.now();
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  }
  const ok = await new Promise<boolean>((resolve) => {
    child.on("error", (error) => ((output += error.message), resolve(false)));
    child.on("close", (code) => resolve(code === 0));
  });
  return { ok, output, seconds: (performance.now() - started) / 1000 };
}

function program(name: string, args: readonly string[]): Step {
  return { name, quick: false, run: async () => ({ ok: await node(args) }) };
}

function suite(project: string, quick: boolean): Step {
  return { name: project, quick, run: () => runSuite(project) };
}

/** Of vitest's JSON report, what is read here. */
interface Told {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

async function runSuite(project: string): Promise<{ ok: boolean; counts: Counts }> {
  const ok = await node(suiteCommand(project));
  return { ok, counts: countsOf(project, ok) };
}

/** The same in the background, its output kept for later. */
async function runSuiteUnseen(
  project: string,
): Promise<{ ok: boolean; counts: Counts; seconds: number; output: string }> {
  const ended = await capture(suiteCommand(project));
  return { ...ended, counts: countsOf(project, ended.ok) };
}

function resultsOf(project: string): string {
  return join(scratch, `${project}.json`);
}

function suiteCommand(project: string): readonly string[] {
  const vitest = join(root, "node_modules", ".bin", "vitest");
  const report = ["--reporter=dot", "--reporter=json", `--outputFile.json=${resultsOf(project)}`];
  return [vitest, "run", "--project", project, ...report];
}

function countsOf(project: string, ok: boolean): Counts {
  const counts = { passed: 0, failed: ok ? 0 : 1, skipped: 0 };
  try {
    const told = JSON.parse(readFileSync(resultsOf(project), "utf8")) as Told;
    counts.passed = told.numPassedTests;
    counts.failed = told.numFailedTests;
    counts.skipped = told.numPendingTests + told.numTodoTests;
    for (const file of told.testResults) {
      if (file.status !== "failed") continue;
      const broken = file.assertionResults.filter(({ status }) => status === "failed");
      // Without a failed test the file itself could not be run.
      for (const { fullName } of broken) failures.push(`  ${project} > ${fullName}`);
      if (broken.length === 0) failures.push(`  ${project} > ${relative(root, file.name)}: ${file.message}`);
    }
  } catch {
    // No result file: the run broke before it could tell; `ok` is false then.
  }
  return counts;
}

/** Tests with Debian's programs. */
function peerSuite(): Step {
  return suiteWith("peers", "the test peers", async (print) => installPeers(print));
}

/** A few hundred kills of the relay, with and without power loss. The long run is `npm run crash -- --help`. */
function crashStep(): Step {
  return suiteWith(
    "crash",
    "a C compiler for the disk that loses power",
    async (print) =>
      installPeers(print, [
        { program: "cc", package: "gcc", purpose: "compiles the disk that loses power" },
        { program: "/usr/include/stdio.h", package: "libc6-dev", purpose: "headers for it" },
      ]),
    async () => ({ ok: await node(["test/crash/main.ts", "--kills", "300", "--round", "25"]) }),
  );
}

/** The image of a release. skopeo reads it where it can be had; the other tests need no package. */
function imageSuite(): Step {
  return suiteWith("image", "an image", async (print) => {
    const skopeo = { program: "skopeo", package: "skopeo", purpose: "independent reader of images" };
    const installation = installPeers(print, [skopeo]);
    if (installation.kind === "impossible") print(`Cannot get skopeo: ${installation.reason}`);
    return { kind: "present" };
  });
}

type Provided =
  | { readonly kind: "present" | "installed" }
  | { readonly kind: "impossible"; readonly reason: string };

/** A suite with programs of others. Where they cannot be had this is said in one line; under CI it is a failure. */
function suiteWith(
  project: string,
  what: string,
  provide: (print: (line: string) => void) => Promise<Provided>,
  run: () => Promise<StepResult> = () => runSuite(project),
): Step {
  const held: string[] = [];
  let print = (line: string): void => void held.push(line);
  let provided: Promise<Provided> | undefined;
  const begin = (): Promise<Provided> =>
    (provided ??= provide((line) => print(line)).catch((error: unknown) => ({
      kind: "impossible",
      reason: error instanceof Error ? error.message : String(error),
    })));
  return {
    name: project,
    quick: false,
    prepare: () => void begin(),
    run: async () => {
      print = (line) => console.log(line);
      for (const line of held.splice(0)) print(line);
      const provision = await begin();
      if (provision.kind !== "impossible") return await run();
      const note = `Cannot get ${what}: ${provision.reason}`;
      console.log(note);
      return { ok: !inCi, counts: { passed: 0, failed: inCi ? 1 : 0, skipped: inCi ? 0 : 1 }, note };
    },
  };
}
