/** `npm run quickstart -- --once`: what a newcomer sees, and the exit code it ends with. */
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { LocalModeDriver } from "../../support/localMode.ts";

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let local: LocalModeDriver;
beforeEach(() => {
  local = new LocalModeDriver("127.0.81");
});
afterEach(() => local.dispose());

function once(): void {
  const words = ["--once", "--folder", local.manifests, "--state", local.state];
  local.run(["operator/local/quickstart/main.ts", ...words]);
}

test("twenty messages are accepted, signed, delivered and verified; again, with the same keys", async () => {
  once();
  await local.endedWith(0);
  for (const line of [
    "✔ manifests      3 read (SmtpRelay mail, SendingDomain example.test, IpPool default)",
    "2 DKIM keys made",
    "8 of 8 records verified",
    "mail-0, mail-1 ready",
    "accepted 20 · signed 20 · delivered 20",
    "40 of 40 valid",
    "20/400 used today",
  ]) {
    expect(local.output).toContain(line);
  }

  local.output = "";
  once();
  await local.endedWith(0);
  expect(local.output).toContain("2 DKIM keys kept");
  expect(local.output).toContain("40 of 40 valid");
});

test("a step that does not come true ends with code 1, names the step and where to look", async () => {
  local.edit("pool.yaml", (text) => text.replace("name: default", "name: other"));
  once();

  expect(await local.ended()).toBe(1);
  expect(local.output).toContain("✖ manifests");
  expect(local.output).toContain("IpPool default");
  expect(local.output).toContain(join("state", "logs"));
});
