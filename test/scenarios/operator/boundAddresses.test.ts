/**
 * A pool whose addresses are on the pods' own interfaces: which pod has which is the network's doing, and the
 * operator follows what pods say. What an address has spent of its day stays spent wherever it goes.
 */
import { afterEach, expect, test } from "vitest";

import { operatorWorld, type OperatorWorld } from "../../support/operatorWorld.ts";

let world: OperatorWorld;
afterEach(() => world.stop());

/** Both addresses proven, on a ramp whose first day has room for 1000. */
async function open(mountSeconds = 2): Promise<void> {
  world = operatorWorld({ mountSeconds });
  const warmup = { ramp: "Custom", dailyLimits: [1000, 1000] };
  await world.apply(world.relay(), world.domain(), world.pool({ egress: "Bound", warmup }));
  await world.clock.advance(10_000);
  await world.publish();
}

/** The sources that a pod runs with: name, what it may send today, and whether it may send at all. */
const running = (pod: string) =>
  (world.fleet.config(pod)?.pods.find(({ name }) => name === pod)?.sources ?? []).map(
    ({ name, state, allowance }) => `${name} ${state} ${allowance[0]?.total ?? 0}`,
  );
const bound = () => world.condition("IpPool", "default", "AddressesBound");
/** What a pod may spend of an address today, by the configuration it runs. */
function granted(pod: string, source: string): number {
  const mine = world.fleet.config(pod)?.pods.find(({ name }) => name === pod);
  return mine?.sources.find(({ name }) => name === source)?.allowance[0]?.total ?? 0;
}

test("pods that come up with each other's addresses send from those they have", async () => {
  await open();
  world.fleet.has("mail-0", ["10.244.0.7", "192.0.2.11"]);
  world.fleet.has("mail-1", ["10.244.1.7", "192.0.2.10"]);
  await world.clock.advance(120_000);

  expect(running("mail-0")).toEqual(["default/b Active 1000"]);
  expect(running("mail-1")).toEqual(["default/a Active 1000"]);
  expect(await bound()).toBe("True AddressesPresent");
});

test("an address that turns up on another pod goes there with what is left of its day, and once", async () => {
  await open();
  world.fleet.has("mail-0", ["192.0.2.10"]);
  world.fleet.has("mail-1", ["192.0.2.11"]);
  await world.clock.advance(120_000);
  world.fleet.use("mail-1", "default/b", 400);
  await world.clock.advance(60_000);

  world.fleet.has("mail-0", ["192.0.2.10", "192.0.2.11"]);
  world.fleet.has("mail-1", []);
  for (let second = 0; second < 120; second++) {
    await world.clock.advance(1000);
    // Whoever runs which revision: what is spent there and may be spent here stays within the day's limit.
    const there = Math.max(400, granted("mail-1", "default/b"));
    expect(there + granted("mail-0", "default/b")).toBeLessThanOrEqual(1000);
  }

  expect(running("mail-0")).toEqual(["default/a Active 1000", "default/b Active 600"]);
  expect(running("mail-1")).toEqual([]);
  expect(await bound()).toBe("False AddressMissing");
});

test("a pod that falls silent with an address keeps it, whoever says it has it too", async () => {
  await open();
  world.fleet.has("mail-0", ["192.0.2.10"]);
  world.fleet.has("mail-1", ["192.0.2.11"]);
  await world.clock.advance(120_000);
  world.fleet.silence("mail-1");
  world.fleet.has("mail-0", ["192.0.2.10", "192.0.2.11"]);
  await world.clock.advance(600_000);
  expect(running("mail-0")).toEqual(["default/a Active 1000"]);

  // It answers again, and it was so.
  world.fleet.has("mail-1", []);
  world.fleet.silence("mail-1", false);
  await world.clock.advance(120_000);
  expect(running("mail-0")).toEqual(["default/a Active 1000", "default/b Active 1000"]);
});

test("an address whose former pod falls silent before it has let go waits at the new one", async () => {
  await open(30);
  world.fleet.has("mail-0", ["192.0.2.10"]);
  world.fleet.has("mail-1", ["192.0.2.11"]);
  await world.clock.advance(300_000);
  world.fleet.has("mail-0", ["192.0.2.10", "192.0.2.11"]);
  world.fleet.has("mail-1", []);
  const decided = await world.until(async () => {
    const { addresses } = (await world.status("IpPool", "default")) as {
      addresses: { name: string; pods: string[] }[];
    };
    return addresses.find(({ name }) => name === "b")?.pods[0] === "default/mail-0";
  });
  expect(decided).toBe(true);
  // It follows no configuration that takes the address from it for another half minute, and is not heard again.
  world.fleet.silence("mail-1");
  await world.clock.advance(1_200_000);
  expect(running("mail-0")).toEqual(["default/a Active 1000", "default/b Paused 0"]);

  world.fleet.silence("mail-1", false);
  await world.clock.advance(300_000);
  expect(running("mail-0")).toEqual(["default/a Active 1000", "default/b Active 1000"]);
});

test("relays that do not tell send by their ordinals, and nothing is written once all is settled", async () => {
  await open();
  await world.clock.advance(300_000);
  expect([running("mail-0"), running("mail-1")]).toEqual([
    ["default/a Active 1000"],
    ["default/b Active 1000"],
  ]);

  world.fleet.has("mail-0", ["192.0.2.11"]);
  world.fleet.has("mail-1", ["192.0.2.10"]);
  await world.clock.advance(300_000);
  expect([running("mail-0"), running("mail-1")]).toEqual([
    ["default/b Active 1000"],
    ["default/a Active 1000"],
  ]);
  const writes = world.kube.writes.length;
  await world.clock.advance(3_600_000);
  expect(world.kube.writes.slice(writes)).toEqual([]);
});

test("an operator that starts anew moves nothing while pods are silent", async () => {
  await open();
  world.fleet.has("mail-0", ["192.0.2.11"]);
  world.fleet.has("mail-1", ["192.0.2.10"]);
  await world.clock.advance(120_000);
  await world.stopOperator();
  for (const pod of ["mail-0", "mail-1"]) world.fleet.silence(pod);
  world.startAgain();
  await world.clock.advance(300_000);

  expect(running("mail-0")).toEqual(["default/b Active 1000"]);
  expect(running("mail-1")).toEqual(["default/a Active 1000"]);
});

test("a pod that joins gets the address it brings, not the one its ordinal would get", async () => {
  await open();
  world.fleet.has("mail-0", ["192.0.2.10"]);
  world.fleet.has("mail-1", []);
  world.fleet.has("mail-2", ["192.0.2.11"]);
  await world.clock.advance(120_000);
  await world.apply(world.relay({ replicas: 3 }));
  await world.clock.advance(120_000);

  expect(["mail-0", "mail-1", "mail-2"].map(running)).toEqual([
    ["default/a Active 1000"],
    [],
    ["default/b Active 1000"],
  ]);
});
