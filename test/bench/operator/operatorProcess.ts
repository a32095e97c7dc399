/**
 * The operator as the chart starts it: `node operator/main.js run --leader-elect`, from the image's own code, with a pod's
 * ServiceAccount under the chart's memory limit. Watched from outside: resident memory, and the longest block of its event loop, which its
 * own metrics give since the last look.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

import { freePort, type Program, startProgram } from "../../support/peers/program.ts";
import { shippedFolder } from "../shipped.ts";
import type { MemoryLimit } from "./memoryLimit.ts";
import { type Memory, memoryOf, type Scrape, scrape } from "./observed.ts";

const root = join(import.meta.dirname, "../../..");
const LOOK_EVERY_MS = 250;
/** The ordered stop may take 45 s (charts). */
const STOP_WITHIN_MS = 50_000;

export interface OperatorProcess extends AsyncDisposable {
  readonly pid: number;
  /** performance.now() when it was started. */
  readonly startedAt: number;
  /** Waits until a scrape is as wished; throws when it has ended or the time is over. */
  until(what: string, seconds: number, wish: (look: Scrape) => boolean): Promise<Scrape>;
  /** Since the last call: the longest block of the event loop, in milliseconds. */
  longestBlock(): number;
  memory(): Memory;
  output(): string;
  stop(): Promise<void>;
}

export async function startOperator(options: {
  readonly apiPort: number;
  readonly nodeFlags: readonly string[];
  /** Another checkout's operator/main.ts, to compare; default: what ships of this one. */
  readonly entry: string | null;
  /** As the chart has it; the one that settles the stage is alone. */
  readonly election: boolean;
  /** Null: this machine gives none. */
  readonly limit: MemoryLimit | null;
  /** For profiles. */
  readonly directory: string;
}): Promise<OperatorProcess> {
  const port = await freePort();
  const startedAt = performance.now();
  const line: readonly string[] = [...(options.limit?.wrap ?? []), process.execPath];
  const [command = process.execPath, ...words] = line;
  const program: Program = startProgram(
    command,
    [
      ...words,
      ...chartFlags(),
      ...options.nodeFlags,
      options.entry ?? join(shippedFolder(), "operator/main.js"),
      "run",
      "--relay-image=registry.example.com/smtp-relay:bench",
      ...(options.election ? ["--leader-elect", "--lease-name=smtp-relay-operator"] : []),
      `--metrics-port=${port}`,
      "--log-level=info",
    ],
    {
      cwd: options.directory,
      env: {
        PATH: process.env["PATH"],
        KUBERNETES_SERVICE_HOST: "127.0.0.1",
        KUBERNETES_SERVICE_PORT: String(options.apiPort),
      },
    },
  );
  const { child } = program;
  const pid = child.pid ?? 0;
  let block = 0;
  let latest: Scrape | null = null;
  const looking = new AbortController();
  const look = async (): Promise<void> => {
    while (!looking.signal.aborted && child.exitCode === null) {
      latest = await scrape(port);
      // prom-client resets the histogram at each scrape: nobody else must scrape.
      block = Math.max(block, (latest?.sum("nodejs_eventloop_lag_max_seconds") ?? 0) * 1000);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  };
  const looks = look();
  const stop = async (): Promise<void> => {
    looking.abort();
    await looks;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const kill = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
    await ended;
    clearTimeout(kill);
  };
  return {
    pid,
    startedAt,
    async until(what, seconds, wish) {
      const deadline = performance.now() + seconds * 1000;
      while (performance.now() < deadline && child.exitCode === null) {
        if (latest !== null && wish(latest)) return latest;
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS / 2));
      }
      throw new Error(`The operator is not ${what} after ${seconds} s:\n${program.output().slice(-4000)}`);
    },
    longestBlock() {
      const longest = block;
      block = 0;
      return Math.round(longest * 10) / 10;
    },
    memory: () => memoryOf(pid),
    output: () => program.output(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Flags for node that the chart sets. */
function chartFlags(): readonly string[] {
  const file = readFileSync(join(root, "config/operator/deployment.yaml"), "utf8");
  const deployment = parse(file) as {
    spec: { template: { spec: { containers: readonly { command: readonly string[] }[] } } };
  };
  const command = deployment.spec.template.spec.containers[0]?.command ?? [];
  return command.filter((word) => word.startsWith("--"));
}
