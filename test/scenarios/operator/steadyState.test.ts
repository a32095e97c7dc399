/** Once everything is as it should be, nobody writes; what others change is put right. */
import { afterEach, beforeEach, expect, test } from "vitest";

import type { Condition } from "../../../crds/fields.ts";
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

const hour = 3_600_000;
const key = (name: string) => ({ namespace: "default", name });

test("for hours nothing is written, though pods and DNS are asked", async () => {
  const writes = world.kube.writes.length;
  const asked = world.dns.asked.length;
  await world.clock.advance(2 * hour);

  expect(world.kube.writes.slice(writes)).toEqual([]);
  expect(world.dns.asked.length).toBeGreaterThan(asked);
});

test("an operator that starts anew finds all as it should be and writes nothing", async () => {
  await world.stopOperator();
  const writes = world.kube.writes.length;
  world.startAgain();
  await world.clock.advance(300_000);

  expect(world.kube.writes.slice(writes)).toEqual([]);
});

test("lists and watches are not repeated while nothing is wrong", async () => {
  const [lists, watches] = [world.kube.count("list"), world.kube.count("watch")];
  await world.clock.advance(2 * hour);

  expect([world.kube.count("list"), world.kube.count("watch")]).toEqual([lists, watches]);
});

test("a domain whose records vanish is asked about again and says so; when they are back, too", async () => {
  const published = new Map(world.dns.records);
  for (const record of [...world.dns.records.keys()]) {
    if (record.includes("_domainkey")) world.dns.records.delete(record);
  }
  const noticed = await world.until(
    async () => (await world.condition("SendingDomain", "example-com", "DnsVerified")).startsWith("False"),
    3600,
  );
  expect(noticed).toBe(true);

  for (const [question, values] of published) world.dns.records.set(question, values);
  const recovered = await world.until(
    async () => (await world.condition("SendingDomain", "example-com", "DnsVerified")).startsWith("True"),
    3600,
  );
  expect(recovered).toBe(true);
});

test("a child someone changed is put right within seconds", async () => {
  await world.cluster.apply(
    {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: key("mail"),
      spec: { replicas: 7 },
    },
    "someone",
  );
  await world.clock.advance(2000);

  expect((await world.cluster.get(resources.statefulSets, key("mail")))?.["spec"]).toMatchObject({
    replicas: 2,
  });
});

test("a child someone deleted is made again, with the same password in it", async () => {
  const before = await world.secret("mail-app");
  await world.cluster.delete(resources.services, key("mail"));
  await world.cluster.delete(resources.secrets, key("mail-runtime"));
  await world.clock.advance(5000);

  expect(await world.cluster.get(resources.services, key("mail"))).not.toBeNull();
  expect(await world.cluster.get(resources.secrets, key("mail-runtime"))).not.toBeNull();
  expect(await world.secret("mail-app")).toEqual(before);
});

test("a status someone wrote over is written again", async () => {
  const { conditions } = (await world.status("SmtpRelay", "mail")) as { conditions: Condition[] };
  await world.cluster.applyStatus(
    {
      apiVersion: resources.smtpRelays.apiVersion,
      kind: "SmtpRelay",
      metadata: key("mail"),
      status: { conditions: conditions.map((condition) => ({ ...condition, status: "False" })) },
    },
    "someone",
  );
  await world.clock.advance(60_000);

  const after = (await world.status("SmtpRelay", "mail"))["conditions"] as Condition[];
  const said = (list: Condition[]) => list.map(({ type, status, message }) => [type, status, message]);
  expect(said(after)).toEqual(said(conditions));
});

test("an edit that cannot be read takes nothing down, and the next good one counts", async () => {
  const before = world.fleet.config("mail-0")?.revision;
  await world.apply(world.relay({ replicas: "two" }));
  await world.clock.advance(60_000);
  expect(world.fleet.config("mail-0")?.revision).toBe(before);
  expect(world.fleet.pods).toEqual(["default/mail-0", "default/mail-1"]);
  expect(world.lines.map((line) => line.message)).toContain(
    "cannot read an object, keeping what it said before",
  );
  expect(await world.condition("SmtpRelay", "mail", "Ready")).toBe("Unknown SpecUnreadable");
  expect(await world.condition("SmtpRelay", "mail", "Stalled")).toBe("True SpecUnreadable");
  // What runs by the last reading is still told of.
  expect(await world.condition("SmtpRelay", "mail", "ConfigApplied")).toBe("True AllReplicas");

  await world.apply(world.relay({ replicas: 3 }));
  await world.clock.advance(60_000);
  expect(world.fleet.pods).toEqual(["default/mail-0", "default/mail-1", "default/mail-2"]);
  expect(await world.condition("SmtpRelay", "mail", "Stalled")).toBe("False NothingWrong");
});
