/**
 * The operator's look at DNS, against servers it did not come with: NSD holds the zones, Unbound finds
 * their name servers. What NSD says is what the probe must see, per record type.
 */
import { afterAll, beforeAll, expect, test } from "vitest";

import { createDnsProbe } from "../../operator/adapters/dnsProbe.ts";
import { systemClock } from "../../relay/kit/clock.ts";
import { systemRandom } from "../../relay/kit/random.ts";
import { type NameServer, startNsd, startUnbound } from "../support/peers/dnsServers.ts";

let authority: NameServer;
let resolver: NameServer;

beforeAll(async () => {
  authority = await startNsd({
    "example.test": `$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
@ IN TXT "v=spf1 ip4:127.0.0.11 " "ip4:127.0.0.12 -all"
@ IN TXT "unrelated"
a.mail IN A 127.0.0.11
a.mail IN AAAA fd00::11
`,
    "0.0.127.in-addr.arpa": `$TTL 60
@ IN SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 60
@ IN NS ns.example.test.
11 IN PTR a.mail.example.test.
`,
  });
  resolver = await startUnbound(["example.test", "0.0.127.in-addr.arpa"], authority);
});

afterAll(async () => {
  await resolver?.[Symbol.asyncDispose]();
  await authority?.[Symbol.asyncDispose]();
});

test.each([
  ["TXT", "example.test", ["unrelated", "v=spf1 ip4:127.0.0.11 ip4:127.0.0.12 -all"]],
  ["A", "a.mail.example.test", ["127.0.0.11"]],
  ["AAAA", "a.mail.example.test", ["fd00::11"]],
  ["PTR", "11.0.0.127.in-addr.arpa", ["a.mail.example.test"]],
] as const)("%s %s is seen as the zone's own server says it", async (type, name, values) => {
  const answer = await probe().ask({ type, name });

  expect(answer.kind === "records" ? answer.values.toSorted() : answer).toEqual(values);
});

test("a name that is not there, and one without this type, are none: not a failure", async () => {
  expect(await probe().ask({ type: "TXT", name: "nowhere.example.test" })).toEqual({ kind: "none" });
  expect(await probe().ask({ type: "TXT", name: "a.mail.example.test" })).toEqual({ kind: "none" });
});

test("a zone nobody serves is a failure that says so, not an empty answer", async () => {
  const answer = await probe().ask({ type: "TXT", name: "example.invalid" });

  expect(answer.kind).not.toBe("records");
});

function probe() {
  return createDnsProbe({
    clock: systemClock,
    random: systemRandom,
    servers: [resolver.address],
    nameServerPort: () => authority.port,
  });
}
