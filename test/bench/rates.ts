/**
 * Rates and CPU of ours against peers, interleaved: in each repetition every relay starts fresh and warms
 * up; then they take turns, case by case, in an order that rotates. Ratios are taken within a repetition, then the median of
 * them: absolute rates drift with the machine, ratios hold. A repetition in which others took more than a
 * quarter of the machine is made again, so often as there are repetitions; what stays noisy is told.
 */
import type { RateCase, Setup } from "./cases.ts";
import { type Load, send, type Sink, startSink } from "./load.ts";
import { cpuSeconds, watchOthers } from "./machine.ts";
import { control, haraka, ours, postfixTuned, type RelayKind } from "./relays.ts";
import { type Spread, spread } from "./spread.ts";
import { startTunnel } from "./tunnel.ts";

export interface Sample {
  readonly messagesPerSecond: number;
  readonly cpuMillisecondsPerMessage: number;
}

export interface Comparison {
  readonly case: string;
  readonly peer: string;
  readonly rateRatio: Spread;
  readonly cpuRatio: Spread;
  readonly ours: { readonly messagesPerSecond: Spread; readonly cpuMillisecondsPerMessage: Spread };
  readonly theirs: { readonly messagesPerSecond: Spread; readonly cpuMillisecondsPerMessage: Spread };
}

export interface RateResults {
  readonly cases: readonly Comparison[];
  /** Postfix against itself: the noise. */
  readonly control: readonly Comparison[];
  /** Part of the machine that others took, over the repetitions. */
  readonly othersCpu: Spread;
  readonly noisyRepetitions: number;
}

const MOST_OTHERS = 0.25;
/** Node optimises what it has run for some eight thousand messages, ours as well as Haraka. */
const warmUp: Load = { sessions: 20, messages: 8000, bytes: 10_240, perConnection: false };
/** Processes of Postfix are all there after these. */
const POSTFIX_WARM_UP = 1500;
/** Ours takes more messages, so that both are measured for about as long. */
const OURS_MORE = 3;

/** Samples by relay, then by case. */
type Samples = Map<string, Map<string, Sample>>;

interface Repetition {
  readonly samples: Samples;
  /** Part of the machine that others took while something was measured. */
  readonly others: number;
}

export async function runRates(
  cases: readonly RateCase[],
  options: { readonly repetitions: number; readonly say: (line: string) => void },
): Promise<RateResults> {
  const made: Repetition[] = [];
  const quiet = () => made.filter(({ others }) => others <= MOST_OTHERS).length;
  for (let number = 0; quiet() < options.repetitions && number < 2 * options.repetitions; number++) {
    options.say(`repetition ${number + 1}, ${quiet()} quiet ones of ${options.repetitions} so far`);
    made.push(await repeat(cases, number, options.say));
    options.say(`others took ${((made.at(-1)?.others ?? 0) * 100).toFixed(0)} % of the machine`);
  }
  // On a machine that is never quiet the least noisy count, and the result says how noisy they were.
  const repetitions = made.toSorted((a, b) => a.others - b.others).slice(0, options.repetitions);
  const all = repetitions.map(({ samples }) => samples);
  return {
    cases: cases.flatMap((entry) => entry.peers.map((peer) => compare(all, entry.name, ours.name, peer))),
    control: cases
      .filter(({ setup }) => setup === "plain")
      .map((entry) => compare(all, entry.name, control.name, postfixTuned.name)),
    othersCpu: spread(repetitions.map(({ others }) => others)),
    noisyRepetitions: repetitions.filter(({ others }) => others > MOST_OTHERS).length,
  };
}

