import { expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { silentLog } from "../../relay/kit/log.ts";
import { createMemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { createCaches } from "./caches.ts";
import { countTroubles } from "./troubles.ts";

const domain = (name: string) => ({
  apiVersion: "smtprelay.dev/v1alpha1",
  kind: "SendingDomain",
  metadata: { name, namespace: "shop" },
});

test("objects are counted while a condition says so, by reason, and no longer when they are well or gone", async () => {
  const clock = new FakeClock();
  const client = createMemoryCluster({ clock, random: seededRandom(1) });
  const caches = createCaches({ client, namespaces: null, clock, random: seededRandom(2), log: silentLog });
  const troubles = countTroubles(caches);
  const say = async (name: string, ready: string, stalled: string, reason: string) => {
    const at = { lastTransitionTime: "2026-11-23T12:00:00Z", message: "so it is" };
    const conditions = [
      { type: "Ready", status: ready, reason, ...at },
      { type: "Stalled", status: stalled, reason, ...at },
    ];
    await client.applyStatus({ ...domain(name), status: { conditions } }, "operator");
    await clock.advance(0);
  };
  const told = () => troubles().map((one) => `${one.condition} ${one.reason} ${one.objects}`);
  for (const name of ["a", "b"])
    await client.apply(
      { ...domain(name), spec: { domain: `${name}.test`, relayRef: { name: "mail" } } },
      "me",
    );
  caches.domains.start();
  await clock.advance(0);
  await caches.domains.synced;
  expect(told()).toEqual([]);

  await say("a", "False", "True", "RelayMissing");
  await say("b", "False", "True", "RelayMissing");
  expect(told()).toEqual(["NotReady RelayMissing 2", "Stalled RelayMissing 2"]);
  expect(troubles()[0]).toMatchObject({ kind: "SendingDomain", namespace: "shop" });

  await say("a", "True", "False", "Verified");
  await say("b", "Unknown", "True", "SpecUnreadable");
  expect(told()).toEqual(["NotReady SpecUnreadable 1", "Stalled SpecUnreadable 1"]);

  await client.delete(
    { apiVersion: "smtprelay.dev/v1alpha1", kind: "SendingDomain", plural: "sendingdomains" },
    { namespace: "shop", name: "b" },
  );
  await clock.advance(0);
  expect(told()).toEqual([]);
  await caches.domains.stop();
});
