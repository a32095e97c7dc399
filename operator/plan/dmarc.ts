/**
 * DMARC (RFC 9989): the record to publish, and whether the one in DNS is valid and at least as strict.
 * A policy is never raised for the owner; a stricter one of their own is fine.
 */
import type { SendingDomainSpec } from "../../crds/sendingDomain.ts";
import type { Verdict } from "./dnsVerdict.ts";
import { parseTagList } from "./tagList.ts";

type Policy = SendingDomainSpec["dmarc"]["policy"];

const strictness: Readonly<Record<string, number>> = { none: 0, quarantine: 1, reject: 2 };

export function dmarcRecordName(domain: string): string {
  return `_dmarc.${domain}`;
}

/** v and p first, in this order: older parsers insist on it. */
export function dmarcRecord({ policy, reportAddress }: SendingDomainSpec["dmarc"]): string {
  const tags = ["v=DMARC1", `p=${policy.toLowerCase()}`];
  if (reportAddress !== undefined) tags.push(`rua=mailto:${reportAddress}`);
  return tags.join("; ");
}

export function dmarcValues(values: readonly string[]): readonly string[] {
  return values.filter((value) => /^v\s*=\s*DMARC1\s*(;|$)/.test(value));
}

export function judgeDmarc(policy: Policy, values: readonly string[]): Verdict {
  const records = dmarcValues(values);
  const [record, ...others] = records;
  if (record === undefined) return { state: "Missing" };
  if (others.length > 0) {
    return { state: "Different", detail: `${records.length} DMARC records count as none: leave one` };
  }
  const tags = parseTagList(record);
  if (tags === null) return { state: "Different", detail: "not a list of tags such as v=DMARC1; p=none" };
  const seen = tags.get("p")?.toLowerCase() ?? "none";
  const rank = strictness[seen];
  if (rank === undefined) return { state: "Different", detail: `p=${seen.slice(0, 60)} is no policy` };
  // RFC 9989: t=y asks receivers to apply the next weaker policy.
  const effective = tags.get("t")?.toLowerCase() === "y" ? Math.max(0, rank - 1) : rank;
  const wanted = strictness[policy.toLowerCase()] ?? 0;
  return effective >= wanted
    ? { state: "Verified" }
    : {
        state: "Different",
        detail: `p=${seen}${effective === rank ? "" : " with t=y"} is weaker than p=${policy.toLowerCase()}`,
      };
}
