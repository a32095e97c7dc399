/**
 * An operator of the tests as a process behind a proxy of its own, kept running as a Deployment keeps a pod: whatever
 * ends it, it is started again a moment later.
 */
import { once } from "node:events";
import { join } from "node:path";

import { freePort, type Program } from "../peers/program.ts";
import { type ApiProxy, startApiProxy } from "./apiProxy.ts";
import type { ApiServer } from "./apiServer.ts";
import type { IdentityName } from "./identities.ts";
import type { OperatorPlace } from "./operatorProgram.ts";
import { startTied } from "./tied.ts";

export interface OperatorPodOptions extends Pick<
  OperatorPlace,
  "dns" | "deliveryPort" | "namespaces" | "lease"
> {
  readonly api: ApiServer;
  /** Loopback address its requests come from. */
  readonly address: string;
  readonly identity: IdentityName;
}

export interface OperatorPod extends AsyncDisposable {
  readonly proxy: ApiProxy;
  /** Processes so far, the one that runs now included. */
  readonly runs: number;
  /** Changes its proxy had been asked for when the process that runs now was started. */
  readonly changesBefore: number;
  /** What all of them printed, oldest first, cut to the last part. */
  output(): string;
  signal(signal: NodeJS.Signals): void;
  /** Whether it has taken the lead and fills or has filled its caches. False when it cannot be asked. */
  leads(): Promise<boolean>;
  /** A figure of its metrics, summed over labels; null when it cannot be asked or has none. */
  metric(name: string): Promise<number | null>;
}

const RESTART_AFTER_MS = 500;
const LONGEST_OUTPUT = 200_000;
const program = join(import.meta.dirname, "operatorProgram.ts");

export async function startOperatorPod(options: OperatorPodOptions): Promise<OperatorPod> {
  const { api, address, identity, ...place } = options;
  const proxy = await startApiProxy(api, address);
  const kubeconfig = proxy.kubeconfigFile(identity);
  let former = "";
  let runs = 0;
  let changesBefore = 0;
  const disposing = new AbortController();
  let current: Program | null = null;
  let statusPort = 0;
  const keepRunning = async () => {
    while (!disposing.signal.aborted) {
      statusPort = await freePort();
      const words: OperatorPlace = { ...place, kubeconfig, statusPort };
      runs += 1;
      changesBefore = proxy.changes.length;
      current = startTied(process.execPath, [program, JSON.stringify(words)]);
      await once(current.child, "exit");
      former = `${former}${current.output()}--- ended\n`.slice(-LONGEST_OUTPUT);
      current = null;
      if (!disposing.signal.aborted) await new Promise((resolve) => setTimeout(resolve, RESTART_AFTER_MS));
    }
  };
  const running = keepRunning();
  const metric = async (name: string) => {
    try {
      const answer = await fetch(`http://127.0.0.1:${statusPort}/metrics`, {
        signal: AbortSignal.timeout(2000),
      });
      const found = [...(await answer.text()).matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))];
      return found.length === 0 ? null : found.reduce((sum, [, value]) => sum + Number(value), 0);
    } catch {
      return null;
    }
  };
  return {
    proxy,
    get runs() {
      return runs;
    },
    get changesBefore() {
      return changesBefore;
    },
    output: () => `${former}${current?.output() ?? ""}`,
    signal: (signal) => void current?.child.kill(signal),
    leads: async () => (await metric("leader_election_master_status")) === 1,
    metric,
    async [Symbol.asyncDispose]() {
      disposing.abort();
      current?.child.kill("SIGCONT");
      await current?.stop();
      await running;
      await proxy[Symbol.asyncDispose]();
    },
  };
}
