/** A message of 50 MB streams: neither taking nor delivering it has the whole of it in memory. */
import { expect, test } from "vitest";

import { slowReceiver, submitLarge, watchMemory } from "../../support/largeMail.ts";
import { smarthostRoute, startRelay, testConfig } from "../../support/relayProcess.ts";

const MIB = 1024 * 1024;

/** What is not yet collected of the buffers that passed comes and goes, up to some 60 MiB; the messages do not. */
const AT_ONCE = 6;

test("six messages of 50 MB pass a slow receiver side by side, and memory grows by less than half of what they are", async () => {
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
  await Promise.all(Array.from({ length: AT_ONCE }, () => submitLarge(relay.port, 50 * MIB)));
  await relay.until((told) => told.queue.messages === 0, 240);
  memory.stop();

  expect(receiver.messages()).toBe(1 + AT_ONCE);
  expect(receiver.taken()).toBeGreaterThan(AT_ONCE * 50 * MIB);
  console.log(`${AT_ONCE} messages of 50 MiB: memory grew by ${memory.growth().toFixed(0)} MiB`);
  expect(memory.growth()).toBeLessThan((AT_ONCE * 50) / 2);
}, 300_000);
