/**
 * The measurements: settle the stage, start cold with nothing changed, stand still, and edit while every kind is
 * listed anew.
 */
import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import type { RequestOptions } from "../../support/cluster/rawApi.ts";
import type { MemoryLimit } from "./memoryLimit.ts";
import { percentile, round, type Scrape } from "./observed.ts";
import { type OperatorProcess, startOperator } from "./operatorProcess.ts";
import type { Sizes } from "./population.ts";
import { customTypes, type Say, type Stage } from "./stage.ts";

const controllers = ["smtprelay", "sendingdomain", "ippool"] as const;
const SETTLE_SECONDS = 1800;
const QUIET_SECONDS = 20;
const COLD_START_SECONDS = 600;
/** After a relist; a watch that lived this long has recovered. */
const BETWEEN_RELISTS_MS = 12_000;
const EDITS_A_ROUND = 20;
const EDIT_EVERY_MS = 100;
const EDIT_WITHIN_MS = 60_000;
/** Told one by one: what a P99 is made of. The goal of the line. */
const SLOW_EDIT_SECONDS = 1;

export interface Launch {
  readonly nodeFlags: readonly string[];
  readonly entry: string | null;
  readonly limit: MemoryLimit | null;
  readonly directory: string;
}

/** Every object worked on at least once, and nothing waiting. */
function workedOff(sizes: Sizes): (look: Scrape) => boolean {
  const counts = { smtprelay: sizes.relays, sendingdomain: sizes.domains, ippool: sizes.pools };
  return (look) =>
    controllers.every(
      (name) =>
        look.sum("controller_runtime_reconcile_total", `controller="${name}"`) >= counts[name] &&
        look.sum("workqueue_depth", `name="${name}"`) === 0,
    );
}

/** A first operator brings everything to where it should be. Returns when nothing was written for a while. */
export async function settle(stage: Stage, sizes: Sizes, launch: Launch, say: Say): Promise<void> {
  await using operator = await startOperator({ ...launch, apiPort: stage.apiPort, election: false });
  const started = performance.now();
  const done = workedOff(sizes);
  let total = 0;
  let turn = 0;
  let quietSince = performance.now();
  for (;;) {
    await pause(2000);
    turn += 1;
    const { writes } = stage.operatorWrites();
    total += writes.length;
    const now = performance.now();
    if (writes.length > 0) quietSince = now;
    const look = await operator.until("answering", 300, () => true);
    const quiet = done(look) && now - quietSince > QUIET_SECONDS * 1000;
    const open = quiet ? await stage.notReady() : null;
    if (open?.size === 0) break;
    if (open !== null || turn % 5 === 1)
      say(
        `settling: ${((now - started) / 1000).toFixed(0)} s, ${total} writes, waiting ${workQueueText(look)}, block ${operator.longestBlock()} ms, CPU ${look.sum("process_cpu_seconds_total").toFixed(0)} s` +
          (open === null
            ? ""
            : `; not ready: ${[...open].map(([kind, count]) => `${count} ${kind}`).join(", ")}`),
      );
    if (now - started > SETTLE_SECONDS * 1000) throw new Error("The population does not settle.");
  }
  say(`settled: ${total} writes by the operator, ${stage.fleet.pods} pods`);
}

function workQueueText(look: Scrape): string {
  return controllers.map((name) => `${name} ${look.sum("workqueue_depth", `name="${name}"`)}`).join(", ");
}

export interface ColdStart {
  readonly seconds: number;
  readonly writes: readonly string[];
  readonly peakMegabytes: number;
  readonly settledMegabytes: number;
  readonly longestBlockMilliseconds: number;
  readonly cpuSeconds: number;
  readonly steadyWrites: readonly string[];
  readonly steadyLongestBlockMilliseconds: number;
  readonly steadyCpuPercent: number;
}

