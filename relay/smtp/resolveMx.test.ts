import { afterEach, expect, test } from "vitest";

import { type DnsServer, dnsServer, type ZoneEntry } from "../../test/support/dnsServer.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { silentLog } from "../kit/log.ts";
import type { Resolution } from "./delivery.ts";
import { createMxResolver, type MxResolverOptions } from "./resolveMx.ts";

const servers: DnsServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function world(zone: Record<string, ZoneEntry>, options: Partial<MxResolverOptions> = {}) {
  const dns = await dnsServer(zone);
  servers.push(dns);
  const clock = new FakeClock();
  const resolver = createMxResolver({
    clock,
    random: seededRandom(),
    log: silentLog,
    servers: [dns.address],
    forbiddenNetworks: [],
    timeoutMs: 100,
    tries: 1,
    ...options,
  });
  return { dns, clock, resolver };
}

const names = (resolution: Resolution) =>
  resolution.kind === "hosts" ? resolution.hosts.map((host) => host.name) : resolution;

test("hosts come in the order of preference, with IPv4 before IPv6, and the site is their sorted set", async () => {
  const { resolver } = await world({
    "a.test": {
      MX: [
        [20, "B.mx.test"],
        [10, "z.mx.test"],
      ],
    },
    "z.mx.test": { A: ["192.0.2.1", "192.0.2.2"], AAAA: ["2001:db8::1"] },
    "b.mx.test": { A: ["192.0.2.3"] },
  });

  expect(await resolver.resolve("A.test.")).toEqual({
    kind: "hosts",
    site: "b.mx.test,z.mx.test",
    hosts: [
      { name: "z.mx.test", preference: 10, addresses: ["192.0.2.1", "192.0.2.2", "2001:db8::1"] },
      { name: "b.mx.test", preference: 20, addresses: ["192.0.2.3"] },
    ],
  });
});

test("equal preferences are drawn anew at each question, also from memory", async () => {
  const zone: Record<string, ZoneEntry> = {
    "a.test": {
      MX: [
        [10, "x.test"],
        [10, "y.test"],
        [5, "first.test"],
      ],
    },
  };
  for (const name of ["x.test", "y.test", "first.test"]) zone[name] = { A: ["192.0.2.1"] };
  const { dns, resolver } = await world(zone);

  const orders = new Set<string>();
  for (let turn = 0; turn < 30; turn++) orders.add(JSON.stringify(names(await resolver.resolve("a.test"))));

  expect([...orders].sort()).toEqual([
    `["first.test","x.test","y.test"]`,
    `["first.test","y.test","x.test"]`,
  ]);
  expect(dns.queries.filter((query) => query.type === "MX")).toHaveLength(1);
});

