/** What is named but not there is a condition and a watch: when it appears, things go on at once. */
import { afterEach, beforeEach, expect, test } from "vitest";

import type { Condition } from "../../../crds/fields.ts";
import { API_VERSION, type KindName } from "../../../crds/group.ts";
import type { ApplyObject } from "../../../operator/adapters/kubeClient.ts";
import { operatorWorld, type OperatorWorld } from "../../support/operatorWorld.ts";
import { misplacedReasons } from "../../support/placements.ts";

let world: OperatorWorld;
beforeEach(() => {
  world = operatorWorld();
});
afterEach(() => world.stop());

/** Names of the world's own objects. */
const nameOf = (kind: KindName) =>
  ({ SmtpRelay: "mail", SendingDomain: "example-com", IpPool: "default" })[kind];

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
  expect(await world.condition("SendingDomain", "broken", "Ready")).toBe("Unknown SpecUnreadable");
});

test("an object that could never be read says so itself, keeps the rest of its status, and is well when corrected", async () => {
  const broken: [KindName, object][] = [
    ["SmtpRelay", { replicas: "two" }],
    ["SendingDomain", { dkim: { rotationDays: 1 } }],
    ["IpPool", { addresses: [] }],
  ];
  await world.apply(world.relay(), world.domain(), world.pool());
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(120_000);
  const good = new Map<KindName, Record<string, unknown>>();
  for (const [kind] of broken) good.set(kind, await world.status(kind, nameOf(kind)));
  const config = world.fleet.config("mail-0")?.revision;

  // As after an upgrade that reads less: what is stored is all there is.
  await world.stopOperator();
  await world.apply(world.relay(broken[0]?.[1]), world.domain(broken[1]?.[1]), world.pool(broken[2]?.[1]));
  world.startAgain();
  await world.clock.advance(120_000);

  for (const [kind] of broken) {
    const now = await world.status(kind, nameOf(kind));
    expect(await world.condition(kind, nameOf(kind), "Ready")).toBe("Unknown SpecUnreadable");
    expect(await world.condition(kind, nameOf(kind), "Reconciling")).toBe("False Settled");
    expect(await world.condition(kind, nameOf(kind), "Stalled")).toBe("True SpecUnreadable");
    const { conditions: _then, observedGeneration: _before, ...kept } = good.get(kind) ?? {};
    const { conditions, observedGeneration, ...rest } = now;
    expect(rest).toEqual(kept);
    expect(observedGeneration).toBe((await world.get(kind, nameOf(kind))).metadata.generation);
    expect(misplacedReasons(kind, conditions as Condition[])).toEqual([]);
  }
  const [ready] = (await world.status("SendingDomain", "example-com"))["conditions"] as Condition[];
  expect(ready?.message).toBe(
    "Cannot use the spec: spec.dkim.rotationDays: Invalid value: 1: must be at least 7. What was in force before stays.",
  );
  expect(world.fleet.config("mail-0")?.revision).toBe(config);
  const writes = world.kube.writes.length;
  await world.clock.advance(3_600_000);
  expect(world.kube.writes.slice(writes)).toEqual([]);

  await world.apply(world.relay(), world.domain(), world.pool());
  await world.clock.advance(120_000);
  expect(await world.condition("SmtpRelay", "mail", "Stalled")).toBe("False NothingWrong");
  expect(await world.condition("SendingDomain", "example-com", "Ready")).toBe("True Verified");
  expect(await world.condition("IpPool", "default", "Ready")).toMatch(/^True /);
});

test("a relay and a domain whose pool or relay cannot be read are not told that it does not exist", async () => {
  await world.apply(world.relay({}), world.domain({ relayRef: { name: "other" } }));
  await world.apply(world.pool({ addresses: [] }), world.relay({ replicas: "two" }, "other"));
  await world.clock.advance(60_000);
  const message = async (kind: KindName) =>
    ((await world.status(kind, nameOf(kind)))["conditions"] as Condition[]).find(
      ({ type }) => type === "Stalled",
    )?.message;

  expect(await message("SmtpRelay")).toBe("IpPool default/default cannot be read, as it says itself.");
  expect(await message("SendingDomain")).toBe("SmtpRelay default/other cannot be read, as it says itself.");
});

test("a field that is not known here stands in the message of Ready, as long as it is there", async () => {
  await world.apply(world.relay({ novelty: "x" }), world.domain({ dkim: { novelty: "x" } }), world.pool());
  await world.clock.advance(10_000);
  await world.publish();
  await world.clock.advance(120_000);
  const message = async (kind: KindName) =>
    ((await world.status(kind, nameOf(kind)))["conditions"] as Condition[])[0]?.message;

  expect(await message("SmtpRelay")).toMatch(
    / Not known to this operator and without effect: spec\.novelty\.$/,
  );
  expect(await message("SendingDomain")).toContain("without effect: spec.dkim.novelty.");
  expect(await world.condition("SendingDomain", "example-com", "Ready")).toBe("True Verified");
  expect(await message("IpPool")).not.toContain("without effect");

  await world.apply(world.relay());
  await world.clock.advance(120_000);
  expect(await message("SmtpRelay")).not.toContain("without effect");
});
