/** What local mode says when it cannot start, and with which exit code. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { LocalModeDriver } from "../../support/localMode.ts";

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let local: LocalModeDriver;
beforeEach(() => {
  local = new LocalModeDriver("127.0.80");
});
afterEach(() => local.dispose());

test("a folder that is refused ends the first start with every reason", async () => {
  local.write("pool.yaml", "apiVersion: smtprelay.dev/v1alpha1\nkind: IpPol\nmetadata: { name: x }\n");
  local.start();

  expect(await local.ended()).toBe(1);
  expect(local.output).toContain("nothing ran here before, and the folder is refused");
  expect(local.output).toMatch(/pool\.yaml:2: kind: Unsupported value: "IpPol".*did you mean "IpPool"\?/);
});

test("an empty folder and one that is not there are named", async () => {
  rmSync(local.manifests, { recursive: true });
  mkdirSync(local.manifests);
  local.start();
  expect(await local.ended()).toBe(1);
  expect(local.output).toContain("the folder holds no manifest");

  rmSync(local.manifests, { recursive: true });
  local.start();
  expect(await local.ended()).toBe(1);
  expect(local.output).toMatch(/Cannot read the folder .*manifests: ENOENT/);
});

test("words that are not understood end with code 2 and the next step; help with 0", async () => {
  local.run(["operator/main.ts", "local", "--sate", "x"]);
  expect(await local.ended()).toBe(2);
  expect(local.output).toMatch(/Unknown option '--sate'[^]*See smtp-relay-operator --help\./);

  local.output = "";
  local.run(["operator/main.ts", "--help"]);
  expect(await local.ended()).toBe(0);
  expect(local.output).toContain("usage: smtp-relay-operator local -f DIR");
});

test("a refused change while it was stopped does not keep what ran from running", async () => {
  local.start(["--dns", "loopback"]);
  await local.untilReady();
  expect(await local.stop()).toBe(0);

  local.edit("relay.yaml", (text) => text.replace("replicas: 2", "replicas: -2"));
  local.output = "";
  local.start(["--dns", "loopback"]);
  await local.until(() => expect(local.output).toMatch(/relay\.yaml:11: spec\.replicas: Invalid value: -2/));
  await local.until(() => expect(local.condition("SmtpRelay.mail", "Ready")).toMatch(/^True: 2 of 2/));
  expect(local.refusals()).toContain(join(local.manifests, "relay.yaml"));
});
