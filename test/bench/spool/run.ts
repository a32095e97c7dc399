/**
 * Drives the measurements: each in a process of its own, engines in turns within each repetition, so that what
 * else the machine does falls on all of them. What could not be measured is null, and never a guess.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { watchOthers } from "../machine.ts";
import { type Spread, spread } from "../spread.ts";
import { countSyncs, tracer } from "./syncs.ts";
import { type LargeResult, type LifeResult, type Phase, phases, type RecoverResult } from "./work.ts";

const child = join(import.meta.dirname, "child.ts");

export interface Plan {
  readonly engines: readonly string[];
  readonly works: ReadonlySet<string>;
  readonly repetitions: number;
  /** 1, or less to try it: a part of the messages. */
  readonly scale: number;
  readonly say: (line: string) => void;
}

/** Messages for each number in flight: about as long a measurement. */
export const loads = [
  { inFlight: 1, messages: 500 },
  { inFlight: 20, messages: 4000 },
  { inFlight: 100, messages: 8000 },
] as const;
export const WAITING = 100_000;
export const LARGE_BYTES = 50 * 1024 * 1024;

export interface LifeRow {
  readonly engine: string;
  readonly inFlight: number;
  readonly phases: Readonly<
    Record<
      Phase,
      {
        readonly perSecond: Spread;
        readonly mainCpuMs: Spread;
        readonly cpuMs: Spread;
        readonly bytesWritten: Spread;
        /** Null: there is no strace to count them. */
        readonly syncs: number | null;
      }
    >
  >;
  readonly bytesWritten: Spread;
}

type Spreads<Result> = { readonly [Field in keyof Result]: Spread };

export interface SpoolResults {
  readonly life: readonly LifeRow[];
  readonly recovery: readonly ({ readonly engine: string } & Spreads<RecoverResult>)[];
  readonly large: readonly ({ readonly engine: string } & Spreads<LargeResult>)[];
  /** Part of the machine that others took, over all measurements. */
  readonly othersCpu: Spread;
}

export async function runSpoolBench(plan: Plan): Promise<SpoolResults> {
  const others: number[] = [];
  const scaled = (count: number) => Math.max(10, Math.round(count * plan.scale));
  const measured = async <Result>(engine: string, work: string, folder: string, numbers: object) => {
    const watch = watchOthers();
    const result = await run<Result>([], [engine, work, folder, JSON.stringify(numbers)]);
    others.push(watch().part);
    return result;
  };

  const lives = new Map<string, LifeResult[]>();
  const recoveries = new Map<string, RecoverResult[]>();
  const larges = new Map<string, LargeResult[]>();
  for (let repetition = 1; repetition <= plan.repetitions; repetition++) {
    plan.say(`repetition ${repetition} of ${plan.repetitions}`);
    if (plan.works.has("life")) {
      for (const { inFlight, messages } of loads) {
        for (const engine of plan.engines) {
          await using place = await temporary();
          const numbers = { inFlight, messages: scaled(messages) };
          add(
            lives,
            `${engine} ${inFlight}`,
            await measured<LifeResult>(engine, "life", place.folder, numbers),
          );
        }
      }
    }
    if (plan.works.has("recovery")) {
      for (const engine of plan.engines) {
        await using place = await temporary();
        await fill([engine, "fill", place.folder, JSON.stringify({ messages: scaled(WAITING) })]);
        add(recoveries, engine, await measured<RecoverResult>(engine, "recover", place.folder, {}));
      }
    }
    if (plan.works.has("large")) {
      for (const engine of plan.engines) {
        await using place = await temporary();
        const numbers = { bytes: scaled(LARGE_BYTES) };
        add(larges, engine, await measured<LargeResult>(engine, "large", place.folder, numbers));
      }
    }
  }

  const life: LifeRow[] = [];
  if (plan.works.has("life")) {
    plan.say("counting syncs");
    for (const engine of plan.engines) {
      for (const { inFlight, messages } of loads) {
        const found = lives.get(`${engine} ${inFlight}`) ?? [];
        const count = scaled(messages / 4);
        const syncs = await syncsOf(engine, { inFlight, messages: count });
        const rowOf = (phase: Phase) => ({
          ...spreads(found.map((each) => each.phases[phase])),
          syncs: syncs === null ? null : (syncs.get(phase) ?? 0) / count,
        });
        const rows = Object.fromEntries(phases.map((phase) => [phase, rowOf(phase)]));
        life.push({
          ...{ engine, inFlight, phases: rows as LifeRow["phases"] },
          bytesWritten: spread(found.map((each) => each.bytesWritten)),
        });
      }
    }
  }
  return {
    life,
    recovery: [...recoveries].map(([engine, found]) => ({ engine, ...spreads(found) })),
    large: [...larges].map(([engine, found]) => ({ engine, ...spreads(found) })),
    othersCpu: spread(others),
  };
}

/** Each field's spread over the repetitions. */
function spreads<Result extends object>(results: readonly Result[]): Spreads<Result> {
  const [first] = results;
  if (first === undefined) throw new Error("Nothing was measured.");
  const fields = Object.keys(first) as (keyof Result)[];
  const of = (field: keyof Result) => spread(results.map((result) => Number(result[field])));
  return Object.fromEntries(fields.map((field) => [field, of(field)])) as Spreads<Result>;
}

function add<Result>(results: Map<string, Result[]>, key: string, result: Result): void {
  const known = results.get(key);
  if (known === undefined) results.set(key, [result]);
  else known.push(result);
}

async function temporary() {
  const folder = await mkdtemp(join(tmpdir(), "bench-spool-"));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

async function syncsOf(engine: string, numbers: object): Promise<Map<string, number> | null> {
  await using place = await temporary();
  await using books = await temporary();
  const output = join(books.folder, "trace");
  const trace = tracer(output);
  if (trace === null) return null;
  await run<LifeResult>(trace, [engine, "life", place.folder, JSON.stringify(numbers)]);
  return countSyncs(await readFile(output, "latin1"));
}

function start(wrapper: readonly string[], argv: readonly string[]) {
  const [command = "", ...rest] = [
    ...wrapper,
    process.execPath,
    "--expose-gc",
    "--no-warnings",
    child,
    ...argv,
  ];
  return spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"] });
}

async function run<Result>(wrapper: readonly string[], argv: readonly string[]): Promise<Result> {
  const started = start(wrapper, argv);
  let text = "";
  started.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(started, "close")) as [number | null];
  if (code !== 0) throw new Error(`Cannot measure ${argv.slice(0, 2).join(" ")}: it ended with ${code}.`);
  return JSON.parse(text) as Result;
}

/** Ends by its own kill -9. */
async function fill(argv: readonly string[]): Promise<void> {
  const [code, signal] = (await once(start([], argv), "close")) as [number | null, string | null];
  if (signal !== "SIGKILL") throw new Error(`Cannot fill ${argv[0]}: it ended with ${code ?? signal}.`);
}
