/**
 * `npm run bench:spool`: our spool, LMDB and SQLite at the same work: durable put, one outcome, read back, remove;
 * a start with 100,000 waiting messages after kill -9; a message of 50 MiB.
 *
 *   npm run bench:spool -- [--engine NAME ...] [--work NAME ...] [--repetitions N] [--scale 0.01] [--json]
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";

import { renderTable } from "../../../relay/kit/table.ts";
import type { Spread } from "../spread.ts";
import { engines } from "./engines/index.ts";
import { LARGE_BYTES, runSpoolBench, type SpoolResults, WAITING } from "./run.ts";
import { phases } from "./work.ts";

const works = ["life", "recovery", "large"];
const usage = `usage: npm run bench:spool -- [--engine NAME ...] [--work NAME ...] [--repetitions N] [--scale 0.01] [--json]
engines: ${engines.map(({ name, about }) => `${name} (${about})`).join("\n         ")}
works:   ${works.join(", ")}
         --scale tries it with a part of the messages`;

const { values } = parseArgs({
  options: {
    engine: { type: "string", multiple: true },
    work: { type: "string", multiple: true },
    repetitions: { type: "string", default: "5" },
    scale: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const repetitions = Number(values.repetitions);
const scale = Number(values.scale);
const chosen = engines.map(({ name }) => name).filter((name) => values.engine?.includes(name) ?? true);
const chosenWorks = works.filter((name) => values.work?.includes(name) ?? true);
const isUnknown =
  values.engine?.some((name) => !chosen.includes(name)) === true ||
  values.work?.some((name) => !chosenWorks.includes(name)) === true;
if (
  !Number.isInteger(repetitions) ||
  repetitions < 1 ||
  repetitions > 50 ||
  !(scale > 0 && scale <= 1) ||
  isUnknown
) {
  console.error(usage);
  process.exit(2);
}
if (process.platform !== "linux") {
  console.error("Cannot measure: the books of /proc are Linux's. Run the benchmark there.");
  process.exit(1);
}

const results = await runSpoolBench({
  engines: chosen,
  works: new Set(chosenWorks),
  ...{ repetitions, scale },
  say: (line) => process.stderr.write(`${line}\n`),
});
const machine = {
  ...{ cpu: cpus()[0]?.model ?? "", cpus: cpus().length },
  ...{ node: process.version, sqlite: process.versions["sqlite"] ?? null },
};
if (values.json) console.log(JSON.stringify({ machine, repetitions, scale, ...results }, null, 2));
else for (const line of textOf(results)) console.log(line);

function textOf({ life, recovery, large, othersCpu }: SpoolResults): string[] {
  const lines: string[] = [];
  const table = (headers: readonly string[], rows: string[][]) =>
    lines.push(...renderTable({ columns: headers.map((header) => ({ header })), rows, width: null }), "");
  const rows = [...life].toSorted((a, b) => a.inFlight - b.inFlight);
  for (const phase of life.length === 0 ? [] : phases) {
    table(
      [phase.toUpperCase(), "IN FLIGHT", "A SECOND", "CPU MS: MAIN THREAD", "ALL", "SYNCS", "BYTES WRITTEN"],
      rows.map(({ engine, inFlight, phases: { [phase]: of } }) => [
        ...[engine, String(inFlight), told(of.perSecond, 0), told(of.mainCpuMs, 3), told(of.cpuMs, 3)],
        ...[of.syncs === null ? "not counted (no strace)" : of.syncs.toFixed(3), told(of.bytesWritten, 0)],
      ]),
    );
  }
  if (life.length > 0) {
    table(
      ["PUT TO REMOVE, CLOSED", "IN FLIGHT", "BYTES WRITTEN A MESSAGE"],
      rows.map(({ engine, inFlight, bytesWritten }) => [engine, String(inFlight), told(bytesWritten, 0)]),
    );
  }
  if (recovery.length > 0) {
    table(
      [
        `START WITH ${Math.round(WAITING * scale)}`,
        "ALL TOLD, S",
        "TAKES MAIL, S",
        "CPU S",
        "MEMORY MIB",
        "ANONYMOUS",
      ],
      recovery.map((of) => [
        ...[of.engine, told(of.toldSeconds, 2), told(of.takesSeconds, 2), told(of.cpuSeconds, 2)],
        ...[told(of.mib, 0), told(of.anonymousMib, 0)],
      ]),
    );
    table(
      ["DISK, MIB", "CONTENT", "ALL WAIT", "ALL REMOVED", "CLOSED"],
      recovery.map((of) => [
        ...[of.engine, told(of.contentMib, 0), told(of.fullMib, 0)],
        ...[told(of.removedMib, 0), told(of.closedMib, 1)],
      ]),
    );
  }
  if (large.length > 0) {
    table(
      [
        `ONE OF ${Math.round((LARGE_BYTES * scale) / 1024 / 1024)} MIB`,
        "PUT: S",
        "MEMORY +MIB",
        "ANONYMOUS",
        "READ: S",
        "MEMORY +MIB",
        "ANONYMOUS ",
      ],
      large.map((of) => [
        ...[of.engine, told(of.putSeconds, 2), told(of.putMib, 0), told(of.putAnonymousMib, 0)],
        ...[told(of.readSeconds, 2), told(of.readMib, 0), told(of.readAnonymousMib, 0)],
      ]),
    );
  }
  lines.push(
    `Median (low–high) of ${repetitions} repetitions in turns; messages of 10 KiB; ` +
      `${machine.cpus} × ${machine.cpu}, Node ${machine.node}, SQLite ${machine.sqlite}. ` +
      `Others took ${told(othersCpu, 2)} of the machine.`,
  );
  return lines;
}

function told({ median, low, high }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
}
