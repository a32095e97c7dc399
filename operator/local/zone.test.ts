import { expect, test } from "vitest";

import { answerFromZones, textStrings, zonesFor, type ZoneRecord } from "./zone.ts";

const records: ZoneRecord[] = [
  { name: "example.test", type: "TXT", value: "v=spf1 ip4:127.0.0.11 ~all" },
  { name: "r2611._domainkey.example.test", type: "TXT", value: "v=DKIM1; k=rsa; p=AAAA" },
  { name: "A.mail.example.test", type: "A", value: "127.0.0.11" },
  { name: "www.example.test", type: "CNAME", value: "a.mail.example.test" },
  { name: "out.example.test", type: "CNAME", value: "elsewhere.invalid" },
  { name: "11.0.0.127.in-addr.arpa", type: "PTR", value: "a.mail.example.test" },
  { name: "inbox.test", type: "MX", value: "mx.inbox.test" },
];
const zones = zonesFor(["example.test"], records);

test.each([
  ["a.mail.example.test", "A", "records", "the name has it, whatever its case"],
  ["a.mail.example.test", "AAAA", "nodata", "the name exists without that type"],
  ["_domainkey.example.test", "TXT", "nodata", "something below it exists (RFC 8020)"],
  ["mail.example.test", "MX", "nodata", "an empty non-terminal exists"],
  ["nobody.example.test", "A", "nxdomain", "nothing there nor below"],
  ["example.test", "SOA", "soa", "the apex has one"],
  ["mail.example.test", "SOA", "nodata", "below the apex there is none"],
  ["example.test", "NS", "records", "the zone names its server"],
  ["inbox.test", "MX", "records", "records outside the wanted zones bring their own"],
  ["11.0.0.127.in-addr.arpa", "PTR", "records", "reverse names are published too"],
  ["gmail.com", "MX", "refused", "we are not its server, and must not say it does not exist"],
  ["notexample.test", "A", "refused", "a longer name is no subdomain"],
])("%s %s is answered %s: %s", (name, type, kind) => {
  expect(answerFromZones(zones, name, type).kind).toBe(kind);
});

test("a CNAME is followed inside the zones and given alone where it leads out of them", () => {
  expect(answerFromZones(zones, "www.example.test", "A")).toEqual({
    kind: "records",
    records: [records[3], records[2]],
  });
  expect(answerFromZones(zones, "out.example.test", "A")).toEqual({ kind: "records", records: [records[4]] });
});

test("a CNAME loop ends", () => {
  const loop = zonesFor(
    ["x.test"],
    [
      { name: "a.x.test", type: "CNAME", value: "b.x.test" },
      { name: "b.x.test", type: "CNAME", value: "a.x.test" },
    ],
  );
  expect(answerFromZones(loop, "a.x.test", "A").kind).toBe("records");
});

test("a TXT value is split at 255 bytes and joins to itself", () => {
  const value = "x".repeat(600);
  const strings = textStrings(value);

  expect(strings.map((part) => part.length)).toEqual([255, 255, 90]);
  expect(Buffer.concat(strings).toString()).toBe(value);
  expect(textStrings("").map((part) => part.length)).toEqual([0]);
});
