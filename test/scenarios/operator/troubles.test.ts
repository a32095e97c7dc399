/**
 * An API server that refuses, loses answers and cuts watches, and an operator that dies at any write: in the
 * end all is as if nothing had happened, and nothing was made twice.
 */
import { afterEach, expect, test } from "vitest";

import { KubeError } from "../../../operator/adapters/kubeClient.ts";
import { resources } from "../../../operator/resources.ts";
import { operatorWorld, type OperatorWorld } from "../../support/operatorWorld.ts";
import { seededRandom } from "../../support/seededRandom.ts";

let world: OperatorWorld | undefined;
afterEach(() => world?.stop());

const errors = {
  throttled: new KubeError("TooManyRequests", 429, "too many requests"),
  conflict: new KubeError("Conflict", 409, "the object has been modified"),
  internal: new KubeError("Unknown", 500, "etcd leader changed"),
  gone: new KubeError("Unavailable", 0, "connection reset"),
};

/** Everything that must be the same whatever happened on the way; random values by their count only. */
async function outcome(stage: OperatorWorld) {
  const dkim = Object.keys((await stage.secret("example-com-dkim")) ?? {}).toSorted();
  const all = await Promise.all(
    [resources.secrets, resources.services, resources.statefulSets, resources.pods].map(async (type) =>
      (await stage.cluster.list(type)).items.map((object) => `${object.kind} ${object.metadata.name}`),
    ),
  );
  const config = stage.fleet.config("mail-0");
  return {
    objects: all.flat(),
    dkim,
    ready: [
      await stage.condition("SmtpRelay", "mail", "Ready"),
      await stage.condition("SendingDomain", "example-com", "Ready"),
      await stage.condition("IpPool", "default", "Ready"),
    ],
    signing: config?.domains.map((domain) => `${domain.domain} ${domain.state} ${domain.dkim.length}`),
    credentials: config?.credentials.map((credential) => credential.name),
    shares: (
      (await stage.status("IpPool", "default"))["addresses"] as {
        name: string;
        shares?: { pod: string; permille: number }[];
      }[]
    ).map((address) => [
      address.name,
      ...(address.shares ?? []).map((share) => `${share.pod} ${share.permille}`),
    ]),
  };
}

async function settle(stage: OperatorWorld): Promise<void> {
  await stage.clock.advance(400_000);
  await stage.publish();
  await stage.clock.advance(400_000);
}

async function undisturbed() {
  const stage = operatorWorld();
  await stage.apply(stage.relay(), stage.domain(), stage.pool());
  await settle(stage);
  const result = await outcome(stage);
  const { made } = stage.keys;
  await stage.stop();
  return { result, made };
}
const expected = await undisturbed();

test.each(Object.entries(errors))(
  "%s: every other write fails for minutes, then all is right",
  async (_, error) => {
    world = operatorWorld();
    const random = seededRandom(5);
    const trouble = () => {
      if (random.draw() < 0.5) world?.kube.fail("write", error, { times: 1, after: random.draw() < 0.5 });
    };
    await world.apply(world.relay(), world.domain(), world.pool());
    for (let second = 0; second < 240; second++) {
      trouble();
      await world.clock.advance(1000);
    }
    world.kube.heal();
    await settle(world);

    expect(await outcome(world)).toEqual(expected.result);
    expect(world.keys.made).toBe(expected.made);
  },
);

test("reads that fail and watches that are cut over and over delay, and change nothing", async () => {
  world = operatorWorld();
  const random = seededRandom(9);
  await world.apply(world.relay(), world.domain(), world.pool());
  for (let second = 0; second < 240; second++) {
    if (random.draw() < 0.2) world.kube.cutWatches(random.draw() < 0.5 ? errors.gone : null);
    if (random.draw() < 0.1) world.kube.fail("get", errors.internal, { times: 1 });
    if (random.draw() < 0.1) world.kube.fail("list", errors.throttled, { times: 1 });
    if (random.draw() < 0.05) world.cluster.compact();
    await world.clock.advance(1000);
  }
  world.kube.heal();
  await settle(world);

  expect(await outcome(world)).toEqual(expected.result);
  expect(world.keys.made).toBe(expected.made);
});

test.each(Array.from({ length: 24 }, (_, index) => index + 1))(
  "an operator that dies at its write number %i is followed by one that finishes the work",
  async (count) => {
    world = operatorWorld();
    // That write is made, but nobody hears of it; after it nothing gets through.
    world.kube.fail("write", errors.gone, { skip: count - 1, times: 1, after: true });
    world.kube.fail("write", errors.gone, { skip: count });
    await world.apply(world.relay(), world.domain(), world.pool());
    await world.clock.advance(30_000);
    expect(world.kube.writes.length).toBeGreaterThanOrEqual(count);
    await world.stopOperator();
    const kept = { ...(await world.secret("example-com-dkim")), ...(await world.secret("mail-app")) };
    world.kube.heal();
    world.startAgain();
    await settle(world);

    expect(await outcome(world)).toEqual(expected.result);
    const now = { ...(await world.secret("example-com-dkim")), ...(await world.secret("mail-app")) };
    expect(now).toMatchObject(kept);
  },
);

test("a Secret that may not be written is told in the log, and the rest is still told in status", async () => {
  world = operatorWorld();
  world.kube.fail("apply", new KubeError("Forbidden", 403, "secrets is forbidden"), { kind: "Secret" });
  await world.apply(world.relay(), world.pool());
  await world.clock.advance(60_000);

  expect(world.lines).toContainEqual(
    expect.objectContaining({ message: "reconcile failed", error: "secrets is forbidden" }),
  );
  expect(await world.condition("IpPool", "default", "Ready")).not.toBe("absent");
});

test("with the operator gone for a day pods keep what they have, and it picks up where it was", async () => {
  world = operatorWorld();
  await world.apply(world.relay(), world.domain(), world.pool());
  await settle(world);
  const before = world.fleet.config("mail-0");
  await world.stopOperator();
  await world.clock.advance(86_400_000);
  expect(world.fleet.config("mail-0")).toEqual(before);

  world.startAgain();
  await world.clock.advance(400_000);
  expect((await outcome(world)).ready).toEqual(expected.result.ready);
});
