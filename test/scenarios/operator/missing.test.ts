/** What is named but not there is a condition and a watch: when it appears, things go on at once. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { API_VERSION } from "../../../crds/group.ts";
import type { ApplyObject } from "../../../operator/adapters/kubeClient.ts";
import { operatorWorld, type OperatorWorld } from "../../support/operatorWorld.ts";

let world: OperatorWorld;
beforeEach(() => {
  world = operatorWorld();
});
afterEach(() => world.stop());

const secret = (name: string, data: Readonly<Record<string, string>>): ApplyObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "default" },
  data: Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  ),
});

test("a credential's Secret that is missing is named; when it comes, the credential works", async () => {
  const credentials = [{ name: "app" }, { name: "crm", secretRef: { name: "crm-smtp" } }];
  await world.apply(world.relay({ auth: { credentials } }), world.domain(), world.pool());
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(120_000);
  expect((await world.status("SmtpRelay", "mail"))["credentials"]).toEqual([
    expect.objectContaining({ name: "app", state: "Ready" }),
    expect.objectContaining({ name: "crm", state: "SecretMissing" }),
  ]);
  expect(world.fleet.config("mail-0")?.credentials.map((each) => each.name)).toEqual(["app"]);

  await world.apply(secret("crm-smtp", { password: "of-our-own" }));
  await world.clock.advance(10_000);
  expect((await world.status("SmtpRelay", "mail"))["credentials"]).toEqual([
    expect.objectContaining({ name: "app", state: "Ready" }),
    expect.objectContaining({ name: "crm", state: "Ready" }),
  ]);
  expect(world.fleet.config("mail-0")?.credentials.map((each) => each.name)).toEqual(["app", "crm"]);
});

test("a password that is changed reaches the pods, and no other hash changes", async () => {
  const credentials = [{ name: "app" }, { name: "crm", secretRef: { name: "crm-smtp" } }];
  await world.apply(secret("crm-smtp", { password: "one" }));
  await world.apply(world.relay({ auth: { credentials } }), world.pool());
  await world.clock.advance(20_000);
  const before = world.fleet.config("mail-0")?.credentials ?? [];
  expect(before.map((each) => each.name)).toEqual(["app", "crm"]);

  await world.stopOperator();
  world.startAgain();
  await world.clock.advance(20_000);
  expect(world.fleet.config("mail-0")?.credentials).toEqual(before);
});

test("of two domains of one name the older one has it; when it goes, the other one takes over", async () => {
  await world.apply(world.relay(), world.pool(), world.domain());
  await world.clock.advance(2000);
  await world.apply(world.domain({}, "copycat"));
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(120_000);
  expect(await world.condition("SendingDomain", "example-com", "Ready")).toBe("True Verified");
  expect(await world.condition("SendingDomain", "copycat", "Ready")).toBe("False DomainClaimed");
  expect(await world.secret("copycat-dkim")).toBeNull();

  await world.remove("SendingDomain", "example-com");
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(120_000);
  expect(await world.condition("SendingDomain", "copycat", "Ready")).toBe("True Verified");
  expect(world.fleet.config("mail-0")?.domains.map(({ domain }) => domain)).toEqual(["example.com"]);
});

test("of two pools of one address the older one has it", async () => {
  const addresses = [{ name: "x", ip: "192.0.2.10", ehloName: "a.mail.example.com" }];
  await world.apply(world.pool());
  await world.clock.advance(2000);
  await world.apply(world.pool({ addresses }, "greedy"));
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(60_000);
  expect(await world.condition("IpPool", "greedy", "Ready")).toBe("False AddressClaimed");

  await world.remove("IpPool", "default");
  await world.clock.advance(60_000);
  expect(await world.condition("IpPool", "greedy", "Ready")).toMatch(/^True/);
});

test("a pool that is taken away is named, and what was published stays in force", async () => {
  await world.apply(world.relay(), world.domain(), world.pool());
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(120_000);
  const before = world.fleet.config("mail-0")?.revision;
  await world.remove("IpPool", "default");
  await world.clock.advance(60_000);

  expect(await world.condition("SmtpRelay", "mail", "Stalled")).toBe("True PoolMissing");
  expect(world.fleet.config("mail-0")?.revision).toBe(before);
});

test("DNS that cannot be reached is told as that, not as missing records", async () => {
  world.dns.failing = "127.0.0.1 did not answer within 3 s";
  await world.apply(world.domain(), world.relay(), world.pool());
  await world.clock.advance(60_000);

  expect(await world.condition("SendingDomain", "example-com", "DnsVerified")).toBe("Unknown DnsUnreachable");
});

test("an object of our kinds that cannot be read harms no other", async () => {
  await world.apply(
    {
      apiVersion: API_VERSION,
      kind: "SendingDomain",
      metadata: { name: "broken", namespace: "default" },
      spec: { domain: 7 },
    },
    world.relay(),
    world.domain(),
    world.pool(),
  );
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(120_000);

  expect(await world.condition("SendingDomain", "example-com", "Ready")).toBe("True Verified");
  expect((await world.get("SendingDomain", "broken"))["status"]).toBeUndefined();
});
