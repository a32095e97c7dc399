/**
 * What others feel of troublemakers: the same load through one relay with and without them, in turns. The ratio
 * of the rates is told, and how long the slowest of some hundred submissions beside the load took to be safe.
 */
import { setTimeout as sleep } from "node:timers/promises";

import { dnsServer, type ZoneEntry } from "../support/dnsServer.ts";
import { type RelayProcess, startRelay, testConfig } from "../support/relayProcess.ts";
import { SmtpClient } from "../support/smtpClient.ts";
import type { BacklogContext, Figure } from "./backlog.ts";
import { send, type Sink, startSink } from "./load.ts";
import { shippedFolder } from "./shipped.ts";
import { spread } from "./spread.ts";
import {
  endlessSenders,
  idleSessions,
  slowSenders,
  tricklingServers,
  type Trouble,
} from "./troublemakers.ts";

interface Stage {
  readonly relay: RelayProcess;
  readonly sink: Sink;
  readonly tricklers: readonly string[];
  readonly scale: number;
}

interface Kind {
  readonly name: string;
  begin(stage: Stage): Promise<Trouble>;
}

const load = { sessions: 20, messages: 3000, bytes: 10_240, perConnection: false };
const TRICKLERS = 200;
const PROBE_EVERY_MS = 20;

const kinds: readonly Kind[] = [
  {
    name: "5,000 idle sessions",
    begin: ({ relay, scale }) => idleSessions(relay.port, Math.ceil(5000 * scale)),
  },
  {
    name: "500 clients that send a line a second",
    begin: ({ relay, scale }) => slowSenders(relay.port, Math.ceil(500 * scale)),
  },
  {
    name: "20 clients that never end",
    begin: ({ relay, scale }) => endlessSenders(relay.port, Math.ceil(20 * scale)),
  },
  {
    name: `${TRICKLERS} servers whose greeting trickles`,
    async begin({ relay, sink, tricklers }) {
      const trouble = await tricklingServers(tricklers, sink.port);
      const client = await SmtpClient.connect({ port: relay.port });
      await client.expect(220);
      await client.say("EHLO client.example.test", 250);
      // Three for each: more than a site that has not answered yet gets connections.
      for (const index of [0, 1, 2].flatMap(() => [...tricklers.keys()])) {
        await submit(client, `late@trickle${index}.test`);
      }
      client.raw("QUIT\r\n");
      // All that will ever trickle do: the lookups and connections of the beginning are work like any other.
      for (let alive = 0; alive === 0 || alive !== trouble.alive;) {
        alive = trouble.alive;
        await sleep(1000);
      }
      return trouble;
    },
  },
];

export async function unharmed({ repetitions, say, scale }: BacklogContext): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const kind of kinds) {
    const rates: number[] = [];
    const slowest: { quiet: number[]; troubled: number[] } = { quiet: [], troubled: [] };
    for (let repetition = 0; repetition < repetitions; repetition++) {
      await using stage = await setTheStage(scale);
      await measure(stage);
      const before = await measure(stage);
      let troubled: Measured;
      let alive: number;
      {
        await using trouble = await kind.begin(stage);
        troubled = await measure(stage);
        alive = trouble.alive;
      }
      const after = await measure(stage);
      // A relay gets faster as it goes, and machines drift: the quiet time on both sides of it.
      const quiet = {
        rate: (before.rate + after.rate) / 2,
        slowestSeconds: Math.max(before.slowestSeconds, after.slowestSeconds),
      };
      rates.push(troubled.rate / quiet.rate);
      slowest.quiet.push(quiet.slowestSeconds);
      slowest.troubled.push(troubled.slowestSeconds);
      say(
        `${kind.name}: ${troubled.rate.toFixed(0)}/s in place of ${quiet.rate.toFixed(0)}/s, slowest reply ` +
          `${troubled.slowestSeconds.toFixed(2)} s in place of ${quiet.slowestSeconds.toFixed(2)} s, ${alive} still there`,
      );
    }
    const told = { must: null, goal: null };
    figures.push(
      {
        ...{ name: `rate beside ${kind.name}`, unit: "x", value: spread(rates).median },
        ...{ must: 0.8, goal: 0.95, atLeast: true },
      },
      { name: "slowest reply to content", unit: "s", value: spread(slowest.troubled).median, ...told },
      { name: "the same without them", unit: "s", value: spread(slowest.quiet).median, ...told },
    );
  }
  return figures;
}

interface Measured {
  readonly rate: number;
  readonly slowestSeconds: number;
}

/** The load, and beside it one client that sends a small message again and again and keeps the time of each. */
async function measure({ relay, sink }: Stage): Promise<Measured> {
  const client = await SmtpClient.connect({ port: relay.port });
  await client.expect(220);
  await client.say("EHLO probe.example.test", 250);
  const over = new AbortController();
  let slowestMs = 0;
  const probing = (async () => {
    while (!over.signal.aborted) {
      const started = performance.now();
      await submit(client, "probe@probe.test");
      slowestMs = Math.max(slowestMs, performance.now() - started);
      await sleep(PROBE_EVERY_MS);
    }
  })();
  const before = sink.taken();
  const started = performance.now();
  // The probes wait for a host that refuses connections: what the sink counts is the load.
  await send(relay.port, sink, load);
  const seconds = (performance.now() - started) / 1000;
  over.abort();
  await probing;
  client.raw("QUIT\r\n");
  return { rate: (sink.taken() - before) / seconds, slowestSeconds: slowestMs / 1000 };
}

async function submit(client: SmtpClient, recipient: string): Promise<void> {
  await client.say("MAIL FROM:<sender@example.test>", 250);
  await client.say(`RCPT TO:<${recipient}>`, 250);
  await client.say("DATA", 354);
  client.raw("From: sender@example.test\r\nSubject: small\r\n\r\nA message.\r\n.\r\n");
  await client.expect(250);
}

/** A relay that finds hosts by MX: the sink of the load, one that refuses connections for the probes, the tricklers. */
async function setTheStage(scale: number): Promise<Stage & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const tricklers = Array.from({ length: Math.ceil(TRICKLERS * scale) }, (_, n) => `127.0.2.${n + 1}`);
  const zone: Record<string, ZoneEntry> = {
    "inbox.test": { MX: [[10, "mx.inbox.test"]] },
    "mx.inbox.test": { A: ["127.0.0.1"] },
    "probe.test": { MX: [[10, "mx.probe.test"]] },
    "mx.probe.test": { A: ["127.0.3.1"] },
  };
  for (const [index, address] of tricklers.entries()) {
    zone[`trickle${index}.test`] = { MX: [[10, `mx${index}.trickle.test`]] };
    zone[`mx${index}.trickle.test`] = { A: [address] };
  }
  const dns = await dnsServer(zone);
  stack.defer(() => dns.stop());
  const sink = stack.use(await startSink());
  const relay = stack.use(
    await startRelay({
      product: shippedFolder(),
      logLevel: "warn",
      config: (listenerPort) => ({
        ...testConfig({ listenerPort }),
        limits: {
          messageSizeBytes: 26_214_400,
          recipientsPerMessage: 1000,
          sessions: 6000,
          sessionsPerClient: 6000,
        },
        dns: { servers: [dns.address] },
        delivery: { port: sink.port, forbiddenNetworks: [] },
      }),
    }),
  );
  return { relay, sink, tricklers, scale, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
