import { afterEach, expect, test, vi } from "vitest";

import { systemClock } from "../../relay/kit/clock.ts";
import { systemRandom } from "../../relay/kit/random.ts";
import { dnsServer, type DnsServer, type ZoneEntry } from "../../test/support/dnsServer.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import { createDnsProbe, type DnsProbe } from "./dnsProbe.ts";

const running: DnsServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

async function serve(zone: Readonly<Record<string, ZoneEntry>>, host = "127.0.0.1"): Promise<DnsServer> {
  const server = await dnsServer(zone, { host });
  running.push(server);
  return server;
}

/** A resolver that knows the delegation of example.test to two servers, each with its own zone data. */
async function delegated(
  one: Readonly<Record<string, ZoneEntry>>,
  two: Readonly<Record<string, ZoneEntry>> = one,
): Promise<{ probe: DnsProbe; resolver: DnsServer; ns1: DnsServer; ns2: DnsServer }> {
  const resolver = await serve({
    "example.test": { NS: ["ns1.example.test", "ns2.example.test"] },
    "ns1.example.test": { A: ["127.0.0.11"] },
    "ns2.example.test": { A: ["127.0.0.12"] },
  });
  const ns1 = await serve(one, "127.0.0.11");
  const ns2 = await serve(two, "127.0.0.12");
  const probe = createDnsProbe({
    clock: systemClock,
    random: systemRandom,
    servers: [resolver.address],
    timeoutSeconds: 0.2,
    nameServerPort: (address) => (address === "127.0.0.11" ? ns1.port : ns2.port),
  });
  return { probe, resolver, ns1, ns2 };
}

const direct = (server: DnsServer) =>
  createDnsProbe({ clock: systemClock, random: systemRandom, direct: server.address, timeoutSeconds: 0.2 });

test("each type comes in one form: text joined, names and addresses canonical, sorted", async () => {
  const long = "v=DKIM1; k=rsa; p=".padEnd(700, "A");
  const probe = direct(
    await serve({
      "s._domainkey.example.test": { TXT: [long] },
      "mail.example.test": { A: ["192.0.2.11", "192.0.2.10"], AAAA: ["2001:db8:0:0:0:0:0:1"] },
      "10.2.0.192.in-addr.arpa": { PTR: ["A.Mail.Example.Test"] },
    }),
  );

  expect(await probe.ask({ type: "TXT", name: "s._domainkey.example.test" })).toEqual({
    kind: "records",
    values: [long],
  });
  expect(await probe.ask({ type: "A", name: "mail.example.test" })).toEqual({
    kind: "records",
    values: ["192.0.2.10", "192.0.2.11"],
  });
  expect(await probe.ask({ type: "AAAA", name: "Mail.Example.Test" })).toEqual({
    kind: "records",
    values: ["2001:db8::1"],
  });
  expect(await probe.ask({ type: "PTR", name: "10.2.0.192.in-addr.arpa" })).toEqual({
    kind: "records",
    values: ["a.mail.example.test"],
  });
});

test("an answer too long for UDP comes over TCP", async () => {
  const texts = Array.from({ length: 8 }, (_, index) => `${index}`.padEnd(250, "x"));
  const server = await serve({ "example.test": { TXT: texts } });

  expect(await direct(server).ask({ type: "TXT", name: "example.test" })).toEqual({
    kind: "records",
    values: texts,
  });
  expect(server.queries.map((query) => query.transport)).toEqual(["udp", "tcp"]);
});

test("a name that does not exist and one without this type both have none", async () => {
  const probe = direct(await serve({ "example.test": { A: ["192.0.2.1"] } }));

  expect(await probe.ask({ type: "TXT", name: "example.test" })).toEqual({ kind: "none" });
  expect(await probe.ask({ type: "TXT", name: "nothing.example.test" })).toEqual({ kind: "none" });
});

test.each([
  ["SERVFAIL", /SERVFAIL/],
  ["REFUSED", /REFUSED/],
  ["drop", /did not answer within 0.2 s/],
  ["garbage", /did not answer within 0.2 s/],
] as const)("a server that answers %s is a failure that says so", async (failure, reason) => {
  const server = await serve({ "example.test": { A: ["192.0.2.1"] } });
  server.fail("example.test", "A", failure);

  expect(await direct(server).ask({ type: "A", name: "example.test" })).toEqual({
    kind: "failed",
    reason: expect.stringMatching(reason),
  });
});

