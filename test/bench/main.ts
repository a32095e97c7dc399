/**
 * `npm run bench`: accept and deliver, durable, against Postfix tuned, interleaved in one run.
 *
 *   npm run bench -- [--case NAME ...] [--repetitions N] [--json]
 *
 * Each repetition starts every relay fresh, warms it up, and measures it case by case; the order of relays
 * rotates. Ratios are taken inside a repetition, then the median of them: absolute rates drift with the
 * machine, ratios hold. Postfix runs twice, under two names: its ratio to itself shows what noise there is.
 */
import { parseArgs } from "node:util";

import { renderTable } from "../../relay/kit/table.ts";
import { missingPeers } from "../support/peers/debian.ts";
import { measure, type Sample, startSink } from "./measure.ts";
import { ours, postfixTuned, type RelayKind } from "./relays.ts";

interface Case {
  readonly name: string;
  readonly sessions: number;
  readonly messages: number;
  readonly bytes: number;
}

const cases: readonly Case[] = [
  { name: "10KiB-1", sessions: 1, messages: 800, bytes: 10_240 },
  { name: "10KiB-20", sessions: 20, messages: 2000, bytes: 10_240 },
  { name: "10KiB-100", sessions: 100, messages: 2000, bytes: 10_240 },
];
/** Node optimises what it has run for a while; Postfix starts its processes. */
const warmUp = { sessions: 20, messages: 2000, bytes: 10_240 };

const usage = `usage: npm run bench -- [--case NAME ...] [--repetitions N] [--json]
cases: ${cases.map((entry) => entry.name).join(", ")}`;

const { values } = parseArgs({
  options: {
    case: { type: "string", multiple: true },
    repetitions: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const repetitions = Number(values.repetitions);
const chosen = cases.filter((entry) => values.case?.includes(entry.name) ?? true);
if (!Number.isInteger(repetitions) || repetitions < 1 || repetitions > 50 || chosen.length === 0) {
  console.error(usage);
  process.exit(2);
}
const missing = missingPeers().filter((peer) => peer.package === "postfix");
if (missing.length > 0 || process.getuid?.() !== 0) {
  console.error(
    missing.length > 0
      ? "Cannot measure: Postfix is missing. Install it: apt-get install --no-install-recommends postfix (npm test does so too)."
      : "Cannot measure: Postfix starts as root only. Run the benchmark as root.",
  );
  process.exit(1);
}

const say = (line: string) => process.stderr.write(`${line}\n`);
const relays: readonly RelayKind[] = [ours, postfixTuned, { ...postfixTuned, name: "postfix-tuned-again" }];
/** By case, by relay: one sample a repetition. */
const samples = new Map<string, Map<string, Sample[]>>();

for (let repetition = 0; repetition < repetitions; repetition++) {
  const order = relays.map((_, index) => relays[(index + repetition) % relays.length] ?? ours);
  for (const kind of order) {
    await using sink = await startSink();
    await using relay = await kind.start(sink.port);
    await measure(relay, sink, warmUp);
    for (const entry of chosen) {
      const sample = await measure(relay, sink, entry);
      const byRelay = samples.get(entry.name) ?? new Map<string, Sample[]>();
      samples.set(entry.name, byRelay);
      byRelay.set(kind.name, [...(byRelay.get(kind.name) ?? []), sample]);
      say(
        `repetition ${repetition + 1}/${repetitions}  ${kind.name.padEnd(20)} ${entry.name.padEnd(10)} ` +
          `${sample.messagesPerSecond.toFixed(0).padStart(6)}/s  ${sample.cpuMillisecondsPerMessage.toFixed(2)} ms CPU`,
      );
    }
  }
}

interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const median = (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
  const round = (value: number) => Math.round(value * 1000) / 1000;
  return { median: round(median), low: round(at(0)), high: round(at(sorted.length - 1)) };
}

function compare(name: string, left: string, right: string): { rateRatio: Spread; cpuRatio: Spread } {
  const lefts = samples.get(name)?.get(left) ?? [];
  const rights = samples.get(name)?.get(right) ?? [];
  const ratios = (of: (sample: Sample) => number) =>
    spread(
      lefts.map((sample, index) => {
        const other = rights[index];
        return other === undefined ? Number.NaN : of(sample) / of(other);
      }),
    );
  return {
    rateRatio: ratios((sample) => sample.messagesPerSecond),
    cpuRatio: ratios((sample) => sample.cpuMillisecondsPerMessage),
  };
}

const results = chosen.map((entry) => ({
  case: entry.name,
  peer: "postfix-tuned",
  ...compare(entry.name, "smtp-relay", "postfix-tuned"),
}));
const control = chosen.map((entry) => ({
  case: entry.name,
  ...compare(entry.name, "postfix-tuned-again", "postfix-tuned"),
}));

if (values.json) {
  console.log(JSON.stringify({ repetitions, cases: results, control }, null, 2));
} else {
  const cell = ({ median, low, high }: Spread) =>
    `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
  const rate = (name: string, relay: string) =>
    `${spread((samples.get(name)?.get(relay) ?? []).map((sample) => sample.messagesPerSecond)).median.toFixed(0)}/s`;
  const lines = renderTable({
    columns: ["CASE", "RATE RATIO", "CPU RATIO", "OURS", "POSTFIX", "A/A RATE", "A/A CPU"].map((header) => ({
      header,
    })),
    rows: results.map((row, index) => [
      row.case,
      cell(row.rateRatio),
      cell(row.cpuRatio),
      rate(row.case, "smtp-relay"),
      rate(row.case, "postfix-tuned"),
      cell(control[index]?.rateRatio ?? row.rateRatio),
      cell(control[index]?.cpuRatio ?? row.cpuRatio),
    ]),
    width: null,
  });
  console.log(lines.join("\n"));
  console.log(
    `\nMedian (low–high) of ${repetitions} repetitions against Postfix tuned; durable queues, 10 KiB, delivery to a sink on this machine.\n` +
      "Rate ratio over 1 and CPU ratio under 1 are in our favour. A/A is Postfix against itself: the noise.",
  );
}
