/** Three manifests in any order end in the same place, and say on the way what they wait for. */
import { afterEach, expect, test } from "vitest";

import { resources } from "../../../operator/resources.ts";
import { operatorWorld, type OperatorWorld } from "../../support/operatorWorld.ts";

let world: OperatorWorld | undefined;
afterEach(() => world?.stop());

type Manifest = "relay" | "domain" | "pool";
const orders: readonly (readonly [Manifest, Manifest, Manifest])[] = [
  ["relay", "domain", "pool"],
  ["relay", "pool", "domain"],
  ["domain", "relay", "pool"],
  ["domain", "pool", "relay"],
  ["pool", "relay", "domain"],
  ["pool", "domain", "relay"],
];

async function summary(stage: OperatorWorld) {
  const names = async (type: (typeof resources)[keyof typeof resources]) =>
    (await stage.cluster.list(type)).items.map((object) => object.metadata.name);
  return {
    secrets: await names(resources.secrets),
    services: await names(resources.services),
    statefulSets: await names(resources.statefulSets),
    pods: await names(resources.pods),
    ready: [
      await stage.condition("SmtpRelay", "mail", "Ready"),
      await stage.condition("SendingDomain", "example-com", "Ready"),
      await stage.condition("IpPool", "default", "Ready"),
    ],
    stalled: [
      await stage.condition("SmtpRelay", "mail", "Stalled"),
      await stage.condition("SendingDomain", "example-com", "Stalled"),
      await stage.condition("IpPool", "default", "Stalled"),
    ],
    domains: stage.fleet.config("mail-0")?.domains.map(({ domain, state }) => `${domain} ${state}`),
    sources: stage.fleet.config("mail-1")?.pods.map((pod) => pod.sources.map((source) => source.address)),
  };
}

test.each(orders)("%s, then %s, then %s", async (...order) => {
  world = operatorWorld();
  const stage = world;
  const manifests = { relay: stage.relay(), domain: stage.domain(), pool: stage.pool() };
  for (const name of order) {
    await stage.apply(manifests[name]);
    await stage.clock.advance(20_000);
  }
  await stage.publish();
  await stage.clock.advance(180_000);

  expect(await summary(stage)).toEqual({
    secrets: ["example-com-dkim", "mail-app", "mail-runtime", "mail-tls-self-signed"],
    services: ["mail", "mail-pods"],
    statefulSets: ["mail"],
    pods: ["mail-0", "mail-1"],
    ready: ["True SelfSigned", "True Verified", "True Warming"],
    stalled: ["False NothingWrong", "False NothingWrong", "False NothingWrong"],
    domains: ["example.com Active"],
    sources: [["192.0.2.10"], ["192.0.2.11"]],
  });
  expect(stage.lines.filter((line) => line.level === "error")).toEqual([]);
});

test("a relay that came first names what it waits for, within a second", async () => {
  world = operatorWorld();
  await world.apply(world.relay());
  await world.clock.advance(1000);
  expect(await world.condition("SmtpRelay", "mail", "Ready")).toBe("False PoolMissing");
  expect(await world.condition("SmtpRelay", "mail", "Stalled")).toBe("True PoolMissing");

  await world.apply(world.pool());
  await world.clock.advance(1000);
  expect(await world.condition("SmtpRelay", "mail", "Stalled")).toBe("False NothingWrong");
});

test("a domain that came first has its keys and records before its relay", async () => {
  world = operatorWorld();
  await world.apply(world.domain());
  await world.clock.advance(1000);

  expect(await world.condition("SendingDomain", "example-com", "Ready")).toBe("False RelayMissing");
  expect(await world.condition("SendingDomain", "example-com", "KeysIssued")).toBe("True KeysIssued");
  expect((await world.status("SendingDomain", "example-com"))["records"]).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ purpose: "DkimRsa" }),
      expect.objectContaining({ purpose: "DkimEd25519" }),
    ]),
  );
});

test("all of it is applied twice by two people without a difference", async () => {
  world = operatorWorld();
  await world.apply(world.relay(), world.domain(), world.pool());
  await world.clock.advance(30_000);
  await world.publish();
  await world.clock.advance(300_000);
  const writes = world.kube.writes.length;
  await world.apply(world.relay(), world.domain(), world.pool());
  for (const object of [world.relay(), world.domain(), world.pool()]) {
    await world.cluster.apply(object, "another-person");
  }
  await world.clock.advance(60_000);

  expect(world.kube.writes.length).toBe(writes);
});
