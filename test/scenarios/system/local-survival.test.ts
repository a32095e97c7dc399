/** Local mode through crashes, stops and starts: mail, keys, passwords and use are kept. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { LocalModeDriver } from "../../support/localMode.ts";
import { type SmtpPeer, smtpPeer } from "../../support/smtpPeer.ts";

let local: LocalModeDriver;
let peer: SmtpPeer;

beforeEach(async () => {
  local = new LocalModeDriver("127.0.78");
  peer = await smtpPeer()
    .on("RCPT", "450 4.2.1 later", { when: /later@/ })
    .start();
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
  for (let n = 0; n < 4; n++) expect(await local.send("later@mail.example.test")).toMatch(/^250 /);
  await local.until(() => expect(inTheQueue()).toBe(4));

  const before = local.pid("mail-0") ?? 0;
  process.kill(before, "SIGKILL");
  await local.until(() => expect(local.pid("mail-0")).not.toBe(before));
  await local.untilReady();
  await local.until(() => expect(inTheQueue()).toBe(4));
  expect(await local.send("someone@mail.example.test")).toMatch(/^250 /);
  await local.until(() => expect(peer.messages).toHaveLength(1));
});

test("after Ctrl-C and a start, keys, password, ports, queue and today's use are the same", async () => {
  start();
  await local.untilReady();
  for (let n = 0; n < 3; n++) await local.send("someone@mail.example.test");
  await local.send("later@mail.example.test");
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
  await local.send("later@mail.example.test");
  await local.until(() => expect(inTheQueue()).toBe(1));
  const left = local.pid("mail-0") ?? 0;
  local.signal("SIGKILL");
  await local.ended();
  expect(() => process.kill(left, 0)).not.toThrow();

  local.output = "";
  start();
  await local.until(() =>
    expect(local.output).toContain("stopped what a former local mode had left running"),
  );
  await local.untilReady();
  expect(() => process.kill(left, 0)).toThrow("ESRCH");
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
  await local.until(() => expect(() => process.kill(relay, 0)).toThrow("ESRCH"));
});

test("with one loopback address, ports tell the pods apart and mail flows all the same", async () => {
  start("--single-address");
  await local.untilReady();
  for (let n = 0; n < 4; n++) await local.send("someone@mail.example.test");

  await local.until(() => expect(peer.messages).toHaveLength(4));
  expect(new Set(peer.sessions.map(({ remoteAddress }) => remoteAddress))).toEqual(new Set(["127.0.0.1"]));
  expect(local.output).toContain("only 127.0.0.1 is up here");
});