const cases: {
  because: string;
  zone: Record<string, ZoneEntry>;
  domain?: string;
  options?: Partial<MxResolverOptions>;
  expected: Partial<Extract<Resolution, { kind: "unroutable" }>>;
}[] = [
  {
    because: "a domain that does not exist bounces",
    zone: {},
    expected: { permanent: true, enhanced: "5.1.2" },
  },
  {
    because: "a null MX says that the domain takes no mail",
    zone: { "a.test": { MX: [[0, "."]], A: ["192.0.2.1"] } },
    expected: { permanent: true, enhanced: "5.1.10" },
  },
  {
    because: "an MX without address is no reason to fall back to the domain's own address",
    zone: { "a.test": { MX: [[10, "mx.test"]], A: ["192.0.2.1"] }, "mx.test": { TXT: ["x"] } },
    expected: {
      permanent: true,
      enhanced: "5.4.4",
      reason: expect.stringContaining("mx.test has neither A nor AAAA"),
    },
  },
  {
    because: "an MX that does not exist is as bad",
    zone: { "a.test": { MX: [[10, "gone.test"]], A: ["192.0.2.1"] } },
    expected: { permanent: true, enhanced: "5.4.4" },
  },
  {
    because: "a domain with neither MX nor address cannot take mail",
    zone: { "a.test": { TXT: ["x"] } },
    expected: { permanent: true, enhanced: "5.4.4" },
  },
  {
    because: "a host in a forbidden network is refused and the network named",
    zone: { "a.test": { MX: [[10, "mx.test"]] }, "mx.test": { A: ["10.1.2.3"] } },
    options: { forbiddenNetworks: ["192.168.0.0/16", "10.0.0.0/8"] },
    expected: {
      permanent: true,
      enhanced: "5.4.4",
      reason: expect.stringContaining("10.1.2.3, in the forbidden network 10.0.0.0/8"),
    },
  },
  {
    because: "an IPv4 address dressed as IPv6 does not slip through",
    zone: { "a.test": { AAAA: ["::ffff:127.0.0.1"] } },
    options: { forbiddenNetworks: ["127.0.0.0/8"] },
    expected: { permanent: true, enhanced: "5.4.4", reason: expect.stringContaining("127.0.0.0/8") },
  },
  {
    because: "a forbidden address literal is refused as well",
    zone: {},
    domain: "[127.0.0.1]",
    options: { forbiddenNetworks: ["127.0.0.0/8"] },
    expected: { permanent: true, enhanced: "5.4.4" },
  },
  {
    because: "what is no literal is a bad address",
    zone: {},
    domain: "[300.1.1.1]",
    expected: { permanent: true, enhanced: "5.1.3" },
  },
  {
    because: "mail whose best MX we are ourselves would come back",
    zone: {
      "a.test": {
        MX: [
          [10, "us.test"],
          [20, "backup.test"],
        ],
      },
      "backup.test": { A: ["192.0.2.1"] },
    },
    options: { ownNames: ["US.test."] },
    expected: { permanent: true, enhanced: "5.4.6" },
  },
  {
    because: "a name no DNS message can carry exists nowhere",
    zone: {},
    domain: `${"a".repeat(64)}.test`,
    expected: { permanent: true, enhanced: "5.1.2" },
  },
];

test.each(cases)("$because", async ({ zone, domain, options, expected }) => {
  const { resolver } = await world(zone, options);

  expect(await resolver.resolve(domain ?? "a.test")).toMatchObject({ kind: "unroutable", ...expected });
});

test("without MX the domain itself is the host, and its alias is followed", async () => {
  const { resolver } = await world({
    "plain.test": { A: ["192.0.2.1"] },
    "alias.test": { CNAME: "real.test" },
    "real.test": { MX: [[10, "mx.test"]] },
    "mx.test": { A: ["192.0.2.2"] },
  });

  expect(names(await resolver.resolve("plain.test"))).toEqual(["plain.test"]);
  expect(names(await resolver.resolve("alias.test"))).toEqual(["mx.test"]);
});

test("only hosts more preferred than ourselves are used", async () => {
  const zone = {
    "a.test": {
      MX: [
        [5, "best.test"],
        [10, "us.test"],
        [10, "equal.test"],
        [20, "backup.test"],
      ],
    },
    "best.test": { A: ["192.0.2.1"] },
    "equal.test": { A: ["192.0.2.2"] },
    "backup.test": { A: ["192.0.2.3"] },
  } as const;
  const { resolver } = await world(zone, { ownNames: ["us.test"] });

  expect(names(await resolver.resolve("a.test"))).toEqual(["best.test"]);
});

test.each(["SERVFAIL", "REFUSED", "drop"] as const)(
  "a resolver's %s is temporary and soon asked again",
  async (failure) => {
    const { dns, clock, resolver } = await world({
      "a.test": { MX: [[10, "mx.test"]] },
      "mx.test": { A: ["192.0.2.1"] },
    });
    dns.fail("a.test", "MX", failure, { times: 1 });

    const first = await resolver.resolve("a.test");
    const fromMemory = await resolver.resolve("a.test");
    await clock.advance(11_000);

    expect(first).toMatchObject({ kind: "unroutable", permanent: false, enhanced: "4.4.3" });
    expect(fromMemory).toEqual(first);
    expect(names(await resolver.resolve("a.test"))).toEqual(["mx.test"]);
  },
);