/** All relays of a setup stand side by side, and take turns case by case: what waits costs nothing. */
async function repeat(
  cases: readonly RateCase[],
  number: number,
  say: (line: string) => void,
): Promise<Repetition> {
  const samples: Samples = new Map();
  const others: { readonly part: number; readonly seconds: number }[] = [];
  for (const setup of new Set(cases.map((entry) => entry.setup))) {
    const mine = cases.filter((entry) => entry.setup === setup);
    await using ends = new AsyncDisposableStack();
    const standing: Standing[] = [];
    for (const kind of relaysOf(mine, setup)) standing.push(await stand(kind, setup, ends));
    for (const [index, { name, load, peers }] of mine.entries()) {
      for (let turn = 0; turn < standing.length; turn++) {
        const relay = standing[(turn + index + number) % standing.length];
        if (relay === undefined || (relay.kind === haraka && !peers.includes(haraka.name))) continue;
        // Not from start to end: what a Postfix took is nobody's once its processes are ended.
        const stop = watchOthers();
        const sample = await take(relay, load);
        others.push(stop());
        const ofRelay = samples.get(relay.kind.name) ?? new Map<string, Sample>();
        samples.set(relay.kind.name, ofRelay.set(name, sample));
        say(
          `${relay.kind.name.padEnd(20)} ${name.padEnd(24)} ${sample.messagesPerSecond.toFixed(0).padStart(6)}/s  ` +
            `${sample.cpuMillisecondsPerMessage.toFixed(2)} ms CPU`,
        );
      }
    }
  }
  const seconds = others.reduce((sum, one) => sum + one.seconds, 0);
  return { samples, others: others.reduce((sum, one) => sum + one.part * one.seconds, 0) / seconds };
}

function relaysOf(cases: readonly RateCase[], setup: Setup): readonly RelayKind[] {
  const named = new Set(cases.flatMap(({ peers }) => peers));
  return [ours, postfixTuned, haraka, control].filter(
    ({ name }) => name === ours.name || named.has(name) || (name === control.name && setup === "plain"),
  );
}

interface Standing {
  readonly kind: RelayKind;
  readonly pid: number;
  readonly sink: Sink;
  /** Where its load goes in. */
  readonly port: number;
}

/** Starts a relay between the two ends of a measurement, and warms it up. */
async function stand(kind: RelayKind, setup: Setup, ends: AsyncDisposableStack): Promise<Standing> {
  const sink = ends.use(await startSink());
  const out = setup === "tls" ? ends.use(await startTunnel("server", sink.port)).port : sink.port;
  const relay = ends.use(await kind.start(out, setup));
  const port = setup === "tls" ? ends.use(await startTunnel("client", relay.port)).port : relay.port;
  const isNode = kind === ours || kind === haraka;
  await send(port, sink, isNode ? warmUp : { ...warmUp, messages: POSTFIX_WARM_UP });
  return { kind, pid: relay.pid, sink, port };
}

/**
 * Begins with a run-up of the load's own shape, which does not count: code that was optimised for twenty sessions is
 * not yet for one, and Postfix has as many processes as the last load wanted.
 */
async function take({ kind, pid, sink, port }: Standing, load: Load): Promise<Sample> {
  await send(port, sink, load);
  const whole = kind === ours ? { ...load, messages: OURS_MORE * load.messages } : load;
  const before = cpuSeconds(pid);
  const seconds = await send(port, sink, whole);
  const cpu = cpuSeconds(pid) - before;
  return {
    messagesPerSecond: whole.messages / seconds,
    cpuMillisecondsPerMessage: (cpu * 1000) / whole.messages,
  };
}

function compare(all: readonly Samples[], name: string, left: string, right: string): Comparison {
  const pairs = all.flatMap((samples) => {
    const [mine, other] = [samples.get(left)?.get(name), samples.get(right)?.get(name)];
    return mine === undefined || other === undefined ? [] : [{ mine, other }];
  });
  const rateOf = (sample: Sample) => sample.messagesPerSecond;
  const cpuOf = (sample: Sample) => sample.cpuMillisecondsPerMessage;
  const of = (samples: readonly Sample[]) => ({
    messagesPerSecond: spread(samples.map(rateOf)),
    cpuMillisecondsPerMessage: spread(samples.map(cpuOf)),
  });
  return {
    case: name,
    peer: right,
    rateRatio: spread(pairs.map(({ mine, other }) => rateOf(mine) / rateOf(other))),
    cpuRatio: spread(pairs.map(({ mine, other }) => cpuOf(mine) / cpuOf(other))),
    ours: of(pairs.map(({ mine }) => mine)),
    theirs: of(pairs.map(({ other }) => other)),
  };
}
