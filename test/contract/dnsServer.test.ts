/** The scripted DNS server, judged by Node's own resolver (c-ares). */
import { Resolver } from "node:dns/promises";

import { afterEach, expect, test } from "vitest";

import { type DnsServer, dnsServer } from "../support/dnsServer.ts";

const servers: DnsServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** Far from what an answer takes; only who waits for none makes it short. */
const PATIENCE_MS = 10_000;

async function started(zone: Parameters<typeof dnsServer>[0], patienceMs = PATIENCE_MS) {
  const dns = await dnsServer(zone);
  servers.push(dns);
  const resolver = new Resolver({ timeout: patienceMs, tries: 1 });
  resolver.setServers([dns.address]);
  return { dns, resolver };
}

const codeOf = (answer: Promise<unknown>) =>
  answer.then(
    () => "answered",
    (error: NodeJS.ErrnoException) => error.code,
  );

test("it answers from its zone, follows aliases and keeps a log", async () => {
  const { dns, resolver } = await started({
    "a.test": { MX: [[10, "mx.a.test"]], TXT: ["v=spf1 -all"] },
    "mx.a.test": { A: ["127.0.0.2"], AAAA: ["::1"], ttlSeconds: 7 },
    "alias.test": { CNAME: "a.test" },
  });

  expect(await resolver.resolveMx("A.test")).toMatchObject([{ priority: 10, exchange: "mx.a.test" }]);
  expect(await resolver.resolveMx("alias.test")).toMatchObject([{ exchange: "mx.a.test" }]);
  expect(await resolver.resolve4("mx.a.test", { ttl: true })).toEqual([{ address: "127.0.0.2", ttl: 7 }]);
  expect(await resolver.resolve6("mx.a.test")).toEqual(["::1"]);
  expect(await resolver.resolveTxt("a.test")).toEqual([["v=spf1 -all"]]);
  expect(dns.queries[0]).toEqual({ name: "a.test", type: "MX", transport: "udp" });
});

test("a name that exists without the record is told from one that does not exist", async () => {
  const { resolver } = await started({ "deep.below.test": { A: ["127.0.0.2"] } });

  expect(await codeOf(resolver.resolveMx("deep.below.test"))).toBe("ENODATA");
  expect(await codeOf(resolver.resolveMx("below.test"))).toBe("ENODATA");
  expect(await codeOf(resolver.resolveMx("nothing.test"))).toBe("ENOTFOUND");
});

test("failures come as ordered, as often as ordered", async () => {
  const { dns, resolver } = await started({ "a.test": { MX: [[10, "mx.a.test"]] } }, 1000);
  dns.fail("a.test", "MX", "SERVFAIL", { times: 1 });
  dns.fail("a.test", "MX", "NODATA", { times: 1 });
  dns.fail("a.test", "*", "drop", { times: 1 });

  const codes = [];
  for (let turn = 0; turn < 4; turn++) codes.push(await codeOf(resolver.resolveMx("a.test")));

  expect(codes).toEqual(["ESERVFAIL", "ENODATA", "ETIMEOUT", "answered"]);
});

test("an answer too long for UDP comes over TCP", async () => {
  const exchanges = Array.from(
    { length: 100 },
    (_, index) => [index, `mx-${index}.a-long-name.test`] as const,
  );
  const { dns, resolver } = await started({ "a.test": { MX: exchanges } });

  expect(await resolver.resolveMx("a.test")).toHaveLength(100);
  expect(dns.queries.map((query) => query.transport)).toEqual(["udp", "tcp"]);
});

test("a changed zone is what it answers next", async () => {
  const { dns, resolver } = await started({});
  dns.set("late.test", { A: ["127.0.0.3"] });

  expect(await resolver.resolve4("late.test")).toEqual(["127.0.0.3"]);

  dns.set("late.test", null);
  expect(await codeOf(resolver.resolve4("late.test"))).toBe("ENOTFOUND");
});
