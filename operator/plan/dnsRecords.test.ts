import { expect, test } from "vitest";

import { aDomain, aPool } from "../../test/support/builders.ts";
import type { DnsAnswer } from "../world.ts";
import { judgeDkim } from "./dkimRecord.ts";
import { judgeDmarc } from "./dmarc.ts";
import { domainRecords, poolRecords, recordStatus } from "./dnsRecords.ts";
import {
  collapse,
  networkText,
  normalAddress,
  parseAddress,
  parseNetwork,
  reverseName,
} from "./ipAddresses.ts";
import { judgeSpf, spfRecord } from "./spf.ts";

const addresses = ["192.0.2.10", "192.0.2.11", "2001:db8::a"];

test("the SPF record names the addresses, sorted, with complete neighbours merged", () => {
  expect(spfRecord(["192.0.2.20", "2001:db8::a", "192.0.2.11", "192.0.2.10"], "SoftFail")).toBe(
    "v=spf1 ip4:192.0.2.10/31 ip4:192.0.2.20 ip6:2001:db8::a ~all",
  );
  expect(spfRecord(["192.0.2.1"], "Fail")).toBe("v=spf1 ip4:192.0.2.1 -all");
  expect(spfRecord([], "Fail")).toBeNull();
});

test.each([
  {
    values: ["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"],
    verdict: "Verified",
    because: "networks cover them",
  },
  {
    values: ["other", "V=SPF1 ip4:192.0.2.10 ip4:192.0.2.11 ip6:2001:DB8:0::A ?all"],
    verdict: "Verified",
    because: "case and spelling do not matter",
  },
  {
    values: ["v=spf1 include:_spf.example.net ip4:192.0.2.8/29 ip6:2001:db8::a ~all"],
    verdict: "Verified",
    because: "named beside an include",
  },
  { values: [], verdict: "Missing", because: "nothing there" },
  { values: ["google-site-verification=1"], verdict: "Missing", because: "another TXT is none" },
  { values: ["v=spf10 +all"], verdict: "Missing", because: "the version ends with a space" },
  {
    values: ["v=spf1 include:_spf.example.net ~all"],
    verdict:
      "does not authorise 192.0.2.10, 192.0.2.11, 2001:db8::a; include:_spf.example.net is not followed",
    because: "an include is not taken on trust",
  },
  {
    values: ["v=spf1 ip4:192.0.2.10 ip6:2001:db8::a -all"],
    verdict: "does not authorise 192.0.2.11",
    because: "one is missing",
  },
  {
    values: ["v=spf1 -ip4:192.0.2.11 ip4:192.0.2.0/24 ip6:2001:db8::a -all"],
    verdict: "does not authorise 192.0.2.11",
    because: "the first match decides",
  },
  {
    values: ["v=spf1 ~all ip4:192.0.2.0/24 ip6:2001:db8::a"],
    verdict: "does not authorise 192.0.2.10, 192.0.2.11, 2001:db8::a",
    because: "nothing counts after all",
  },
  {
    values: ["v=spf1 +all"],
    verdict: "+all lets everyone send as this domain",
    because: "that is no protection",
  },
  {
    values: ["v=spf1 ip4:192.0.2.300 -all"],
    verdict: '"ip4:192.0.2.300" names no network',
    because: "a typo",
  },
  {
    values: ["v=spf1 ipv4:192.0.2.10 -all"],
    verdict: '"ipv4:192.0.2.10" is no SPF mechanism',
    because: "a common typo",
  },
  {
    values: ["v=spf1 ip4:192.0.2.0/24 -all", "v=spf1 ip6:2001:db8::a -all"],
    verdict: "2 SPF records are an error (RFC 7208 §4.5): merge them into one",
    because: "two records are a permanent error",
  },
])("SPF $values: $verdict ($because)", ({ values, verdict }) => {
  const judged = judgeSpf(addresses, values);

  expect("detail" in judged ? judged.detail : judged.state).toBe(verdict);
});

test.each([
  { policy: "None", values: ["v=DMARC1; p=none"], verdict: "Verified" },
  { policy: "None", values: ["v=DMARC1;p=reject;rua=mailto:x@example.com;"], verdict: "Verified" },
  { policy: "Quarantine", values: ["v=DMARC1; p=none"], verdict: "p=none is weaker than p=quarantine" },
  {
    policy: "Reject",
    values: ["v=DMARC1; p=reject; t=y"],
    verdict: "p=reject with t=y is weaker than p=reject",
  },
  { policy: "None", values: ["v=DMARC1; p=nonee"], verdict: "p=nonee is no policy" },
  {
    policy: "None",
    values: ["v=DMARC1; p=none", "v=DMARC1; p=none"],
    verdict: "2 DMARC records count as none: leave one",
  },
  { policy: "None", values: ["v=spf1 -all"], verdict: "Missing" },
  { policy: "None", values: ["v=DMARC1; p"], verdict: "not a list of tags such as v=DMARC1; p=none" },
] as const)("DMARC $values against $policy: $verdict", ({ policy, values, verdict }) => {
  const judged = judgeDmarc(policy, values);

  expect("detail" in judged ? judged.detail : judged.state).toBe(verdict);
});

