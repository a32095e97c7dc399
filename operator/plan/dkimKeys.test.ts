import { expect, test } from "vitest";

import type { SendingDomainStatus } from "../../crds/sendingDomain.ts";
import { aDomain, anEnvironment, aRelay, aSecret, NOON } from "../../test/support/builders.ts";
import { ed25519Pem, otherRsaPem, rsaPem } from "../../test/support/dkimKeys.ts";
import { type DnsAnswer, dnsQuestion, type DomainWorld } from "../world.ts";
import { type KeyStatus, planKeys } from "./dkimKeys.ts";
import { expectedDomainRecords, planDomain } from "./domain.ts";

const DAY_MS = 86_400_000;

interface Given {
  readonly now?: number;
  readonly entries?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly keys?: readonly KeyStatus[];
  /** Selectors whose record is in DNS. */
  readonly inDns?: readonly string[];
}

function world({ now = NOON, entries, annotations = {}, keys, inDns }: Given): DomainWorld {
  const status: SendingDomainStatus | undefined =
    keys === undefined ? undefined : { dkim: { secretName: "example-com-dkim", keys: [...keys] } };
  const domain = aDomain(status === undefined ? {} : { status });
  const withoutDns = {
    now,
    environment: anEnvironment(),
    domain,
    allDomains: [domain],
    relay: aRelay(),
    pools: [],
    keySecret: entries === undefined ? null : aSecret("example-com-dkim", entries, annotations),
    answers: [],
  };
  if (inDns === undefined) return { ...withoutDns, dns: null };
  const dns = new Map(
    expectedDomainRecords(withoutDns).map((record): [string, DnsAnswer] => [
      dnsQuestion(record),
      inDns.some((selector) => record.name.startsWith(`${selector}.`))
        ? { kind: "records", values: [record.value] }
        : { kind: "none" },
    ]),
  );
  return { ...withoutDns, dns };
}

const key = (
  selector: string,
  state: KeyStatus["state"],
  createdAt: string,
  more: Partial<KeyStatus> = {},
): KeyStatus => ({
  selector,
  algorithm: selector.startsWith("r") ? "rsa-sha256" : "ed25519-sha256",
  state,
  createdAt,
  ...more,
});
const states = (given: Given) =>
  planKeys(world(given)).keys.map(({ selector, state }) => `${selector} ${state}`);

test("a new domain needs one key of each algorithm, named after the month", () => {
  expect(planDomain(world({})).needs).toEqual([
    { kind: "dkimKey", secretName: "example-com-dkim", selector: "r2611", algorithm: "rsa-sha256" },
    { kind: "dkimKey", secretName: "example-com-dkim", selector: "e2611", algorithm: "ed25519-sha256" },
  ]);
});

const fresh = { "r2611.pem": rsaPem, "e2611.pem": ed25519Pem };

test("a key signs only once its own record was seen", () => {
  expect(states({ entries: fresh })).toEqual(["r2611 Publishing", "e2611 Publishing"]);
  expect(states({ entries: fresh, inDns: ["r2611"] })).toEqual(["r2611 Active", "e2611 Publishing"]);
  expect(states({ entries: fresh, inDns: ["r2611", "e2611"] })).toEqual(["r2611 Active", "e2611 Active"]);
});

test("a record that vanishes later does not silence a key", () => {
  const keys = [
    key("r2611", "Active", "2026-11-23T11:00:00Z"),
    key("e2611", "Active", "2026-11-23T11:00:00Z"),
  ];

  expect(states({ entries: fresh, keys, inDns: [] })).toEqual(["r2611 Active", "e2611 Active"]);
});

test("the records carry the public halves, Ed25519 as its raw 32 bytes", () => {
  const records = expectedDomainRecords(world({ entries: fresh }));

  expect(records.map(({ name }) => name)).toEqual([
    "r2611._domainkey.example.com",
    "e2611._domainkey.example.com",
    "_dmarc.example.com",
  ]);
  expect(records[0]?.value).toMatch(/^v=DKIM1; k=rsa; p=MIIB[A-Za-z0-9+/]{388}$/);
  expect(records[1]?.value).toMatch(/^v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=$/);
});

const old = "2026-05-01T00:00:00Z";
const aged = [key("r2605", "Active", old), key("e2605", "Active", old)];
const agedEntries = { "r2605.pem": rsaPem, "e2605.pem": ed25519Pem };

test("a key as old as rotationDays gets a successor, and signs until that one was seen", () => {
  const needs = (now: number) => planDomain(world({ now, entries: agedEntries, keys: aged })).needs;
  const due = Date.parse(old) + 180 * DAY_MS;

  expect(needs(due - 1)).toEqual([]);
  expect(needs(due).map((need) => "selector" in need && need.selector)).toEqual(["r2610", "e2610"]);
  const both = { ...agedEntries, "r2611.pem": otherRsaPem };
  expect(states({ entries: both, keys: aged, inDns: ["r2605", "e2605"] })).toEqual([
    "r2605 Active",
    "e2605 Active",
    "r2611 Publishing",
  ]);
});

