import { expect, test } from "vitest";

import { sendingDomainStatus } from "../../crds/sendingDomain.ts";
import {
  aDomain,
  anEnvironment,
  aPool,
  aRelay,
  aReport,
  aSecret,
  NOON,
} from "../../test/support/builders.ts";
import { ed25519Pem, otherRsaPem, rsaPem } from "../../test/support/dkimKeys.ts";
import { misplacedReasons } from "../../test/support/placements.ts";
import { expectedDomainRecords, planDomain } from "../plan/domain.ts";
import { type DnsAnswer, dnsQuestion, type DomainWorld } from "../world.ts";
import { domainStatus } from "./domainStatus.ts";
import { domainNextLook } from "./nextLook.ts";

const keySecret = aSecret("example-com-dkim", { "r2611.pem": rsaPem, "e2611.pem": ed25519Pem });

function world(
  overrides: Partial<DomainWorld> = {},
  dns: Readonly<Record<string, DnsAnswer>> | null = {},
): DomainWorld {
  const base = {
    now: NOON,
    environment: anEnvironment(),
    domain: aDomain(),
    allDomains: [],
    relay: aRelay(),
    pools: [aPool()],
    keySecret,
    answers: [],
    ...overrides,
  };
  const answers = new Map(
    expectedDomainRecords(base).map((record): [string, DnsAnswer] => [
      dnsQuestion(record),
      dns?.[record.purpose] ?? { kind: "records", values: [record.value] },
    ]),
  );
  return { ...base, dns: dns === null ? null : answers };
}

function look(of: DomainWorld) {
  const status = sendingDomainStatus.parse(domainStatus(of, planDomain(of)));
  if (misplacedReasons("SendingDomain", status.conditions).length > 0)
    throw new Error(String(misplacedReasons("SendingDomain", status.conditions)));
  const said = (type: string) => {
    const found = status.conditions?.find((condition) => condition.type === type);
    return `${found?.status} ${found?.reason}: ${found?.message}`;
  };
  return { status, said, next: domainNextLook(of, planDomain(of), status) };
}

/** The world of the next pass: what was written is read. */
const then = (of: DomainWorld, overrides: Partial<DomainWorld> = {}) => {
  const { status } = look(of);
  return { ...of, domain: { ...of.domain, status }, ...overrides };
};

test("with every record seen the domain is taken and signed, and looked at again in ten minutes", () => {
  const { said, status, next } = look(world());

  expect(said("Ready")).toBe("True Verified: Mail is taken and signed by r2611, e2611.");
  expect(said("DnsVerified")).toBe("True RecordsVerified: 4 of 4 records verified.");
  expect(status).toMatchObject({ selectors: "r2611,e2611", dns: "Verified", nextRotation: "2027-05-22" });
  expect(next).toEqual({ kind: "again", afterSeconds: 600 });
});

test("looking twice writes the same", () => {
  const first = look(world()).status;

  expect(look(then(world(), { now: NOON + 600_000 })).status).toEqual(first);
});

test("a missing key record holds the domain and says which", () => {
  const { said, status, next } = look(world({}, { DkimRsa: { kind: "none" } }));

  expect(said("Ready")).toBe(
    "False RecordsMissing: Mail is answered 451: its DKIM record r2611._domainkey.example.com was not seen in DNS yet.",
  );
  expect(said("DnsVerified")).toBe(
    "False RecordsMissing: 3 of 4 records verified; TXT r2611._domainkey.example.com: missing.",
  );
  expect(said("Reconciling")).toContain("True RecordsMissing");
  expect(status.dns).toBe("Incomplete");
  expect(next).toEqual({ kind: "again", afterSeconds: 5 });
});

test("the longer a record is missing, the rarer it is asked for", () => {
  const first = world({}, { DkimRsa: { kind: "none" } });
  const after = (minutes: number) => look(then(first, { now: NOON + minutes * 60_000 })).next;

  expect([1, 10, 60, 600].map(after)).toEqual([
    { kind: "again", afterSeconds: 5 },
    { kind: "again", afterSeconds: 30 },
    { kind: "again", afterSeconds: 180 },
    { kind: "again", afterSeconds: 300 },
  ]);
});

