/** A message of 50 MB streams: neither taking nor delivering it has the whole of it in memory. */
import { expect, test } from "vitest";

import { slowReceiver, submitLarge, watchMemory } from "../../support/largeMail.ts";
import { smarthostRoute, startRelay, testConfig } from "../../support/relayProcess.ts";

const MIB = 1024 * 1024;

test("50 MB pass a slow receiver, and the relay's memory grows by less than a good half of it", async () => {
  await using receiver = await slowReceiver(512 * 1024);
  await using relay = await startRelay({
    config: (listenerPort) => {
      const config = testConfig({ listenerPort, routes: [smarthostRoute(receiver.port)] });
      return { ...config, limits: { ...config.limits, messageSizeBytes: 64 * MIB } };
    },
    logLevel: "warn",
  });
  // What one message needs whatever its size: code that runs for the first time, pools of buffers.
  await submitLarge(relay.port, MIB);
  await relay.until((told) => told.queue.messages === 0, 60);

  const memory = watchMemory(relay.pid);
  await submitLarge(relay.port, 50 * MIB);
  await relay.until((told) => told.queue.messages === 0, 60);
  memory.stop();

  expect(receiver.messages()).toBe(2);
  expect(receiver.taken()).toBeGreaterThan(51 * MIB);
  expect(memory.growth()).toBeLessThan(32);
}, 120_000);
