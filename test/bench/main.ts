/**
 * `npm run bench`: accept and deliver, durable, against Postfix tuned and Haraka, interleaved in one run; what
 * the kernel counts of a message; memory.
 *
 *   npm run bench -- [--case NAME ...] [--repetitions N] [--json]
 *
 * The cases are data (cases.ts), each kind has its runner. Ratios over 1 for the rate and under 1 for CPU
 * are in our favour; CPU a message is the first of the two, for load tools and sink share the machine.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";

import { renderTable } from "../../relay/kit/table.ts";
import { missingPeers } from "../support/peers/debian.ts";
import { backlogCases } from "./backlog.ts";
import { runBacklogCases } from "./backlogReport.ts";
import { type Case, cases } from "./cases.ts";
import { type Counts, runCounts } from "./counts.ts";
import { HARAKA_VERSION, provideHaraka } from "./haraka.ts";
import { type Memory, runMemory } from "./memory.ts";
import { type RateResults, runRates } from "./rates.ts";
import { spreadText } from "./spread.ts";

const usage = `usage: npm run bench -- [--case NAME ...] [--repetitions N] [--json]
cases: ${cases.map((entry) => entry.name).join(", ")}
alone: ${backlogCases.map(({ name, about }) => `${name} (${about})`).join("\n       ")}
       --filled DIR keeps filled spools there for the next run, --scale 0.01 tries a case with a part of its counts`;

const { values } = parseArgs({
  options: {
    case: { type: "string", multiple: true },
    repetitions: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
    filled: { type: "string" },
    scale: { type: "string", default: "1" },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const longQueue = backlogCases.filter(({ name }) => values.case?.includes(name));
if (longQueue.length > 0) {
  await runBacklogCases(longQueue, {
    repetitions: Number(values.repetitions),
    kept: values.filled ?? null,
    scale: Number(values.scale),
    json: values.json,
  });
  process.exit(0);
}
const repetitions = Number(values.repetitions);
const chosen = cases.filter((entry) => values.case?.includes(entry.name) ?? true);
if (!Number.isInteger(repetitions) || repetitions < 1 || repetitions > 50 || chosen.length === 0) {
  console.error(usage);
  process.exit(2);
}
const refusal = cannotMeasure();
if (refusal !== null) {
  console.error(`Cannot measure: ${refusal}`);
  process.exit(1);
}
const say = (line: string) => process.stderr.write(`${line}\n`);
if (chosen.some((entry) => entry.kind === "rate" && entry.peers.includes("haraka"))) provideHaraka();

const rateCases = chosen.filter((entry) => entry.kind === "rate");
const rates: RateResults | null =
  rateCases.length === 0 ? null : await runRates(rateCases, { repetitions, say });
const counts: Counts[] = [];
const memory: Memory[] = [];
for (const entry of chosen) {
  if (entry.kind === "rate") continue;
  say(entry.name);
  if (entry.kind === "count") counts.push(await runCounts(entry));
  else memory.push(await runMemory(entry));
}

const machine = { cpu: cpus()[0]?.model ?? "", cpus: cpus().length, node: process.version };
if (values.json) {
  console.log(
    JSON.stringify(
      {
        machine,
        repetitions,
        cases: rates?.cases ?? [],
        control: rates?.control ?? [],
        othersCpu: rates?.othersCpu ?? null,
        noisyRepetitions: rates?.noisyRepetitions ?? 0,
        counts,
        memory,
      },
      null,
      2,
    ),
  );
} else {
  for (const line of [...ratesText(), ...countsText(), ...memoryText()]) console.log(line);
}

function cannotMeasure(): string | null {
  if (process.getuid?.() !== 0) return "Postfix starts as root only. Run the benchmark as root.";
  const needed = new Set([
    "postfix",
    ...(chosen.some((entry: Case) => entry.kind === "rate" && entry.setup === "tls") ? ["stunnel4"] : []),
  ]);
  const [missing] = missingPeers().filter((peer) => needed.has(peer.package));
  return missing === undefined
    ? null
    : `${missing.package} is missing. Install it: apt-get install --no-install-recommends ${missing.package} (npm test does so too).`;
}

function ratesText(): string[] {
  if (rates === null) return [];
  const rows = (comparisons: RateResults["cases"]) =>
    comparisons.map((row) => [
      row.case,
      row.peer,
      spreadText(row.rateRatio),
      spreadText(row.cpuRatio),
      `${row.ours.messagesPerSecond.median.toFixed(0)}/s, ${row.ours.cpuMillisecondsPerMessage.median.toFixed(2)} ms`,
      `${row.theirs.messagesPerSecond.median.toFixed(0)}/s, ${row.theirs.cpuMillisecondsPerMessage.median.toFixed(2)} ms`,
    ]);
  const table = (headers: readonly string[], body: string[][]) =>
    renderTable({ columns: headers.map((header) => ({ header })), rows: body, width: null });
  return [
    ...table(["CASE", "PEER", "RATE RATIO", "CPU RATIO", "OURS", "PEER'S"], rows(rates.cases)),
    "",
    "Postfix against itself, which is the noise:",
    ...table(["CASE", "PEER", "RATE RATIO", "CPU RATIO", "AGAIN", "POSTFIX"], rows(rates.control)),
    "",
    `Median (low–high) of ${repetitions} repetitions; durable queues, delivery to a sink on this machine ` +
      `(${machine.cpus} × ${machine.cpu}, Node ${machine.node}, Haraka ${HARAKA_VERSION}).`,
    `Others took ${spreadText(rates.othersCpu)} of the machine; ${rates.noisyRepetitions} repetitions were noisy (over 0.25).`,
  ];
}

function countsText(): string[] {
  return counts.map(({ case: name, fsyncsPerMessage, bytesWrittenPerMessage, systemCallsPerMessage }) => {
    const calls = Object.entries(systemCallsPerMessage ?? {}).map(([call, count]) => `${call} ${count}`);
    return `${name}: ${fsyncsPerMessage ?? "? (no strace)"} syncs, ${bytesWrittenPerMessage} bytes written a message; ${calls.join(", ")}`;
  });
}

function memoryText(): string[] {
  return memory.map(({ case: name, mib, kibPerSession }) =>
    kibPerSession === undefined
      ? `${name}: ${mib} MiB`
      : `${name}: ${mib} MiB, ${kibPerSession.greeted} KiB a session greeted, ${kibPerSession.afterEhlo} KiB after its EHLO`,
  );
}
