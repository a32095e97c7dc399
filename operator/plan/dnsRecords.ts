/**
 * The records a domain or a pool needs in DNS, and the comparison of each with what DNS says.
 *
 * Values are compared by meaning, not by text: DKIM tags, the addresses SPF authorises, the strength of
 * DMARC, addresses and names in any spelling. A server that fails to answer proves nothing either way.
 */
import type { IpPool, SendingDomain } from "../../crds/kinds.ts";
import type { DnsRecordStatus } from "../../crds/sendingDomain.ts";
import { dnsQuestion, type DnsAnswer, type ExpectedRecord } from "../world.ts";
import type { PublishedKey } from "./dkimKeys.ts";
import { dkimRecordName, dkimRecordValue, judgeDkim } from "./dkimRecord.ts";
import { dmarcRecord, dmarcRecordName, dmarcValues, judgeDmarc } from "./dmarc.ts";
import type { Verdict } from "./dnsVerdict.ts";
import { normalAddress, parseAddress, reverseName } from "./ipAddresses.ts";
import { judgeSpf, spfRecord, spfValues } from "./spf.ts";

export type RecordState = DnsRecordStatus["state"];

const MOST_SEEN = 16;
const LONGEST_VALUE = 1024;
const LONGEST_DETAIL = 512;

/** Addresses the pools of a relay send from, each once. */
export function poolAddresses(pools: readonly IpPool[]): readonly string[] {
  return [...new Set(pools.flatMap((pool) => pool.spec.addresses.map(({ ip }) => normalAddress(ip))))];
}

export function domainRecords(
  domain: SendingDomain,
  keys: readonly PublishedKey[],
  pools: readonly IpPool[],
): readonly ExpectedRecord[] {
  const { domain: name, spf, dmarc } = domain.spec;
  const records: ExpectedRecord[] = keys.map((key) => ({
    name: dkimRecordName(key.selector, name),
    type: "TXT",
    purpose: key.algorithm === "rsa-sha256" ? "DkimRsa" : "DkimEd25519",
    value: dkimRecordValue(key.publicKey, key.algorithm),
  }));
  const spfValue = spfRecord(poolAddresses(pools), spf.policy);
  if (spfValue !== null) records.push({ name, type: "TXT", purpose: "Spf", value: spfValue });
  records.push({ name: dmarcRecordName(name), type: "TXT", purpose: "Dmarc", value: dmarcRecord(dmarc) });
  return records;
}

/** RFC 8601 §3 (iprev): the EHLO name gives the address, and the address gives the name. */
export function poolRecords(pool: IpPool): readonly ExpectedRecord[] {
  return pool.spec.addresses.flatMap(({ ip, ehloName }): ExpectedRecord[] => [
    {
      name: ehloName,
      type: parseAddress(ip)?.family === 6 ? "AAAA" : "A",
      purpose: "Forward",
      value: normalAddress(ip),
    },
    { name: reverseName(ip), type: "PTR", purpose: "Reverse", value: ehloName },
  ]);
}

/**
 * The status of one record. `answer` undefined: DNS was not asked this time, and what `previous` said of the
 * same expectation stands.
 */
export function recordStatus(
  expected: ExpectedRecord,
  answer: DnsAnswer | undefined,
  previous: readonly DnsRecordStatus[],
  context: { readonly addresses: readonly string[]; readonly domain?: SendingDomain },
): DnsRecordStatus {
  const base = {
    name: expected.name,
    type: expected.type,
    purpose: expected.purpose,
    expected: expected.value.slice(0, LONGEST_VALUE),
  };
  if (answer === undefined) {
    const before = previous.find(
      (one) =>
        dnsQuestion(one) === dnsQuestion(base) &&
        one.purpose === base.purpose &&
        one.expected === base.expected,
    );
    return before ?? { ...base, seen: [], state: "Unchecked" };
  }
  if (answer.kind === "failed") {
    return { ...base, seen: [], state: "Unreachable", detail: answer.reason.slice(0, LONGEST_DETAIL) };
  }
  const values = answer.kind === "none" ? [] : answer.values;
  const verdict = judge(expected, values, context);
  return {
    ...base,
    // Servers rotate the order of records; status must not follow.
    seen: seenValues(expected, values)
      .map((value) => value.slice(0, LONGEST_VALUE))
      .toSorted()
      .slice(0, MOST_SEEN),
    state: verdict.state,
    ...("detail" in verdict && verdict.detail !== undefined
      ? { detail: verdict.detail.slice(0, LONGEST_DETAIL) }
      : {}),
  };
}

/** Whether the status speaks of just these records, and each was seen. */
export function allVerified(
  expected: readonly ExpectedRecord[],
  recorded: readonly Pick<DnsRecordStatus, "name" | "type" | "expected" | "state">[],
): boolean {
  return (
    expected.length === recorded.length &&
    expected.every((record, index) => {
      const known = recorded[index];
      return (
        known?.state === "Verified" &&
        known.name === record.name &&
        known.type === record.type &&
        known.expected === record.value.slice(0, LONGEST_VALUE)
      );
    })
  );
}

/** Of a name that serves many purposes only the values of this one: the others are none of our business. */
function seenValues(expected: ExpectedRecord, values: readonly string[]): readonly string[] {
  if (expected.purpose === "Spf") return spfValues(values);
  if (expected.purpose === "Dmarc") return dmarcValues(values);
  return values;
}

function judge(
  expected: ExpectedRecord,
  values: readonly string[],
  { addresses, domain }: { readonly addresses: readonly string[]; readonly domain?: SendingDomain },
): Verdict {
  switch (expected.purpose) {
    case "DkimRsa":
    case "DkimEd25519":
      return judgeDkim(expected.value, values);
    case "Spf":
      return judgeSpf(addresses, values);
    case "Dmarc":
      return judgeDmarc(domain?.spec.dmarc.policy ?? "None", values);
    default:
      return judgeValue(expected, values);
  }
}

function judgeValue(expected: ExpectedRecord, values: readonly string[]): Verdict {
  const normal = (value: string) =>
    expected.type === "PTR" ? value.toLowerCase().replace(/\.$/, "") : normalAddress(value);
  if (values.length === 0) return { state: "Missing" };
  return values.some((value) => normal(value) === normal(expected.value))
    ? { state: "Verified" }
    : { state: "Different", detail: `${values.slice(0, 3).join(", ")} instead of ${expected.value}` };
}
