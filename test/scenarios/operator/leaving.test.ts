/** What goes, goes without loss: pods with an empty spool, objects without their keys. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { resources } from "../../../operator/resources.ts";
import { operatorWorld, type OperatorWorld } from "../../support/operatorWorld.ts";

let world: OperatorWorld;
beforeEach(async () => {
  world = operatorWorld();
  await world.apply(world.relay(), world.domain(), world.pool());
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(300_000);
});
afterEach(() => world.stop());

const pems = (entries: Record<string, string> | null) =>
  Object.fromEntries(Object.entries(entries ?? {}).filter(([name]) => name.endsWith(".pem")));

test("a pod that holds mail stays until it is empty, then goes", async () => {
  world.fleet.hold("mail-1", 7);
  await world.apply(world.relay({ replicas: 1 }));
  await world.clock.advance(900_000);
  expect(world.fleet.pods).toEqual(["default/mail-0", "default/mail-1"]);
  expect(world.fleet.config("mail-1")?.pods.map(({ name, state }) => `${name} ${state}`)).toEqual([
    "mail-0 Active",
    "mail-1 Draining",
  ]);
  expect(await world.condition("SmtpRelay", "mail", "Draining")).toBe("True Draining");

  world.fleet.release("mail-1");
  await world.clock.advance(60_000);
  expect(world.fleet.pods).toEqual(["default/mail-0"]);
  expect(world.fleet.ended).toEqual([{ pod: "mail-1", messages: 0 }]);
  expect(await world.condition("SmtpRelay", "mail", "Draining")).toBe("False Running");
});

test("a pod that does not answer is not taken for empty", async () => {
  world.fleet.hold("mail-1", 1);
  world.fleet.silence("mail-1");
  await world.apply(world.relay({ replicas: 1 }));
  await world.clock.advance(900_000);

  expect(world.fleet.pods).toEqual(["default/mail-0", "default/mail-1"]);
});

test("scaled up again while it drains, the pod takes mail as before", async () => {
  world.fleet.hold("mail-1", 7);
  await world.apply(world.relay({ replicas: 1 }));
  await world.clock.advance(60_000);
  await world.apply(world.relay({ replicas: 2 }));
  await world.clock.advance(60_000);

  expect(world.fleet.config("mail-1")?.pods.map(({ state }) => state)).toEqual(["Active", "Active"]);
  expect(world.fleet.ended).toEqual([]);
});

test("a deleted domain leaves its keys; made again, it goes on with them", async () => {
  const before = pems(await world.secret("example-com-dkim"));
  expect(Object.keys(before).length).toBe(2);
  await world.remove("SendingDomain", "example-com");
  await world.clock.advance(60_000);
  expect(world.fleet.config("mail-0")?.domains).toEqual([]);
  expect(pems(await world.secret("example-com-dkim"))).toEqual(before);

  await world.apply(world.domain());
  await world.clock.advance(120_000);
  expect(pems(await world.secret("example-com-dkim"))).toEqual(before);
  expect(await world.condition("SendingDomain", "example-com", "Ready")).toBe("True Verified");
});

test("with deletionPolicy Delete the keys go with the domain", async () => {
  await world.apply(world.domain({ dkim: { deletionPolicy: "Delete" } }));
  await world.clock.advance(10_000);
  await world.remove("SendingDomain", "example-com");
  await world.clock.advance(10_000);

  expect(await world.secret("example-com-dkim")).toBeNull();
});

test("a deleted relay takes its children with it, and nothing makes them again", async () => {
  await world.remove("SmtpRelay", "mail");
  await world.clock.advance(300_000);
  const names = async (type: (typeof resources)[keyof typeof resources]) =>
    (await world.cluster.list(type)).items.map((object) => object.metadata.name);

  expect(await names(resources.statefulSets)).toEqual([]);
  expect(await names(resources.services)).toEqual([]);
  expect((await names(resources.secrets)).toSorted()).toEqual([
    "example-com-dkim",
    "mail-app",
    "mail-tls-self-signed",
  ]);
  expect(await world.condition("SendingDomain", "example-com", "Ready")).toBe("False RelayMissing");
});

test("a relay that is deleted and made again goes on with its passwords and its certificate", async () => {
  const entries = async () => [await world.secret("mail-app"), await world.secret("mail-tls-self-signed")];
  const before = await entries();
  expect(before[0]?.["password"]).toBeDefined();
  await world.remove("SmtpRelay", "mail");
  await world.clock.advance(60_000);
  expect(await world.secret("mail-runtime")).toBeNull();

  await world.apply(world.relay());
  await world.clock.advance(120_000);
  expect(await entries()).toEqual(before);
  expect(world.fleet.config("mail-0")?.credentials.map(({ name }) => name)).toEqual(["app"]);
});

test("with deletionPolicy Delete they go with the relay, and a new one has others", async () => {
  const password = async () => (await world.secret("mail-app"))?.["password"];
  await world.apply(world.relay({ auth: { deletionPolicy: "Delete" } }));
  await world.clock.advance(10_000);
  const before = await password();
  await world.remove("SmtpRelay", "mail");
  await world.clock.advance(60_000);
  expect(await world.secret("mail-app")).toBeNull();
  expect(await world.secret("mail-tls-self-signed")).toBeNull();

  await world.apply(world.relay());
  await world.clock.advance(120_000);
  expect(await password()).not.toBe(before);
});