/** Starts with everything settled, then stands still for `steadySeconds`. */
export async function coldStart(
  stage: Stage,
  sizes: Sizes,
  launch: Launch,
  steadySeconds: number,
): Promise<ColdStart> {
  stage.operatorWrites();
  await using operator = await startOperator({ ...launch, apiPort: stage.apiPort, election: true });
  const settled = await operator.until("settled", COLD_START_SECONDS, workedOff(sizes));
  const seconds = (performance.now() - operator.startedAt) / 1000;
  failOnErrors(settled, operator);
  const cpu = settled.sum("process_cpu_seconds_total");
  const writes = stage.operatorWrites().writes;
  const block = operator.longestBlock();
  await pause(steadySeconds * 1000);
  const end = await operator.until("answering", 30, () => true);
  const memory = operator.memory();
  return {
    seconds: round(seconds),
    writes,
    peakMegabytes: memory.peakMegabytes,
    settledMegabytes: memory.residentMegabytes,
    longestBlockMilliseconds: block,
    cpuSeconds: round(cpu),
    steadyWrites: stage.operatorWrites().writes,
    steadyLongestBlockMilliseconds: operator.longestBlock(),
    steadyCpuPercent: round(((end.sum("process_cpu_seconds_total") - cpu) / steadySeconds) * 100),
  };
}

function failOnErrors(look: Scrape, operator: OperatorProcess): void {
  const errors = look.sum("controller_runtime_reconcile_errors_total");
  if (errors > 0) throw new Error(`${errors} reconciles failed:\n${operator.output().slice(-4000)}`);
}

export interface Edits {
  readonly seconds: readonly number[];
  /** Those made while at least one kind was being listed anew. */
  readonly duringRelist: readonly number[];
  readonly longestBlockMilliseconds: number;
  readonly peakMegabytes: number;
}

/** Declares all watches expired again and again, and edits objects of all kinds meanwhile. */
export async function editWhileRelisting(
  stage: Stage,
  sizes: Sizes,
  launch: Launch,
  count: number,
  say: Say,
): Promise<Edits> {
  await using operator = await startOperator({ ...launch, apiPort: stage.door.port, election: true });
  await operator.until("settled", COLD_START_SECONDS, workedOff(sizes));
  await using watcher = await watchGenerations(stage);
  await pause(BETWEEN_RELISTS_MS);
  operator.longestBlock();
  const seconds: number[] = [];
  const duringRelist: number[] = [];
  const targets = editTargets(stage, count);
  const measured = async (target: KubeObject, turn: number, relisting: boolean): Promise<void> => {
    const took = await edit(stage, watcher, target, turn);
    seconds.push(took);
    if (relisting) duringRelist.push(took);
    const { namespace, name } = target.metadata;
    if (took > SLOW_EDIT_SECONDS)
      say(
        `  ${target.kind} ${namespace}/${name}: ${took.toFixed(2)} s${relisting ? ", made during a relist" : ""}`,
      );
  };
  for (let from = 0; from < targets.length; from += EDITS_A_ROUND) {
    const under = targets.slice(from, from + EDITS_A_ROUND);
    stage.door.expire();
    const started = performance.now();
    let relistEnded: number | null = null;
    const running: Promise<void>[] = [];
    for (const [index, target] of under.entries()) {
      const relisting = stage.door.relisting > 0;
      running.push(measured(target, from + index, relisting));
      await pause(EDIT_EVERY_MS);
    }
    while (relistEnded === null && performance.now() - started < EDIT_WITHIN_MS) {
      if (stage.door.relisting === 0) relistEnded = performance.now();
      else await pause(50);
    }
    await Promise.all(running);
    say(
      `edits ${from + under.length}/${targets.length}: relist took ${relistEnded === null ? "too long" : `${((relistEnded - started) / 1000).toFixed(1)} s`}, ` +
        `slowest so far ${Math.max(...seconds).toFixed(2)} s`,
    );
    await pause(Math.max(0, BETWEEN_RELISTS_MS - (performance.now() - started)));
  }
  return {
    seconds,
    duringRelist,
    longestBlockMilliseconds: operator.longestBlock(),
    peakMegabytes: operator.memory().peakMegabytes,
  };
}

/** Three domains, a relay and a pool in turn, spread over the population. */
function editTargets(stage: Stage, count: number): readonly KubeObject[] {
  const { domains, relays, pools } = stage.population;
  return Array.from({ length: count }, (_, index) => {
    const from = index % 5 === 3 ? relays : index % 5 === 4 ? pools : domains;
    // A step without a common divisor with the sizes visits them in no order and none twice soon.
    return from[(index * 7919) % from.length] as KubeObject;
  });
}

