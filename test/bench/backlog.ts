/**
 * The long queue: what a million waiting messages cost in memory and CPU, how soon a relay takes mail again
 * after kill -9, and what fifty thousand destinations cost against one. Always the real relay process on a spool that
 * the product's own code has filled; peers do not take part, since none of them can be filled in a day.
 *
 * Ratios are taken between two relays of one run, in turns; seconds and MiB depend on the machine, and are
 * printed with the CPU seconds beside them, which do less.
 */
import { existsSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { SMART_HOST_CONNECTIONS } from "../../relay/policy/providers.ts";
import { slowReceiver, submitLarge, watchMemory } from "../support/largeMail.ts";
import { startNsd } from "../support/peers/dnsServers.ts";
import { type RelayProcess, smarthostRoute, startRelay, testConfig } from "../support/relayProcess.ts";
import { fillSpool } from "./backlogFill.ts";
import { send, type Sink, startSink } from "./load.ts";
import { cpuSeconds, memoryMib } from "./machine.ts";
import { shippedFolder } from "./shipped.ts";
import { unharmed } from "./unharmed.ts";

export interface Figure {
  readonly name: string;
  readonly unit: "MiB" | "s" | "x" | "1";
  readonly value: number;
  /** What counts as done, and the aim; null: told for the sake of the others. */
  readonly must: number | null;
  readonly goal: number | null;
  /** Whether more is better. */
  readonly atLeast?: true;
}

export interface BacklogContext {
  readonly repetitions: number;
  /** Filled spools are kept here for the next run; null: in a temporary folder. */
  readonly kept: string | null;
  readonly say: (line: string) => void;
  /** 1, or less to try a case. */
  readonly scale: number;
}

export interface BacklogCase {
  readonly name: string;
  readonly about: string;
  run(context: BacklogContext): Promise<readonly Figure[]>;
}

const HOUR_MS = 3_600_000;
const MIB = 1024 * 1024;
const load = { sessions: 20, messages: 3000, bytes: 10_240, perConnection: false };

export const backlogCases: readonly BacklogCase[] = [
  {
    name: "backlog-1000000",
    about: "memory with a million deferred messages, and CPU a message beside them against a thousand",
    run: (context) => beside(context, scaled(context, 1_000_000), scaled(context, 1000)),
  },
  {
    name: "recovery-100000",
    about: "kill -9 with 100,000 due messages: until mail is taken again, until the first is delivered",
    run: (context) => recovery(context, scaled(context, 100_000), { accepts: [2, 1], first: [6, 2] }),
  },
  {
    name: "recovery-1000000",
    about: "the same with a million",
    run: (context) => recovery(context, scaled(context, 1_000_000), { accepts: [5, 2], first: [6, 2] }),
  },
  {
    name: "domains-50000",
    about: "50,000 messages to as many domains of one MX against as many to one domain",
    run: (context) => domains(context, scaled(context, 50_000)),
  },
  {
    name: "large-50MiB",
    about: "memory while 50 MiB pass to a slow receiver, one message and twenty at once",
    run: (context) => large(context),
  },
  {
    name: "unharmed",
    about:
      "rate and slowest reply beside idle sessions, slow and endless senders, servers that trickle, against without",
    run: unharmed,
  },
];

/** Counts of a trial run are a part of the real ones. */
function scaled({ scale }: BacklogContext, count: number): number {
  return Math.max(10, Math.round(count * scale));
}

async function large({ say }: BacklogContext): Promise<Figure[]> {
  await using receiver = await slowReceiver(256 * 1024);
  await using relay = await startRelay({
    product: shippedFolder(),
    config: (listenerPort) => {
      const config = testConfig({ listenerPort, routes: [smarthostRoute(receiver.port)] });
      return { ...config, limits: { ...config.limits, messageSizeBytes: 64 * MIB } };
    },
    logLevel: "warn",
  });
  await submitLarge(relay.port, MIB);
  await relay.until((told) => told.queue.messages === 0, 60);
  const growths: number[] = [];
  for (const count of [1, 20]) {
    const memory = watchMemory(relay.pid);
    await Promise.all(Array.from({ length: count }, () => submitLarge(relay.port, 50 * MIB)));
    await relay.until((told) => told.queue.messages === 0, 300);
    memory.stop();
    growths.push(memory.growth());
    say(`${count} of 50 MiB: memory grew by ${growths.at(-1)} MiB at most`);
  }
  const [one = Number.NaN, twenty = Number.NaN] = growths;
  return [
    { name: "memory for one message of 50 MiB", unit: "MiB", value: one, must: 32, goal: 16 },
    { name: "memory for twenty at once (1000 MiB)", unit: "MiB", value: twenty, must: 128, goal: 64 },
  ];
}

async function beside(context: BacklogContext, many: number, few: number): Promise<Figure[]> {
  await using full = await relayOn(context, { messages: many, domains: 1000, deferredMs: 24 * HOUR_MS });
  await using bare = await relayOn(context, { messages: few, domains: few, deferredMs: 24 * HOUR_MS });
  await full.relay.until((told) => told.queue.messages === many, 300);
  const quiet = memoryOf(full.relay.pid);
  context.say(`${many} queued: ${quiet.now} MiB, ${quiet.peak} at most`);
  const ratios: number[] = [];
  for (const { relay, sink } of [full, bare]) await cpuOf(relay, sink);
  for (let repetition = 0; repetition < context.repetitions; repetition++) {
    const order = repetition % 2 === 0 ? [full, bare] : [bare, full];
    const cpu = new Map<object, number>();
    for (const one of order) {
      cpu.set(one, await cpuOf(one.relay, one.sink));
    }
    const ratio = (cpu.get(full) ?? 0) / (cpu.get(bare) ?? 1);
    ratios.push(ratio);
    context.say(
      `CPU a message: ${cpu.get(full)?.toFixed(3)} ms at ${many}, ${cpu.get(bare)?.toFixed(3)} ms at ${few}: ${ratio.toFixed(2)}x`,
    );
  }
  const busy = memoryOf(full.relay.pid);
  const sorted = ratios.toSorted((a, b) => a - b);
  return [
    { name: "memory, all of it waiting", unit: "MiB", value: quiet.now, must: 300, goal: 200 },
    { name: "memory, with traffic beside it", unit: "MiB", value: busy.now, must: 300, goal: 200 },
    { name: "memory at most", unit: "MiB", value: busy.peak, must: null, goal: null },
    {
      name: `CPU a message at ${many} queued against ${few}`,
      unit: "x",
      value: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
      must: 1.3,
      goal: 1.1,
    },
    { name: "the same, lowest", unit: "x", value: sorted[0] ?? Number.NaN, must: null, goal: null },
    { name: "the same, highest", unit: "x", value: sorted.at(-1) ?? Number.NaN, must: null, goal: null },
  ];
}

async function recovery(
  context: BacklogContext,
  messages: number,
  lines: {
    readonly accepts: readonly [must: number, goal: number];
    readonly first: readonly [must: number, goal: number];
  },
): Promise<Figure[]> {
  await using full = await relayOn(context, { messages, domains: 1, deferredMs: null });
  const { relay, sink } = full;
  const accepts: number[] = [];
  const first: number[] = [];
  const cpu: number[] = [];
  let connections = 0;
  for (let repetition = 0; repetition < context.repetitions; repetition++) {
    relay.program.child.kill("SIGKILL");
    await relay.program.stop();
    // What the kill cut off is over when the sink hears nothing more.
    for (let before = -1; before !== sink.taken();) {
      before = sink.taken();
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    const before = sink.taken();
    const started = performance.now();
    const look = setInterval(() => (connections = Math.max(connections, sink.connections())), 20);
    const delivered = firstBeyond(sink, before).then((at) => (at - started) / 1000);
    const again = relay.crashAndRestart();
    await untilAccepted(relay.port);
    accepts.push((performance.now() - started) / 1000);
    await again;
    cpu.push(cpuSeconds(relay.pid));
    first.push(await delivered);
    // The stampede, if there is one, comes with the first deliveries.
    await new Promise((resolve) => setTimeout(resolve, 500));
    clearInterval(look);
    context.say(
      `${messages} queued: takes mail after ${accepts.at(-1)?.toFixed(2)} s (${cpu.at(-1)?.toFixed(2)} s CPU), ` +
        `first delivery after ${first.at(-1)?.toFixed(2)} s`,
    );
  }
  const median = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
  const [acceptsMust, acceptsGoal] = lines.accepts;
  const [firstMust, firstGoal] = lines.first;
  return [
    { name: "takes mail again", unit: "s", value: median(accepts), must: acceptsMust, goal: acceptsGoal },
    { name: "CPU until then", unit: "s", value: median(cpu), must: null, goal: null },
    { name: "first delivery", unit: "s", value: median(first), must: firstMust, goal: firstGoal },
    {
      name: "connections to the next hop at once",
      unit: "1",
      value: connections,
      ...{ must: SMART_HOST_CONNECTIONS, goal: SMART_HOST_CONNECTIONS },
    },
    { name: "memory", unit: "MiB", value: memoryOf(relay.pid).now, must: 300, goal: 200 },
  ];
}

async function domains(context: BacklogContext, count: number): Promise<Figure[]> {
  // A server of its own process and in C: one in here would take from the two cores what the relay is to be measured on.
  const zone = ["$TTL 300", "@ IN SOA ns.test. root.test. 1 300 300 300 300", "@ IN NS ns.test."];
  zone.push("ns IN A 127.0.0.1", "mx.sink IN A 127.0.0.1");
  for (let n = 0; n < count; n++) zone.push(`d${n} IN MX 10 mx.sink.test.`);
  await using dns = await startNsd({ test: `${zone.join("\n")}\n` });
  const rates: number[] = [];
  const cpus: number[] = [];
  for (let repetition = 0; repetition < context.repetitions; repetition++) {
    const taken = new Map<number, { readonly rate: number; readonly cpu: number }>();
    for (const kinds of repetition % 2 === 0 ? [count, 1] : [1, count]) {
      await using full = await relayOn(
        context,
        { messages: count, domains: kinds, deferredMs: null },
        { dns: dns.address },
      );
      const { relay, sink } = full;
      const begun = await firstBeyond(sink, 0);
      const ended = await sink.reached(count);
      const sample = {
        rate: count / ((ended - begun) / 1000),
        cpu: (cpuSeconds(relay.pid) * 1000) / count,
      };
      taken.set(kinds, sample);
      context.say(`${kinds} domains: ${sample.rate.toFixed(0)}/s, ${sample.cpu.toFixed(3)} ms CPU a message`);
    }
    const [many, one] = [taken.get(count), taken.get(1)];
    if (many === undefined || one === undefined) continue;
    rates.push(many.rate / one.rate);
    cpus.push(many.cpu / one.cpu);
  }
  const median = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
  return [
    {
      name: `rate with ${count} domains against one`,
      unit: "x",
      value: median(rates),
      must: 0.6,
      goal: 0.9,
      atLeast: true,
    },
    { name: "CPU a message, the same", unit: "x", value: median(cpus), must: null, goal: null },
  ];
}

/** CPU milliseconds of the relay for each message of a load. */
async function cpuOf(relay: RelayProcess, sink: Sink): Promise<number> {
  const before = cpuSeconds(relay.pid);
  await send(relay.port, sink, load);
  return ((cpuSeconds(relay.pid) - before) * 1000) / load.messages;
}

interface FilledRelay extends AsyncDisposable {
  readonly relay: RelayProcess;
  readonly sink: Sink;
}

/** A relay on a spool filled so, which sends to a sink of its own: by smart host, or by MX when there is a DNS. */
async function relayOn(
  { kept, say }: BacklogContext,
  filling: { readonly messages: number; readonly domains: number; readonly deferredMs: number | null },
  options: { readonly dns?: string } = {},
): Promise<FilledRelay> {
  const folder = await mkdtemp(join(tmpdir(), "bench-spool-"));
  const spoolDir = join(folder, "spool");
  const { messages, domains: kinds, deferredMs } = filling;
  const name = `${messages}-${kinds}-${deferredMs === null ? "due" : "deferred"}`;
  const filled = join(kept ?? folder, name);
  if (!existsSync(filled)) {
    say(`filling a spool with ${messages} messages …`);
    await mkdir(kept ?? folder, { recursive: true });
    await fillSpool({
      directory: `${filled}.part`,
      messages,
      domain: (n) => `d${n % kinds}.test`,
      deferredMs,
    });
    await rename(`${filled}.part`, filled);
  }
  await (kept === null ? rename(filled, spoolDir) : cp(filled, spoolDir, { recursive: true }));
  const sink = await startSink();
  const route = options.dns === undefined ? { routes: [smarthostRoute(sink.port)] } : {};
  const relay = await startRelay({
    product: shippedFolder(),
    spoolDir,
    logLevel: "warn",
    config: (listenerPort) => ({
      ...testConfig({ listenerPort, ...route }),
      ...(options.dns === undefined ? {} : { dns: { servers: [options.dns] } }),
      delivery: { port: sink.port, forbiddenNetworks: [] },
    }),
  });
  return {
    relay,
    sink,
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      await sink[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Time (performance.now) at which the sink has taken more than `count`. */
async function firstBeyond(sink: Sink, count: number): Promise<number> {
  for (let waited = 0; sink.taken() <= count; waited += 5) {
    if (waited > 300_000) throw new Error("Nothing was delivered for five minutes.");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now();
}

/** Submits a message until one is taken: the port alone says little. */
async function untilAccepted(port: number): Promise<void> {
  const dialogue =
    "EHLO client.example.test\r\nMAIL FROM:<sender@example.test>\r\nRCPT TO:<late@later.test>\r\nDATA\r\n";
  const message = "From: sender@example.test\r\nSubject: after\r\n\r\nA message.\r\n.\r\nQUIT\r\n";
  for (let attempt = 0; attempt < 6000; attempt++) {
    const taken = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      let heard = "";
      let step = 0;
      socket.on("data", (chunk) => {
        heard += chunk.toString("latin1");
        const replies = heard.split("\r\n").filter((line) => /^\d{3} /.test(line));
        if (step < replies.length) {
          const commands = [
            ...dialogue
              .split("\r\n")
              .slice(0, 4)
              .map((line) => `${line}\r\n`),
            message,
          ];
          const next = commands[step];
          step++;
          if (next !== undefined) socket.write(next);
        }
        if (replies.length >= 6) {
          socket.destroy();
          resolve(replies[5]?.startsWith("250") === true);
        } else if (replies.some((line) => /^[45]/.test(line))) {
          socket.destroy();
          resolve(false);
        }
      });
      socket.on("error", () => resolve(false));
      socket.on("close", () => resolve(false));
    });
    if (taken) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("The relay took no mail for a minute.");
}

/** Proportional memory now, as in all our figures, and the most that was ever resident. */
function memoryOf(pid: number): { readonly now: number; readonly peak: number } {
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return { now: Math.round(memoryMib(pid)), peak: Math.round(Number(peak) / 1024) };
}
