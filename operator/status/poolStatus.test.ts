import { expect, test } from "vitest";

import { ipPoolStatus, type IpPoolStatus } from "../../crds/ipPool.ts";
import { anEnvironment, aPod, aPool, aRelay, aSilentPod, NOON } from "../../test/support/builders.ts";
import { misplacedReasons } from "../../test/support/placements.ts";
import { expectedPoolRecords, planPool } from "../plan/pool.ts";
import { type DnsAnswer, dnsQuestion, type PodView, type PoolWorld } from "../world.ts";
import { poolNextLook } from "./nextLook.ts";
import { poolStatus } from "./poolStatus.ts";

function world(overrides: Partial<PoolWorld> = {}, dns: Readonly<Record<string, DnsAnswer>> = {}): PoolWorld {
  const pool = overrides.pool ?? aPool();
  return {
    now: NOON,
    environment: anEnvironment(),
    pool,
    allPools: [pool],
    relays: [],
    dns: new Map(
      expectedPoolRecords(pool).map((record): [string, DnsAnswer] => [
        dnsQuestion(record),
        dns[record.name] ?? { kind: "records", values: [record.value] },
      ]),
    ),
    ...overrides,
  };
}

function look(of: PoolWorld) {
  const status: IpPoolStatus = ipPoolStatus.parse(poolStatus(of, planPool(of)));
  if (misplacedReasons("IpPool", status.conditions).length > 0)
    throw new Error(String(misplacedReasons("IpPool", status.conditions)));
  const said = (type: string) => {
    const found = status.conditions?.find((condition) => condition.type === type);
    return `${found?.status} ${found?.reason}: ${found?.message}`;
  };
  return { status, said };
}

const states = (status: IpPoolStatus) => status.addresses?.map(({ name, state }) => `${name} ${state}`);
const wrong: Readonly<Record<string, DnsAnswer>> = {
  "10.2.0.192.in-addr.arpa": { kind: "records", values: ["host10.isp.example"] },
};

test("an address that fails its check is blocked, with what is seen beside what is expected", () => {
  const { said, status } = look(world({}, wrong));

  expect(states(status)).toEqual(["a Blocked", "b Warming"]);
  expect(status.ready).toBe("1/2");
  expect(said("AddressesVerified")).toBe(
    "False ReverseDnsFailed: a: PTR 10.2.0.192.in-addr.arpa is host10.isp.example; expected a.mail.example.com.",
  );
  expect(said("Ready")).toContain("True ReverseDnsFailed: 1 of 2 addresses may send. a: PTR");
  expect(said("Stalled")).toContain("False");
});

test("when no address passes, the pool waits for a person", () => {
  const none: DnsAnswer = { kind: "none" };
  const { said } = look(world({}, { "a.mail.example.com": none, "b.mail.example.com": none }));

  expect(said("Ready")).toBe(
    "False ReverseDnsFailed: 0 of 2 addresses may send. a: A a.mail.example.com does not exist; expected 192.0.2.10, b: A b.mail.example.com does not exist; expected 192.0.2.11.",
  );
  expect(said("Stalled")).toContain("True ReverseDnsFailed");
});

test("with Warn a failed check is told and the address sends; with Skip nothing is asked", () => {
  const warn = aPool({ spec: { checks: { forwardConfirmedReverseDns: "Warn" } } });
  const off = aPool({ spec: { checks: { forwardConfirmedReverseDns: "Skip" } } });

  expect(states(look(world({ pool: warn }, wrong)).status)).toEqual(["a Warming", "b Warming"]);
  expect(look(world({ pool: warn }, wrong)).said("AddressesVerified")).toContain("False ReverseDnsFailed");
  expect(expectedPoolRecords(off)).toEqual([]);
  expect(look(world({ pool: off })).said("AddressesVerified")).toBe(
    "Unknown ChecksOff: spec.checks asks for no proof.",
  );
});

test("an address is blocked until it was proven, and stays proven when DNS falls silent", () => {
  const failed: DnsAnswer = { kind: "failed", reason: "timeout" };
  const silence = { "a.mail.example.com": failed, "10.2.0.192.in-addr.arpa": failed };
  expect(states(look(world({}, silence)).status)).toEqual(["a Blocked", "b Warming"]);

  const proven = { ...aPool(), status: look(world()).status };
  const { said, status } = look(world({ pool: proven }, silence));
  expect(states(status)).toEqual(["a Warming", "b Warming"]);
  expect(said("AddressesVerified")).toBe(
    "Unknown DnsUnreachable: No answer for A a.mail.example.com, PTR 10.2.0.192.in-addr.arpa.",
  );
  expect(said("Ready")).toContain("True DnsUnreachable: 2 of 2 addresses may send.");
});