test("one host that cannot be looked up makes it temporary, unless another one is found", async () => {
  const { dns, resolver } = await world({
    "a.test": {
      MX: [
        [10, "lost.test"],
        [20, "empty.test"],
      ],
    },
    "b.test": {
      MX: [
        [10, "lost.test"],
        [20, "mx.test"],
      ],
    },
    "lost.test": { A: ["192.0.2.9"] },
    "empty.test": { TXT: ["x"] },
    "mx.test": { A: ["192.0.2.1"] },
  });
  dns.fail("lost.test", "*", "SERVFAIL");

  expect(await resolver.resolve("a.test")).toMatchObject({
    kind: "unroutable",
    permanent: false,
    enhanced: "4.4.3",
  });
  expect(names(await resolver.resolve("b.test"))).toEqual(["mx.test"]);
});

test("answers are kept for the time to live of their addresses, and questions asked together are asked once", async () => {
  const { dns, clock, resolver } = await world({
    "a.test": { MX: [[10, "mx.test"]] },
    "mx.test": { A: ["192.0.2.1"], ttlSeconds: 30 },
  });
  const mxQueries = () => dns.queries.filter((query) => query.type === "MX").length;

  await Promise.all([resolver.resolve("a.test"), resolver.resolve("a.test"), resolver.resolve("A.TEST")]);
  await clock.advance(29_000);
  await resolver.resolve("a.test");
  expect(mxQueries()).toBe(1);

  await clock.advance(1_000);
  await resolver.resolve("a.test");
  expect(mxQueries()).toBe(2);
});

test("a new configuration forgets what the old one knew", async () => {
  const old = await world({ "a.test": { A: ["192.0.2.1"] } });
  const next = await world({ "a.test": { A: ["10.0.0.1"] } });
  await old.resolver.resolve("a.test");

  old.resolver.reconfigure([next.dns.address], ["10.0.0.0/8"]);

  expect(await old.resolver.resolve("a.test")).toMatchObject({ kind: "unroutable", enhanced: "5.4.4" });
  expect(() => old.resolver.reconfigure(["nonsense"], [])).toThrow(/Cannot use the DNS servers nonsense/);
  expect(await old.resolver.resolve("a.test")).toMatchObject({ kind: "unroutable", enhanced: "5.4.4" });
});

test("a smart host is looked up without MX, may be an address, and may stand in a private network", async () => {
  const { resolver } = await world(
    { "smart.test": { A: ["10.0.0.1"], MX: [[10, "other.test"]] } },
    { forbiddenNetworks: ["10.0.0.0/8"] },
  );

  expect(await resolver.resolveHost("smart.test")).toEqual({
    kind: "hosts",
    site: "smart.test",
    hosts: [{ name: "smart.test", preference: 0, addresses: ["10.0.0.1"] }],
  });
  expect(await resolver.resolveHost("127.0.0.1")).toMatchObject({ hosts: [{ addresses: ["127.0.0.1"] }] });
  expect(await resolver.resolveHost("gone.test")).toMatchObject({ kind: "unroutable", permanent: true });
});

test("a site of many names stays bounded, distinct, and the same whichever hosts were looked up", async () => {
  const hosts = Array.from({ length: 30 }, (_, index) => `a-rather-long-name-${index}.mx.test`);
  const zone: Record<string, ZoneEntry> = {
    "a.test": { MX: hosts.map((host) => [10, host]) },
    "b.test": { MX: hosts.slice(1).map((host) => [10, host]) },
  };
  for (const host of hosts) zone[host] = { A: ["192.0.2.1"] };
  const { resolver, clock } = await world(zone);

  const [a, b] = [await resolver.resolve("a.test"), await resolver.resolve("b.test")];
  await clock.advance(301_000);
  const again = await resolver.resolve("a.test");

  if (a.kind !== "hosts" || b.kind !== "hosts" || again.kind !== "hosts") throw new Error("all resolve");
  expect(again.site).toBe(a.site);
  expect(a.site.length).toBeLessThanOrEqual(200);
  expect(a.site).not.toBe(b.site);
  expect(a.hosts).toHaveLength(10);
});
