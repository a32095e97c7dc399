/** A person edits manifests while local mode runs: what is good is applied, what is not is refused whole. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test, vi } from "vitest";

import { LocalModeDriver } from "../../support/localMode.ts";

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const local = new LocalModeDriver("127.0.77");

beforeAll(async () => {
  local.start(["--dns", "loopback"]);
  await local.untilReady();
});
afterAll(() => local.dispose());

test("the start says where things are, and the table how they are", async () => {
  await local.until(() => expect(local.output).toContain("2/2 replicas"));

  expect(local.output).toMatch(/submission {3}127\.0\.0\.1:\d+ \(STARTTLS\) and :\d+ \(TLS\)/);
  expect(local.output).toMatch(/KIND +NAME +READY +DETAIL +AGE/);
});

test("a typo is refused with file, line, field and reason; nothing that runs is disturbed", async () => {
  const before = [local.pid("mail-0"), local.pid("mail-1")];
  local.edit("relay.yaml", (text) =>
    text.replace("replicas: 2", "replicas: two").replace("  paused:", "  pausd:"),
  );
  await local.until(() => expect(local.refusals()).not.toBeNull());

  const place = join(local.manifests, "relay.yaml");
  expect(local.refusals()?.split("\n")).toEqual([
    expect.stringMatching(
      new RegExp(`^${place}:11: spec\\.replicas: Invalid value: "two": must be an integer`),
    ),
    `${place}:12: unknown field "spec.pausd"; did you mean "paused"?`,
    "",
  ]);
  expect(local.output).toContain("refused, the last good state stays in force");
  expect([local.pid("mail-0"), local.pid("mail-1")]).toEqual(before);
  expect(local.status("SmtpRelay.mail")?.metadata.generation).toBe(1);

  local.edit("relay.yaml", (text) =>
    text.replace("replicas: two", "replicas: 2").replace("  pausd:", "  paused:"),
  );
  await local.until(() => expect(local.refusals()).toBeNull());
});

test("broken YAML and a domain claimed twice are refused too, and name both places", async () => {
  local.write("second.yaml", "apiVersion: smtprelay.dev/v1alpha1\nkind: [SendingDomain\n");
  await local.until(() => expect(local.refusals()).toMatch(/second\.yaml:\d+:\d+: not valid YAML/));

  local.write(
    "second.yaml",
    "apiVersion: smtprelay.dev/v1alpha1\nkind: SendingDomain\nmetadata: { name: second }\nspec: { domain: example.test, relayRef: { name: mail } }\n",
  );
  await local.until(() =>
    expect(local.refusals()).toMatch(
      /second\.yaml:4: spec\.domain: Duplicate value: .* claimed at domain\.yaml:8 by SendingDomain default\/example\.test/,
    ),
  );
  rmSync(join(local.manifests, "second.yaml"));
  await local.until(() => expect(local.refusals()).toBeNull());
});

test("a domain is added and taken away again", async () => {
  local.write(
    "other.yaml",
    "apiVersion: smtprelay.dev/v1alpha1\nkind: SendingDomain\nmetadata: { name: other }\nspec: { domain: other.test, relayRef: { name: mail } }\n",
  );
  await local.until(() => expect(local.condition("SendingDomain.other", "Ready")).toMatch(/^True/));
  await expect(local.send("someone@mail.example.test", "app@other.test")).resolves.toMatch(/^250 /);

  rmSync(join(local.manifests, "other.yaml"));
  await local.until(() => expect(local.status("SendingDomain.other")).toBeNull());
  // The keys are kept unless told otherwise.
  expect(existsSync(join(local.state, "cluster", "Secret", "other-dkim.json"))).toBe(true);
});

test("a reference to what is not there is a condition, not a refusal, and heals by itself", async () => {
  local.edit("relay.yaml", (text) => text.replace("name: default", "name: nowhere"));
  await local.until(() => expect(local.condition("SmtpRelay.mail", "Ready")).toMatch(/^False: .*nowhere/));
  expect(local.pid("mail-0")).not.toBeNull();

  local.edit("relay.yaml", (text) => text.replace("name: nowhere", "name: default"));
  await local.untilReady();
});

test("an address that is paused is paused, and the other one goes on", async () => {
  local.edit("pool.yaml", (text) =>
    text.replace("ehloName: a.mail.example.test", "ehloName: a.mail.example.test\n      state: Paused"),
  );
  await local.until(() => {
    const addresses = local.status("IpPool.default")?.status["addresses"] as { state: string }[];
    expect(addresses.map(({ state }) => state)).toEqual(["Paused", "Warming"]);
    // The pod that had the paused address only gets a part of the other one, so that its mail does not wait.
    const pods = local.status("SmtpRelay.mail")?.status["pods"] as { addresses: string[] }[];
    expect(pods.map(({ addresses: held }) => held.includes("default/b"))).toEqual([true, true]);
  });
});

test("replicas go down and up; the queue of the pod that left is kept", async () => {
  local.edit("relay.yaml", (text) => text.replace("replicas: 2", "replicas: 1"));
  await local.until(() => expect(local.pid("mail-1")).toBeNull());
  expect(existsSync(join(local.state, "volumes", "spool-mail-1"))).toBe(true);
  expect(local.pid("mail-0")).not.toBeNull();

  local.edit("relay.yaml", (text) => text.replace("replicas: 1", "replicas: 3"));
  await local.until(() => {
    expect(local.status("SmtpRelay.mail")?.status).toMatchObject({ ready: "3/3" });
    expect(local.pid("mail-2")).not.toBeNull();
  });
});

test("an emptied folder is refused: what runs goes on", async () => {
  for (const name of ["relay.yaml", "domain.yaml", "pool.yaml"]) rmSync(join(local.manifests, name));
  await local.until(() => expect(local.refusals()).toContain("the folder holds no manifest"));

  expect(local.pid("mail-0")).not.toBeNull();
  expect(await local.stop()).toBe(0);
});