/** A person's edit of the spec; returns the seconds until the object's status speaks of it. */
async function edit(stage: Stage, watcher: Watcher, target: KubeObject, turn: number): Promise<number> {
  const { apiVersion, kind, metadata } = target;
  const path = await stage.api.admin.path(target);
  const before = (await stage.api.admin.request("GET", path)).body as KubeObject;
  const spec = changedSpec(kind, before["spec"], turn);
  const started = performance.now();
  const request: RequestOptions = { body: { spec }, contentType: "application/merge-patch+json" };
  const reply = await stage.api.admin.request("PATCH", path, request);
  if (reply.code !== 200)
    throw new Error(`Cannot edit ${kind} ${metadata.name}: ${JSON.stringify(reply.body)}`);
  const { generation = 0 } = (reply.body as KubeObject).metadata;
  const seenAt = await watcher.observed(
    `${apiVersion} ${kind} ${metadata.namespace}/${metadata.name}`,
    generation,
  );
  return (seenAt - started) / 1000;
}

/** Something a person may want otherwise, and that differs from what is there. */
function changedSpec(kind: string, before: unknown, turn: number): object {
  const { dkim, limits, checks } = before as {
    readonly dkim?: { readonly rotationDays?: number };
    readonly limits?: { readonly recipientsPerMessage?: number };
    readonly checks?: { readonly forwardConfirmedReverseDns?: string };
  };
  switch (kind) {
    case "SendingDomain":
      return { dkim: { rotationDays: 200 + (((dkim?.rotationDays ?? 0) + 1) % 100) } };
    case "SmtpRelay":
      return {
        limits: { recipientsPerMessage: 500 + (((limits?.recipientsPerMessage ?? 0) + turn + 1) % 400) },
      };
    default:
      return {
        checks: {
          forwardConfirmedReverseDns: checks?.forwardConfirmedReverseDns === "Warn" ? "Require" : "Warn",
        },
      };
  }
}

interface Watcher extends AsyncDisposable {
  /** When status.observedGeneration was seen to reach this generation (performance.now()). */
  observed(object: string, generation: number): Promise<number>;
}

/** A watch of our own, as kubectl wait has it. */
async function watchGenerations(stage: Stage): Promise<Watcher> {
  const stop = new AbortController();
  const seen = new Map<string, { generation: number; at: number }>();
  const waiting = new Set<() => void>();
  const follow = async (type: (typeof customTypes)[number], resourceVersion: string): Promise<void> => {
    for await (const event of stage.client.watch(type, { resourceVersion, signal: stop.signal })) {
      if (event.type === "BOOKMARK") continue;
      const { apiVersion, kind, metadata } = event.object;
      const { observedGeneration = 0 } = (event.object["status"] ?? {}) as { observedGeneration?: number };
      const key = `${apiVersion} ${kind} ${metadata.namespace}/${metadata.name}`;
      if ((seen.get(key)?.generation ?? 0) >= observedGeneration) continue;
      seen.set(key, { generation: observedGeneration, at: performance.now() });
      for (const wake of waiting) wake();
    }
  };
  const following: Promise<void>[] = [];
  for (const type of customTypes) {
    const { resourceVersion } = await stage.client.list(type, { limit: 1 });
    following.push(follow(type, resourceVersion));
  }
  return {
    async observed(object, generation) {
      const deadline = performance.now() + EDIT_WITHIN_MS;
      for (;;) {
        const known = seen.get(object);
        if (known !== undefined && known.generation >= generation) return known.at;
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) throw new Error(`${object}: generation ${generation} was not observed in time.`);
        await new Promise<void>((resolve) => {
          const wake = () => {
            clearTimeout(timer);
            waiting.delete(wake);
            resolve();
          };
          const timer = setTimeout(wake, leftMs);
          waiting.add(wake);
        });
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.allSettled(following);
    },
  };
}

export function p99(values: readonly number[]): number {
  return percentile(values, 0.99);
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