test("an address that an older pool holds is blocked here and named; the older pool notices nothing", () => {
  const older = aPool({
    metadata: { name: "first", creationTimestamp: "2026-01-01T00:00:00Z" },
    spec: { addresses: [{ name: "x", ip: "192.0.2.10", ehloName: "a.mail.example.com" }] },
  });
  const mine = aPool();
  const { said, status } = look(world({ pool: mine, allPools: [mine, older] }));
  const text =
    "Address a (192.0.2.10) belongs to IpPool default/first, which is older; remove it from one of the two.";

  expect(states(status)).toEqual(["a Blocked", "b Warming"]);
  expect(said("Stalled")).toBe(`True AddressClaimed: ${text}`);
  expect(said("Ready")).toBe(`True AddressClaimed: 1 of 2 addresses may send. ${text}`);
  expect(look(world({ pool: older, allPools: [mine, older] })).said("Ready")).toContain("True Warming");
});

test("a warm pool says so, and a paused one too", () => {
  const warm = look(world({ pool: aPool({ spec: { warmup: { ramp: "None" } } }) }));
  expect(warm.status).toMatchObject({ ready: "2/2", warming: "warm" });
  expect(warm.status.today).toBeUndefined();
  expect(warm.said("WarmingUp")).toBe("False Warm: No address is limited by a ramp.");

  const addresses = [
    { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com", state: "Paused" as const },
  ];
  expect(look(world({ pool: aPool({ spec: { addresses } }) })).said("Ready")).toBe(
    "False AllPaused: Every address is paused in spec.addresses.",
  );
});

test("a warm address stays warm when its manifest is applied again", () => {
  const warm = { name: "a", ip: "192.0.2.10", state: "Warm" as const, checks: [] };
  const pool = aPool({ status: { addresses: [warm] } });

  expect(states(look(world({ pool })).status)).toEqual(["a Warm", "b Warming"]);
});

test("another address under a known name starts its own ramp", () => {
  const before = look(world()).status;
  const [a, b] = before.addresses ?? [];
  if (a?.warmup === undefined || b === undefined) throw new Error("two addresses are on a ramp");
  const far = { ...a, ip: "192.0.2.99", warmup: { ...a.warmup, stage: 9, dayLimit: 50_000 } };
  const pool = aPool({ status: { ...before, addresses: [far, b] } });

  expect(look(world({ pool })).status.addresses?.[0]?.warmup).toMatchObject({ stage: 1, dayLimit: 200 });
});

test("reputation is rated over a week and rounded", () => {
  const counters = [
    {
      source: "default/a",
      provider: "google",
      day: "2026-11-17",
      delivered: 104_349,
      deferred: 10,
      bounced: 630,
      blocked: 100,
    },
    {
      source: "default/a",
      provider: "google",
      day: "2026-11-16",
      delivered: 0,
      deferred: 0,
      bounced: 0,
      blocked: 50_000,
    },
    {
      source: "other/a",
      provider: "google",
      day: "2026-11-23",
      delivered: 0,
      deferred: 0,
      bounced: 0,
      blocked: 50_000,
    },
  ];
  const relays = [{ relay: aRelay(), pods: [aPod("mail-0", { counters })], publishedConfig: null }];
  const { status } = look(world({ relays }));

  expect(status.addresses?.map(({ reputation }) => reputation)).toEqual([
    { rating: "Good", delivered7d: 104_000, bouncedPermille: 6, blockedPermille: 1 },
    { rating: "Unknown", delivered7d: 0, bouncedPermille: 0, blockedPermille: 0 },
  ]);
  expect(status.reputation).toBe("Good");
});

test("holding on is one line of history that moves, advancing another", () => {
  let pool = aPool({
    spec: { addresses: [{ name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com" }] },
  });
  for (let day = 0; day < 5; day++)
    pool = { ...pool, status: look(world({ pool, now: NOON + day * 86_400_000 })).status };

  expect(pool.status?.history?.map(({ at, decision, reason }) => `${at} ${decision}: ${reason}`)).toEqual([
    "2026-11-27T12:00:00Z Held: 0 % of stage 1 used (0 of 200); 90 % needed.",
    "2026-11-23T12:00:00Z Started: Standard ramp: 200 recipients on the first day.",
  ]);
});

test("the next look is in time for the last hour of the day, for midnight, and for reports", () => {
  const at = (time: string, withPods = false) => {
    const pool = { ...aPool(), status: look(world()).status };
    const relays = withPods ? [{ relay: aRelay(), pods: [aPod("mail-0")], publishedConfig: null }] : [];
    const of = world({ pool, relays, now: Date.parse(`2026-11-23T${time}Z`) });
    return poolNextLook(of, planPool(of), poolStatus(of, planPool(of))).kind === "again"
      ? (poolNextLook(of, planPool(of), poolStatus(of, planPool(of))) as { afterSeconds: number })
          .afterSeconds
      : null;
  };

  expect([at("12:00:00"), at("22:55:00"), at("23:59:50"), at("12:00:00", true)]).toEqual([600, 300, 10, 2]);
});

const twoPods = { relay: aRelay({ spec: { replicas: 2 } }), publishedConfig: null };
const missing = (source: string) => ({
  missingAddresses: [
    {
      source,
      reason: "no connection can be made from 192.0.2.10: EADDRNOTAVAIL",
      since: "2026-11-23T12:00:00Z",
    },
  ],
});

test("an address says whose mail leaves from it, so that an egress policy can be written", () => {
  const { status } = look(world({ relays: [{ ...twoPods, pods: [aPod("mail-0"), aPod("mail-1")] }] }));

  expect(status.addresses?.map(({ name, pods }) => [name, pods])).toEqual([
    ["a", ["default/mail-0"]],
    ["b", ["default/mail-1"]],
  ]);
});

test("a bound pool says where an address is missing, and is not Ready once it is missing everywhere", () => {
  const pool = aPool({ spec: { egress: "Bound" } });
  const environment = anEnvironment({ bindSourceAddresses: false });
  const seen = (...pods: ReturnType<typeof aPod>[]) =>
    look(world({ pool, environment, relays: [{ ...twoPods, pods }] })).said;

  expect(seen()("AddressesBound")).toBe("Unknown ReportsMissing: No pod has reported yet.");
  expect(seen(aPod("mail-0"), aPod("mail-1"))("AddressesBound")).toContain("True AddressesPresent");
  const one = seen(aPod("mail-0", missing("default/a")), aPod("mail-1", missing("other/b")));
  expect(one("AddressesBound")).toBe(
    "False AddressMissing: Nothing is sent where a is not on default/mail-0 (no connection can be made from 192.0.2.10: EADDRNOTAVAIL).",
  );
  expect(one("Ready")).toContain("True Warming");
  const all = seen(aPod("mail-0", missing("default/a")), aPod("mail-1", missing("default/b")));
  expect(all("Ready")).toContain("False AddressMissing");
});

/** The bound pool, looked at again and again with what these pods say. */
function boundPool(addresses = ["a", "b"]) {
  let pool = aPool({
    spec: {
      egress: "Bound",
      addresses: addresses.map((name, index) => ({
        name,
        ip: `192.0.2.${10 + index}`,
        ehloName: `${name}.mail.example.com`,
      })),
    },
  });
  return (...pods: PodView[]) => {
    const relay = aRelay({ spec: { replicas: pods.length } });
    const seen = look(world({ pool, relays: [{ relay, pods, publishedConfig: null }] }));
    pool = { ...pool, status: seen.status };
    const who = Object.fromEntries(seen.status.addresses?.map(({ name, pods: of }) => [name, of]) ?? []);
    return { ...seen, who };
  };
}
const having = (pod: string, ...localAddresses: string[]) => aPod(pod, { localAddresses });

test("an address of a bound pool goes to the pod that says it has it, and the pool says who has what", () => {
  const { status, who } = boundPool()(
    having("mail-0", "10.244.0.7", "192.0.2.11"),
    having("mail-1", "10.244.1.7", "192.0.2.10"),
  );

  expect(who).toEqual({ a: ["default/mail-1"], b: ["default/mail-0"] });
  expect(status.podAddresses).toEqual([
    { pod: "default/mail-0", addresses: ["b"] },
    { pod: "default/mail-1", addresses: ["a"] },
  ]);
});

test("all of a loopback network is on every pod of this machine, so ordinals part it as ever", () => {
  const pool = aPool({
    spec: {
      egress: "Bound",
      addresses: [
        { name: "a", ip: "127.0.0.11", ehloName: "a.mail.example.com" },
        { name: "b", ip: "127.0.0.12", ehloName: "b.mail.example.com" },
      ],
    },
  });
  const pods = ["mail-0", "mail-1"].map((pod) => having(pod, "127.0.0.1/8", "::1/128"));
  const { status } = look(world({ pool, relays: [{ ...twoPods, pods }] }));

  expect(status.podAddresses?.map(({ addresses }) => addresses)).toEqual([
    ["a", "b"],
    ["a", "b"],
  ]);
  expect(status.addresses?.map(({ pods: of }) => of)).toEqual([["default/mail-0"], ["default/mail-1"]]);
});

test("a pod that falls silent keeps its addresses, though another one says it has them now", () => {
  const looked = boundPool();
  looked(having("mail-0", "192.0.2.11"), having("mail-1", "192.0.2.10"));
  const { who } = looked(
    aSilentPod("mail-0", "no answer within 3 s"),
    having("mail-1", "192.0.2.10", "192.0.2.11"),
  );

  expect(who).toEqual({ a: ["default/mail-1"], b: ["default/mail-0"] });
});

test("nothing is taken from a silent pod, not even for one that has nothing else to send from", () => {
  const looked = boundPool(["a", "b", "c"]);
  const first = looked(having("mail-0", "192.0.2.10", "192.0.2.11"), having("mail-1", "192.0.2.12"));
  const next = looked(aSilentPod("mail-0"), having("mail-1", "192.0.2.11"));
  expect(next.who).toEqual({ ...first.who, c: ["default/mail-1"] });

  const { who } = looked(having("mail-0", "192.0.2.10", "192.0.2.11"), having("mail-1", "192.0.2.11"));
  expect(who).toMatchObject({ a: ["default/mail-0"], b: ["default/mail-1"] });
});

test("an address that moves to another pod while both answer goes there", () => {
  const looked = boundPool(["a", "b", "c"]);
  looked(having("mail-0", "192.0.2.10", "192.0.2.11"), having("mail-1", "192.0.2.12"));
  const { who } = looked(having("mail-0", "192.0.2.10"), having("mail-1", "192.0.2.11", "192.0.2.12"));

  expect(who).toEqual({ a: ["default/mail-0"], b: ["default/mail-1"], c: ["default/mail-1"] });
});

test("relays of a version that does not say what they have are parted by their ordinals", () => {
  const looked = boundPool();
  looked(having("mail-0", "192.0.2.11"), having("mail-1", "192.0.2.10"));
  const { status, who } = looked(aPod("mail-0"), aPod("mail-1"));

  expect(status.podAddresses).toBeUndefined();
  expect(who).toEqual({ a: ["default/mail-0"], b: ["default/mail-1"] });
});

test("a translated pool asks nobody what addresses pods have", () => {
  const pool = aPool({ spec: { egress: "Translated" } });
  const pods = [having("mail-0", "192.0.2.11"), having("mail-1", "192.0.2.10")];
  const { status } = look(world({ pool, relays: [{ ...twoPods, pods }] }));

  expect(status.podAddresses).toBeUndefined();
  expect(status.addresses?.map(({ pods: of }) => of)).toEqual([["default/mail-0"], ["default/mail-1"]]);
});

test("a missing address says who has it, or that nobody has; a pod without any says so too", () => {
  const lacksA = { ...missing("default/a"), localAddresses: ["10.244.0.7"] };
  const moves = boundPool()(aPod("mail-0", lacksA), having("mail-1", "192.0.2.10", "192.0.2.11"));
  expect(moves.said("AddressesBound")).toBe(
    "False AddressMissing: Nothing is sent where a is not on default/mail-0 (no connection can be made from 192.0.2.10: EADDRNOTAVAIL), default/mail-1 has it and sends from it next. default/mail-0 has none of the addresses: mail for this pool waits there.",
  );

  const nobody = boundPool()(aPod("mail-0", lacksA), having("mail-1", "192.0.2.11"));
  expect(nobody.who).toEqual({ a: ["default/mail-0"], b: ["default/mail-1"] });
  expect(nobody.said("AddressesBound")).toBe(
    "False AddressMissing: Nothing is sent where a is not on default/mail-0 (no connection can be made from 192.0.2.10: EADDRNOTAVAIL) nor on another pod that says what it has.",
  );

  const well = boundPool()(having("mail-0", "192.0.2.11"), having("mail-1", "192.0.2.10"));
  expect(well.said("AddressesBound")).toContain("True AddressesPresent");
});

test("of a translated pool nobody here can see the addresses, and it says so", () => {
  const { said } = look(world({ pool: aPool({ spec: { egress: "Translated" } }) }));

  expect(said("AddressesBound")).toContain("Unknown AddressesTranslated");
});