test("one lost packet does no harm", async () => {
  const clock = new FakeClock();
  const server = await serve({ "example.test": { A: ["192.0.2.1"] } });
  server.fail("example.test", "A", "drop", { times: 1 });
  const probe = createDnsProbe({ clock, random: systemRandom, direct: server.address });
  const answer = probe.ask({ type: "A", name: "example.test" });
  await vi.waitFor(() => expect(server.queries.length).toBe(1));
  await clock.advance(1000);

  expect(await answer).toMatchObject({ kind: "records" });
  expect(clock.pending).toBe(0);
});

test("the zone's own servers are asked, all of them, not the resolver", async () => {
  const { probe, resolver, ns1, ns2 } = await delegated({ "s.example.test": { TXT: ["here"] } });
  resolver.set("s.example.test", { TXT: ["cached and stale"] });

  expect(await probe.ask({ type: "TXT", name: "s.example.test" })).toEqual({
    kind: "records",
    values: ["here"],
  });
  expect([ns1.queries.length, ns2.queries.length]).toEqual([1, 1]);
});

test("the delegation is looked up once for the names of a zone", async () => {
  const { probe, resolver } = await delegated({ "s.example.test": { TXT: ["here"] } });
  await probe.ask({ type: "TXT", name: "s.example.test" });
  const before = resolver.queries.length;
  await probe.ask({ type: "TXT", name: "s.example.test" });

  expect(resolver.queries.length).toBe(before);
});

test("servers that disagree are named with what each says", async () => {
  const { probe } = await delegated(
    { "s.example.test": { TXT: ["new"] } },
    { "s.example.test": { TXT: ["old"] } },
  );

  expect(await probe.ask({ type: "TXT", name: "s.example.test" })).toEqual({
    kind: "failed",
    reason: 'the name servers of s.example.test disagree: ns1.example.test: "new"; ns2.example.test: "old"',
  });
});

test("a server that is down is left to its owner while others answer", async () => {
  const { probe, ns2 } = await delegated({ "s.example.test": { TXT: ["here"] } });
  ns2.fail("s.example.test", "*", "drop");

  expect(await probe.ask({ type: "TXT", name: "s.example.test" })).toEqual({
    kind: "records",
    values: ["here"],
  });
});

test("when no server answers, each is named with its reason", async () => {
  const { probe, ns1, ns2 } = await delegated({ "s.example.test": { TXT: ["here"] } });
  ns1.fail("s.example.test", "*", "SERVFAIL");
  ns2.fail("s.example.test", "*", "REFUSED");

  expect(await probe.ask({ type: "TXT", name: "s.example.test" })).toMatchObject({
    reason: expect.stringMatching(/ns1\.example\.test: .*SERVFAIL.*; ns2\.example\.test: .*REFUSED/),
  });
});

test("an alias into another zone is followed to that zone's servers", async () => {
  const { probe, resolver } = await delegated(
    { "s.example.test": { CNAME: "s.other.test" } },
    { "s.example.test": { CNAME: "s.other.test" }, "s.other.test": { TXT: ["elsewhere"] } },
  );
  resolver.set("example.test", { NS: ["ns1.example.test"] });
  resolver.set("other.test", { NS: ["ns2.example.test"] });

  expect(await probe.ask({ type: "TXT", name: "s.example.test" })).toEqual({
    kind: "records",
    values: ["elsewhere"],
  });
});

test("an endless chain of aliases ends in a failure", async () => {
  const probe = direct(await serve({ "a.test": { CNAME: "b.test" }, "b.test": { CNAME: "a.test" } }));

  expect(await probe.ask({ type: "A", name: "a.test" })).toEqual({
    kind: "failed",
    reason: expect.stringContaining("aliases"),
  });
});

test("a name without any zone, and one DNS cannot carry, are failures", async () => {
  const { probe } = await delegated({});

  expect(await probe.ask({ type: "TXT", name: "nowhere.invalid" })).toEqual({
    kind: "failed",
    reason: "no zone is delegated for nowhere.invalid",
  });
  expect(await probe.ask({ type: "TXT", name: `${"x".repeat(80)}.example.test` })).toMatchObject({
    kind: "failed",
  });
});

test("a server that is no address is refused at the start", () => {
  const make = (direct: string) => createDnsProbe({ clock: systemClock, random: systemRandom, direct });

  expect(() => make("ns.example.test")).toThrow('Cannot use the DNS server "ns.example.test"');
  expect(() => make("127.0.0.1:0")).toThrow("address:port");
  expect(() => make("[::1]:5353")).not.toThrow();
});
