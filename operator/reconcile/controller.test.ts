import { expect, test } from "vitest";

import { createLog } from "../../relay/kit/log.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import { FaultyKube } from "../../test/support/faultyKube.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { KubeError, type ObjectKey } from "../adapters/kubeClient.ts";
import { createMemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { resources } from "../resources.ts";
import { Controller, type Pass } from "./controller.ts";
import { Informer } from "./informer.ts";
import { KeyedLock } from "./keyedLock.ts";
import { createListTurns } from "./listTurns.ts";
import { OwnWrites } from "./ownWrites.ts";
import type { ReconcileResult } from "./result.ts";
import { Writer } from "./writer.ts";

const settled: ReconcileResult = { kind: "settled" };

/** A controller over IpPools whose reconcile the test gives. */
async function stage(reconcile: (key: ObjectKey, world: Stage) => Promise<Pass> | Pass, concurrency = 2) {
  const clock = new FakeClock();
  const cluster = createMemoryCluster({ clock, random: seededRandom(1) });
  const kube = new FaultyKube(cluster);
  const lines: { level: string; message: string }[] = [];
  const log = createLog({
    clock,
    level: "info",
    privacy: () => "Omitted",
    write: (line) => lines.push(JSON.parse(line) as (typeof lines)[number]),
  });
  const informer = new Informer({
    client: kube,
    type: resources.ipPools,
    namespaces: null,
    clock,
    random: seededRandom(2),
    log,
    shape: (object) => object,
  });
  const ownWrites = new OwnWrites({ clock, informers: [informer] });
  const writer = new Writer({ client: kube, manager: "test", ownWrites, informers: [informer], log });
  const passes: { readonly key: string; readonly at: number }[] = [];
  const turns = createListTurns(clock);
  const controller = new Controller({
    name: "test",
    clock,
    random: { draw: () => 0, bytes: () => new Uint8Array() },
    log,
    concurrency,
    ownWrites,
    writer,
    lock: new KeyedLock(),
    turns,
    lockNames: () => [],
    concerns: () => true,
    reconcile: async (key) => {
      passes.push({ key: key.name, at: clock.now() });
      return reconcile(key, world);
    },
  });
  const world = { clock, cluster, kube, informer, writer, passes, lines, controller, turns };
  informer.onChange(({ key, before, after }) => {
    if (before?.object.metadata.generation !== after?.object.metadata.generation) controller.enqueue(key);
  });
  informer.start();
  await clock.advance(0);
  controller.start();
  return world;
}
type Stage = Awaited<ReturnType<typeof stage>>;

const pool = (name: string, ip = "192.0.2.1") => ({
  apiVersion: resources.ipPools.apiVersion,
  kind: "IpPool",
  metadata: { name, namespace: "default" },
  spec: { addresses: [{ name: "a", ip, ehloName: "a.example.com" }] },
});
const objectOf = (world: Stage, key: ObjectKey) => {
  const object = world.informer.peek(key);
  if (object === undefined) throw new Error(`${key.name} is not cached`);
  return object;
};
/** A pass that has nothing to say. */
const silently = (world: Stage, key: ObjectKey, result: ReconcileResult): Pass => ({
  result,
  status: { type: resources.ipPools, object: objectOf(world, key), next: {} },
});
const statusOf = (world: Stage, key: ObjectKey, next: object): Pass => {
  return { result: settled, status: { type: resources.ipPools, object: objectOf(world, key), next } };
};

test("a status is written once, and not again while it stays the same", async () => {
  const world = await stage((key, now) => statusOf(now, key, { ready: "1/1", addresses: undefined }));
  await world.cluster.apply(pool("default"), "person");
  await world.clock.advance(1000);
  await world.cluster.apply(pool("default", "192.0.2.2"), "person");
  await world.clock.advance(1000);

  expect(world.passes.length).toBeGreaterThanOrEqual(2);
  expect(world.kube.count("applyStatus")).toBe(1);
});

test("a pass sees its own former write, and waits for no watch to tell of it", async () => {
  const seen: unknown[] = [];
  const world = await stage((key, now) => {
    seen.push(now.informer.peek(key)?.["status"]);
    return statusOf(now, key, { ready: `${seen.length}/9` });
  });
  await world.cluster.apply(pool("default"), "person");
  await world.clock.advance(100);
  // From now on the watch tells nothing.
  world.kube.silence();
  for (let pass = 0; pass < 3; pass++) {
    world.controller.enqueue({ namespace: "default", name: "default" });
    await world.clock.advance(100);
  }

  expect(seen).toEqual([undefined, ...[1, 2, 3].map((pass) => ({ ready: `${pass}/9` }))]);
});

test("a reconcile that throws is logged and tried again, later each time, and others go on", async () => {
  const world = await stage((key, now) => {
    if (key.name === "bad") throw new Error("defect");
    return statusOf(now, key, { ready: "1/1" });
  });
  await world.cluster.apply(pool("bad"), "person");
  await world.cluster.apply(pool("good"), "person");
  await world.clock.advance(20_000);
  const bad = world.passes.filter((pass) => pass.key === "bad").map((pass) => pass.at);

  expect(bad.slice(1).map((at, index) => at - (bad[index] ?? 0))).toEqual([800, 1600, 3200, 6400]);
  expect(world.lines.filter((line) => line.level === "error").length).toBe(bad.length);
  expect(await world.cluster.get(resources.ipPools, { namespace: "default", name: "good" })).toMatchObject({
    status: { ready: "1/1" },
  });
});

test("a status that cannot be written is tried again with the pass; one that is gone is let go", async () => {
  const world = await stage((key, now) => statusOf(now, key, { ready: "1/1" }));
  world.kube.fail("applyStatus", new KubeError("Conflict", 409, "someone was faster"), { times: 2 });
  await world.cluster.apply(pool("default"), "person");
  await world.clock.advance(10_000);
  expect(world.kube.count("applyStatus")).toBe(3);

  world.kube.fail("applyStatus", new KubeError("NotFound", 404, "gone"), { times: 1 });
  await world.cluster.apply(pool("other"), "person");
  await world.clock.advance(10_000);
  expect(world.passes.filter((pass) => pass.key === "other").length).toBe(1);
});

test("what went wrong while acting is told after the status is written", async () => {
  const world = await stage((key, now) => ({
    ...statusOf(now, key, { ready: "0/1" }),
    failure: new KubeError("Forbidden", 403, "no"),
  }));
  await world.cluster.apply(pool("default"), "person");
  await world.clock.advance(100);

  expect(world.kube.count("applyStatus")).toBe(1);
  expect(world.lines.map((line) => line.message)).toContain("reconcile failed");
});

test.each([
  ["again", { kind: "again", afterSeconds: 15 }, 15],
  ["waiting", { kind: "waiting", reason: "a Secret", afterSeconds: 60 }, 60],
  ["settled", settled, 36_000],
  ["stalled", { kind: "stalled", reason: "a person" }, 36_000],
] as const)("%s comes back after its time", async (_, result, seconds) => {
  const world = await stage((key, now) => silently(now, key, result));
  await world.cluster.apply(pool("default"), "person");
  await world.clock.advance(seconds * 1000 - 1);
  expect(world.passes.length).toBe(1);

  await world.clock.advance(1);
  expect(world.passes.length).toBe(2);
});

test("an object's two passes never overlap, whatever the concurrency", async () => {
  let open = 0;
  let most = 0;
  const world = await stage(async (key, now) => {
    open += 1;
    most = Math.max(most, open);
    await new Promise<void>((resolve) => {
      now.clock.after(1000, resolve);
    });
    open -= 1;
    return silently(now, key, settled);
  }, 8);
  await world.cluster.apply(pool("default"), "person");
  for (let round = 2; round < 6; round++) {
    await world.clock.advance(300);
    await world.cluster.apply(pool("default", `192.0.2.${round}`), "person");
  }
  await world.clock.advance(10_000);

  expect(most).toBe(1);
  expect(world.passes.length).toBeGreaterThan(1);
});

test("timed looks wait while something is listed anew, edits do not", async () => {
  const { clock, cluster, controller, passes, turns } = await stage((key, now) =>
    silently(now, key, settled),
  );
  await cluster.apply(pool("one"), "user");
  await clock.advance(0);
  const end = turns.begin("edited");
  controller.enqueue({ namespace: "default", name: "one" }, "low");
  await cluster.apply(pool("two"), "user");
  await clock.advance(1000);
  expect(passes.map(({ key }) => key)).toEqual(["one", "two"]);

  end();
  await clock.advance(0);
  expect(passes.map(({ key }) => key)).toEqual(["one", "two", "one"]);
});
