/** Local mode through crashes, stops and starts: mail, keys, passwords and use are kept. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { identify } from "../../../operator/local/processes.ts";
import { LocalModeDriver } from "../../support/localMode.ts";
import { type SmtpPeer, smtpPeer } from "../../support/smtpPeer.ts";

// Several starts, each with real processes, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000 });

/** The loopback zone publishes the names of relays: this one has no pod, and its name leads to the peer. */
const inbox = `apiVersion: smtprelay.dev/v1alpha1
kind: SmtpRelay
metadata: { name: inbox }
spec:
  hostname: mx.inbox.test
  replicas: 0
  poolRef: { name: default }
  listeners: [{ name: unused, port: 24587, tls: StartTls }]
`;

let local: LocalModeDriver;
let peer: SmtpPeer;

beforeEach(async () => {
  local = new LocalModeDriver("127.0.78");
  peer = await smtpPeer()
    .on("RCPT", "450 4.2.1 later", { when: /later@/ })
    .start();
  local.write("inbox.yaml", inbox);
});
afterEach(async () => {
  await local.dispose();
  await peer.stop();
});

function start(...words: string[]): void {
  local.start(["--dns", "loopback", "--delivery-port", String(peer.port), ...words]);
}
const inTheQueue = () => {
  const { output } = local.ask("queue", "--json");
  return [...output.matchAll(/"recipients":\s*(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
};

test("a relay that is killed comes back with its queue", async () => {
  start();
  await local.untilReady();
  for (let n = 0; n < 4; n++) expect(await local.send("later@mx.inbox.test")).toMatch(/^250 /);
  await local.until(() => expect(inTheQueue()).toBe(4));

  const before = local.pid("mail-0") ?? 0;
  process.kill(before, "SIGKILL");
  await local.until(() => expect(local.pid("mail-0")).not.toBe(before));
  await local.untilReady();
  await local.until(() => expect(inTheQueue()).toBe(4));
  expect(await local.send("someone@mx.inbox.test")).toMatch(/^250 /);
  await local.until(() => expect(peer.messages).toHaveLength(1));
});

test("after Ctrl-C and a start, keys, password, ports, queue and today's use are the same", async () => {
  start();
  await local.untilReady();
  for (let n = 0; n < 3; n++) await local.send("someone@mx.inbox.test");
  await local.send("later@mx.inbox.test");
  await local.until(() => expect(peer.messages).toHaveLength(3));
  await local.until(() => expect(local.status("IpPool.default")?.status["today"]).not.toBe("0/400"));
  const before = {
    password: local.secret("mail-app", "password"),
    port: local.secret("mail-app", "port"),
    keys: readFileSync(join(local.state, "cluster", "Secret", "example.test-dkim.json"), "utf8"),
    places: readFileSync(join(local.state, "local.json"), "utf8"),
  };
  expect(before.password).not.toBe("");

  expect(await local.stop()).toBe(0);
  expect(local.output).toContain("Mail that waits is kept in");
  expect(existsSync(join(local.state, "lock"))).toBe(false);
  expect([local.pid("mail-0"), local.pid("mail-1")]).toEqual([null, null]);

  start();
  await local.untilReady();
  expect({
    password: local.secret("mail-app", "password"),
    port: local.secret("mail-app", "port"),
    keys: readFileSync(join(local.state, "cluster", "Secret", "example.test-dkim.json"), "utf8"),
    places: readFileSync(join(local.state, "local.json"), "utf8"),
  }).toEqual(before);
  expect(local.status("IpPool.default")?.status["today"]).not.toBe("0/400");
  await local.until(() => expect(inTheQueue()).toBe(1));
});

test("a second one on the same state folder is refused, and the first one is not disturbed", async () => {
  start();
  await local.until(() => expect(existsSync(join(local.state, "lock"))).toBe(true));
  const first = local.ended();
  const second = new LocalModeDriver("127.0.79");
  second.run(["operator/main.ts", "local", "-f", local.manifests, "--state", local.state]);

  expect(await second.ended()).toBe(1);
  expect(second.output).toMatch(/process \d+ runs on it/);
  await second.dispose();
  expect(await Promise.race([first, Promise.resolve("runs")])).toBe("runs");
});

test("when local mode itself is killed, the next start ends the relays left behind and goes on", async () => {
  start();
  await local.untilReady();
  await local.send("later@mx.inbox.test");
  await local.until(() => expect(inTheQueue()).toBe(1));
  const left = local.pid("mail-0") ?? 0;
  local.signal("SIGKILL");
  await local.ended();
  expect(identify(left)).not.toBeNull();

  local.output = "";
  start();
  await local.until(() =>
    expect(local.output).toContain("stopped what a former local mode had left running"),
  );
  await local.untilReady();
  expect(identify(left)).toBeNull();
  await local.until(() => expect(inTheQueue()).toBe(1));
});

test("a second Ctrl-C ends at once", async () => {
  start();
  await local.untilReady();
  const relay = local.pid("mail-0") ?? 0;
  // A relay that does not react at all: the ordered stop would wait its grace for it.
  process.kill(relay, "SIGSTOP");
  local.signal("SIGINT");
  await local.until(() => expect(local.output).toContain("Ctrl-C again ends at once"));
  local.signal("SIGINT");

  expect(await local.ended()).toBe(130);
  await local.until(() => expect(identify(relay)).toBeNull());
});

test("with one loopback address, ports tell the pods apart and mail flows all the same", async () => {
  start("--single-address");
  await local.untilReady();
  for (let n = 0; n < 4; n++) await local.send("someone@mx.inbox.test");

  await local.until(() => expect(peer.messages).toHaveLength(4));
  expect(new Set(peer.sessions.map(({ remoteAddress }) => remoteAddress))).toEqual(new Set(["127.0.0.1"]));
  expect(local.output).toContain("only 127.0.0.1 is up here");
});