test("when the successor was seen the old key retires, for the queue's life and a week, at least 14 days", () => {
  const keys = planKeys(
    world({ entries: { ...agedEntries, "r2611.pem": otherRsaPem }, keys: aged, inDns: ["r2611"] }),
  ).keys;

  expect(keys).toEqual([
    {
      ...aged[0],
      state: "Retiring",
      retiredAt: "2026-11-23T12:00:00Z",
      removeAfter: "2026-12-07T12:00:00Z",
    },
    aged[1],
    key("r2611", "Active", "2026-11-23T12:00:00Z", { activatedAt: "2026-11-23T12:00:00Z" }),
  ]);
});

test("a retired key leaves the Secret and the records when its time is over", () => {
  const keys = [
    key("r2605", "Retiring", old, { retiredAt: "2026-11-01T00:00:00Z", removeAfter: "2026-11-15T00:00:00Z" }),
    key("r2611", "Active", "2026-11-01T00:00:00Z"),
    key("e2611", "Active", "2026-11-01T00:00:00Z"),
  ];
  const given = world({
    entries: { "r2605.pem": rsaPem, "r2611.pem": otherRsaPem, "e2611.pem": ed25519Pem },
    keys,
  });
  const [secret] = planDomain(given).objects;

  expect(Object.keys(secret?.["data"] ?? {})).toEqual(["r2611.pem", "e2611.pem"]);
  expect(expectedDomainRecords(given).some(({ name }) => name.startsWith("r2605."))).toBe(false);
});

test("a selector is never used twice", () => {
  const keys = [key("r2611", "Retiring", "2026-11-02T00:00:00Z", { removeAfter: "2027-01-01T00:00:00Z" })];
  const { needs } = planDomain(world({ entries: { "r2611.pem": rsaPem, "r2611a.pem": "junk" }, keys }));

  expect(needs.map((need) => "selector" in need && need.selector)).toEqual(["r2611b", "e2611"]);
});

test("a lost status is rebuilt from the Secret and its annotations", () => {
  const annotations = { "smtprelay.dev/created-r2605": old, "smtprelay.dev/created-e2605": old };
  const rebuilt = planKeys(world({ entries: agedEntries, annotations, inDns: ["r2605", "e2605"] }));

  expect(rebuilt.keys.map(({ selector, state, createdAt }) => [selector, state, createdAt])).toEqual([
    ["r2605", "Active", old],
    ["e2605", "Active", old],
  ]);
});

test("a lost private key is remembered as retired, and a new one is made under another name", () => {
  const keys = [
    key("r2611", "Active", "2026-11-02T00:00:00Z"),
    key("e2611", "Active", "2026-11-02T00:00:00Z"),
  ];
  const plan = planKeys(world({ entries: { "e2611.pem": ed25519Pem }, keys }));

  expect(plan.keys.map(({ selector, state }) => `${selector} ${state}`)).toEqual([
    "r2611 Retiring",
    "e2611 Active",
  ]);
  expect(plan.toMake).toEqual([{ selector: "r2611a", algorithm: "rsa-sha256" }]);
});

test("what is no key is named and kept", () => {
  const plan = planDomain(world({ entries: { ...fresh, "own.pem": "not a key", "note.txt": "hello" } }));

  expect(plan.problems).toEqual([
    {
      severity: "Degraded",
      reason: "SecretInvalid",
      message:
        "Secret example-com-dkim: own.pem is no RSA (2048 bits or more) or Ed25519 private key in PEM.",
    },
  ]);
  expect(Object.keys(plan.objects[0]?.["data"] ?? {})).toEqual(["r2611.pem", "e2611.pem", "own.pem"]);
});

test("keys outlive the domain object unless they shall go with it", () => {
  const given = world({ entries: fresh });
  const owners = (policy: "Retain" | "Delete") =>
    planDomain({ ...given, domain: aDomain({ spec: { dkim: { deletionPolicy: policy } } }) }).objects[0]
      ?.metadata.ownerReferences;

  expect(owners("Retain")).toBeUndefined();
  expect(owners("Delete")).toEqual([expect.objectContaining({ kind: "SendingDomain", name: "example-com" })]);
});

test("the younger of two domains gets no keys and is told whose it is", () => {
  const older = aDomain({ metadata: { namespace: "shop", creationTimestamp: "2026-01-01T00:00:00Z" } });
  const given = world({});
  const plan = planDomain({ ...given, allDomains: [given.domain, older] });

  expect(plan).toEqual({
    objects: [],
    deletes: [],
    needs: [],
    problems: [
      {
        severity: "Blocking",
        reason: "DomainClaimed",
        message:
          "example.com belongs to SendingDomain shop/example-com, which is older; delete one of the two.",
      },
    ],
  });
  expect(planDomain({ ...given, domain: older, allDomains: [given.domain, older] }).problems).toEqual([]);
});
