/** Postfix's own load tools on both sides: smtp-source submits, smtp-sink counts. Not one lost, not one doubled. */
import { expect, test } from "vitest";

import { startSink, submit } from "../bench/load.ts";
import { smarthostRoute, startRelay, testConfig } from "../support/relayProcess.ts";

test.each([
  ["one session", 1, 100, 10_240],
  ["fifty sessions", 50, 1000, 2048],
  ["large messages", 4, 20, 2_000_000],
] as const)(
  "%s: what smtp-source was told 250 for, smtp-sink takes once",
  async (_, sessions, messages, bytes) => {
    await using sink = await startSink();
    await using relay = await startRelay({
      config: (listenerPort) => testConfig({ listenerPort, routes: [smarthostRoute(sink.port)] }),
      logLevel: "warn",
    });

    await submit(relay.port, { sessions, messages, bytes, perConnection: false });
    await sink.reached(messages);
    const report = await relay.until((told) => told.queue.messages === 0);

    expect(sink.taken()).toBe(messages);
    expect(report.counters.reduce((sum, counter) => sum + counter.delivered, 0)).toBe(messages);
  },
);