test("a wrong SPF record is shown, and does not stop mail that is signed", () => {
  const { said, status } = look(world({}, { Spf: { kind: "records", values: ["v=spf1 mx -all"] } }));

  expect(said("Ready")).toBe(
    "True RecordsDiffer: Mail is taken and signed by r2611, e2611. 3 of 4 records verified; TXT example.com: does not authorise 192.0.2.10, 192.0.2.11; mx is not followed.",
  );
  expect(status.records?.find(({ purpose }) => purpose === "Spf")).toMatchObject({
    expected: "v=spf1 ip4:192.0.2.10/31 ~all",
    seen: ["v=spf1 mx -all"],
    state: "Different",
  });
});

test("name servers that fail take nothing back", () => {
  const failed: DnsAnswer = { kind: "failed", reason: "SERVFAIL from 192.0.2.53" };
  const silent = world({}, { DkimRsa: failed, DkimEd25519: failed, Spf: failed, Dmarc: failed });
  const { said, status } = look({ ...silent, domain: then(world()).domain });

  expect(said("Ready")).toContain("True DnsUnreachable: Mail is taken and signed by r2611, e2611.");
  expect(said("DnsVerified")).toContain("Unknown DnsUnreachable: 0 of 4 records verified; TXT r2611");
  expect(status.dkim?.keys.map(({ state }) => state)).toEqual(["Active", "Active"]);
});

test("before DNS was asked nobody knows", () => {
  const { said, status } = look(world({}, null));

  expect(said("Ready")).toContain("Unknown RecordsUnchecked");
  expect(status.dns).toBe("Unchecked");
  expect(status.checkedAt).toBeUndefined();
});

test("keys being made, a missing relay and a claimed domain are told apart", () => {
  expect(look(world({ keySecret: null })).said("Ready")).toBe(
    "False KeysPending: Mail is answered 451: its DKIM keys are not made yet.",
  );
  const alone = look(world({ relay: null, pools: [] }));
  expect(alone.said("Ready")).toBe("False RelayMissing: SmtpRelay default/mail does not exist.");
  expect(alone.said("Stalled")).toContain("True RelayMissing");
  expect(alone.next.kind).toBe("waiting");
  const older = aDomain({ metadata: { name: "first", creationTimestamp: "2025-01-01T00:00:00Z" } });
  const claimed = look(world({ allDomains: [older] }));
  expect(claimed.said("Stalled")).toBe(
    "True DomainClaimed: example.com belongs to SendingDomain default/first, which is older; delete one of the two.",
  );
  expect(claimed.next).toEqual({ kind: "stalled", reason: "DomainClaimed" });
});

test("a pod that has loaded no key of the domain is waited for", () => {
  const has = {
    kind: "report",
    report: aReport({ pod: "mail-0", loadedKeys: ["example.com/r2611"] }),
  } as const;
  const lacks = {
    kind: "report",
    report: aReport({ pod: "mail-1", loadedKeys: ["other.example/r2611"] }),
  } as const;

  expect(look(world({ answers: [has, lacks] })).said("Ready")).toBe(
    "False KeysPending: mail-1 has not loaded the keys yet.",
  );
  const lacksToo = {
    kind: "report",
    report: aReport({ pod: "mail-2", loadedKeys: ["other.example/r2611"] }),
  } as const;
  expect(look(world({ answers: [lacks, lacksToo] })).said("Ready")).toBe(
    "False KeysPending: mail-1, mail-2 have not loaded the keys yet.",
  );
  expect(look(world({ answers: [has] })).said("Ready")).toContain("True Verified");
});

test("a rotation is told, and Ready stays", () => {
  const old = { createdAt: "2026-05-01T00:00:00Z", state: "Active" as const };
  const domain = aDomain({
    status: {
      dkim: {
        secretName: "example-com-dkim",
        keys: [
          { selector: "r2605", algorithm: "rsa-sha256", ...old },
          { selector: "e2605", algorithm: "ed25519-sha256", ...old },
        ],
      },
    },
  });
  const entries = { "r2605.pem": rsaPem, "e2605.pem": ed25519Pem, "r2611.pem": otherRsaPem };
  const rotating = world({ domain, keySecret: aSecret("example-com-dkim", entries) });
  const records = new Map(rotating.dns);
  records.set("TXT r2611._domainkey.example.com", { kind: "none" });
  const { said } = look({ ...rotating, dns: records });

  expect(said("KeysIssued")).toBe(
    "True KeyRotation: r2611 must be seen in DNS before the present keys retire.",
  );
  expect(said("Ready")).toContain("True RecordsMissing: Mail is taken and signed by r2605, e2605.");
});