test.each([
  { values: ["v=DKIM1; k=rsa; p=QUJDREVG"], verdict: "Verified" },
  { values: ["p=QUJD REVG"], verdict: "Verified" },
  { values: ["k=rsa;t=s; h=sha1:sha256; p=QUJDREVG;"], verdict: "Verified" },
  { values: [], verdict: "Missing" },
  { values: ["v=DKIM1; k=rsa; p=QUJD"], verdict: "p= ends after 4 of 8 characters" },
  { values: ["v=DKIM1; k=rsa; p=WFlaWFla"], verdict: "p= holds another key" },
  { values: ["v=DKIM1; k=ed25519; p=QUJDREVG"], verdict: "k=ed25519, but the key is rsa" },
  { values: ["v=DKIM1; k=rsa; p="], verdict: "p= is empty, which revokes the key" },
  { values: ["v=DKIM1; k=rsa; t=y; p=QUJDREVG"], verdict: "t=y declares the key to be a test; remove it" },
  { values: ["v=DKIM1; h=sha1; p=QUJDREVG"], verdict: "h=sha1 forbids sha256" },
  { values: ["a", "b"], verdict: "2 TXT records; there must be one" },
])("DKIM $values: $verdict", ({ values, verdict }) => {
  const judged = judgeDkim("v=DKIM1; k=rsa; p=QUJDREVG", values);

  expect("detail" in judged && judged.detail !== undefined ? judged.detail : judged.state).toBe(verdict);
});

test("a pool needs each address's forward and reverse record", () => {
  const pool = aPool({
    spec: {
      addresses: [
        { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com" },
        { name: "six", ip: "2001:DB8::A", ehloName: "six.mail.example.com" },
      ],
    },
  });

  expect(poolRecords(pool).map(({ type, name, value }) => `${type} ${name} ${value}`)).toEqual([
    "A a.mail.example.com 192.0.2.10",
    "PTR 10.2.0.192.in-addr.arpa a.mail.example.com",
    "AAAA six.mail.example.com 2001:db8::a",
    "PTR a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa six.mail.example.com",
  ]);
});

const record = {
  name: "10.2.0.192.in-addr.arpa",
  type: "PTR",
  purpose: "Reverse",
  value: "a.mail.example.com",
} as const;
const status = (answer: DnsAnswer | undefined) => recordStatus(record, answer, [], { addresses: [] });

test("names are compared without case and final dot, and what is seen keeps one order", () => {
  expect(status({ kind: "records", values: ["z.example.net.", "A.Mail.Example.com."] })).toMatchObject({
    state: "Verified",
    seen: ["A.Mail.Example.com.", "z.example.net."],
  });
});

test("what is wrong stands beside what was expected", () => {
  expect(status({ kind: "records", values: ["host.isp.example"] })).toEqual({
    name: "10.2.0.192.in-addr.arpa",
    type: "PTR",
    purpose: "Reverse",
    expected: "a.mail.example.com",
    seen: ["host.isp.example"],
    state: "Different",
    detail: "host.isp.example instead of a.mail.example.com",
  });
  expect(status({ kind: "none" })).toMatchObject({ state: "Missing", seen: [] });
  expect(status({ kind: "failed", reason: "SERVFAIL" })).toMatchObject({
    state: "Unreachable",
    detail: "SERVFAIL",
  });
  expect(status(undefined)).toMatchObject({ state: "Unchecked" });
});

test("a record not asked for again stands as it was, unless another value is expected now", () => {
  const before = status({ kind: "records", values: ["a.mail.example.com"] });

  expect(recordStatus(record, undefined, [before], { addresses: [] })).toEqual(before);
  expect(recordStatus({ ...record, value: "b.example" }, undefined, [before], { addresses: [] }).state).toBe(
    "Unchecked",
  );
});

test("a domain without addresses to authorise needs no SPF record", () => {
  const domain = aDomain({ spec: { dmarc: { policy: "Reject", reportAddress: "dmarc@example.com" } } });

  expect(domainRecords(domain, [], []).map(({ purpose, value }) => `${purpose} ${value}`)).toEqual([
    "Dmarc v=DMARC1; p=reject; rua=mailto:dmarc@example.com",
  ]);
});

test("addresses have one text, and odd spellings are none", () => {
  expect(["192.0.2.1", "2001:DB8:0:0::1", "::ffff:192.0.2.1"].map(normalAddress)).toEqual([
    "192.0.2.1",
    "2001:db8::1",
    "::ffff:c000:201",
  ]);
  expect(["10.1", "010.0.0.1", "1.2.3.4.5", "fe80::1%eth0", "", "example.com"].map(parseAddress)).toEqual(
    Array.from({ length: 6 }, () => null),
  );
  expect(() => reverseName("10.1")).toThrow('Cannot name the reverse of "10.1": it is no IP address');
});

test("networks merge only with their other half", () => {
  const texts = (list: string[]) =>
    collapse(list.flatMap((text) => parseNetwork(text) ?? [])).map(networkText);

  expect(texts(["192.0.2.1", "192.0.2.2"])).toEqual(["192.0.2.1", "192.0.2.2"]);
  expect(texts(["192.0.2.3", "192.0.2.1", "192.0.2.0", "192.0.2.2"])).toEqual(["192.0.2.0/30"]);
  expect(texts(["192.0.2.0/24", "192.0.2.7"])).toEqual(["192.0.2.0/24"]);
});
