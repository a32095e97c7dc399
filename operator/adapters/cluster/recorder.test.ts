/** Events over the cluster in memory: series, spam, bounds. */
import { beforeEach, expect, test } from "vitest";

import { FakeClock } from "../../../test/support/fakeClock.ts";
import { FaultyKube } from "../../../test/support/faultyKube.ts";
import { seededRandom } from "../../../test/support/seededRandom.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { KubeError, type KubeObject } from "../kubeClient.ts";
import { createMemoryCluster, type MemoryCluster } from "../memory/memoryCluster.ts";
import { events } from "./clusterClient.ts";
import { type ClusterRecorder, createRecorder } from "./recorder.ts";

let clock: FakeClock;
let cluster: MemoryCluster;
let kube: FaultyKube;
let recorder: ClusterRecorder;
beforeEach(() => {
  clock = new FakeClock();
  cluster = createMemoryCluster({ clock, random: seededRandom(1) });
  kube = new FaultyKube(cluster);
  recorder = createRecorder({ client: kube, clock, log: silentLog, instance: "operator-0" });
});

const relay = (name = "mail"): KubeObject => ({
  apiVersion: "smtprelay.dev/v1alpha1",
  kind: "SmtpRelay",
  metadata: { name, namespace: "mail", uid: `uid-of-${name}`, resourceVersion: "7" },
});
const fact = (reason: string, regarding = relay(), note = "0 of 2 replicas are ready.") =>
  ({ regarding, type: "Warning", reason, action: "CheckReadiness", note }) as const;

async function told(): Promise<KubeObject[]> {
  await recorder.settled();
  return (await cluster.list(events)).items;
}

test("a fact becomes an Event of the object's namespace, complete", async () => {
  recorder.record(fact("PodsNotReady"));

  expect(await told()).toMatchObject([
    {
      metadata: { namespace: "mail", name: expect.stringMatching(/^mail\.[0-9a-f]{16}$/) },
      eventTime: "2026-11-23T12:00:00.000000Z",
      reportingController: "smtprelay.dev/operator",
      reportingInstance: "operator-0",
      action: "CheckReadiness",
      reason: "PodsNotReady",
      type: "Warning",
      note: "0 of 2 replicas are ready.",
      regarding: {
        kind: "SmtpRelay",
        namespace: "mail",
        name: "mail",
        uid: "uid-of-mail",
        resourceVersion: "7",
      },
    },
  ]);
});

test("repeats make one series, written seldom; after a pause it is a new Event", async () => {
  for (let minute = 0; minute < 60; minute += 1) {
    recorder.record(fact("PodsNotReady"));
    await clock.advance(60_000);
  }
  const [one, ...others] = await told();

  expect(others).toEqual([]);
  const { count } = (one?.["series"] ?? { count: 0 }) as { count: number };
  expect(count).toBeGreaterThan(50);
  expect(kube.count("apply")).toBeLessThan(15);

  await clock.advance(600_000);
  recorder.record(fact("PodsNotReady"));
  expect(await told()).toHaveLength(2);
});

test("an object with much to tell is cut short, others are not", async () => {
  for (let each = 0; each < 100; each += 1) recorder.record(fact(`Reason${each}`));
  recorder.record(fact("Reason0", relay("other")));

  expect(await told()).toHaveLength(26);
  await clock.advance(600_000);
  for (let each = 100; each < 110; each += 1) recorder.record(fact(`Reason${each}`));
  expect(await told()).toHaveLength(28);
});

test("notes and names are cut to what the API takes", async () => {
  recorder.record(fact("Long", relay("a".repeat(253)), "x".repeat(5000)));
  const [event] = await told();

  expect(String(event?.["note"])).toHaveLength(1024);
  expect(event?.metadata.name.length ?? 999).toBeLessThanOrEqual(253);
});

test("what cannot be written is dropped, and the next one is tried", async () => {
  kube.fail("apply", new KubeError("Forbidden", 403, "the namespace is being terminated"), { times: 1 });
  recorder.record(fact("One"));
  recorder.record(fact("Two"));

  expect((await told()).map((event) => event["reason"])).toEqual(["Two"]);
});

test("a server that does not keep up costs bounded memory; after a stop nothing is written", async () => {
  for (let each = 0; each < 2000; each += 1) recorder.record(fact("PodsNotReady", relay(`relay-${each}`)));
  expect(await told()).toHaveLength(500);

  recorder.record(fact("Late"));
  recorder.stop();
  recorder.record(fact("Later"));
  expect(await told()).toHaveLength(500);
});
