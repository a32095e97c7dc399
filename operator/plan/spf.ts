/**
 * SPF (RFC 7208): the record that authorises the pool's addresses, and whether the one in DNS does.
 *
 * What is seen passes when it names every address itself, by ip4 or ip6, before anything refuses it.
 * `include:`, `a`, `mx` and the like are not followed and so do not count: a domain that already sends
 * through someone else has such a record, and taking it on trust would hide the very mistake this check
 * exists for. Naming the addresses is always possible and costs receivers no lookup.
 */
import type { Verdict } from "./dnsVerdict.ts";
import { collapse, contains, type Network, networkText, parseAddress, parseNetwork } from "./ipAddresses.ts";

/** The record to publish; null when there is no address to authorise. */
export function spfRecord(addresses: readonly string[], policy: "SoftFail" | "Fail"): string | null {
  const networks = collapse(addresses.flatMap((text) => parseAddress(text) ?? []));
  if (networks.length === 0) return null;
  const terms = networks.map((one) => `ip${one.family}:${networkText(one)}`);
  return ["v=spf1", ...terms, policy === "Fail" ? "-all" : "~all"].join(" ");
}

/** Values that are SPF records: RFC 7208 §4.5, the version is followed by a space or the end. */
export function spfValues(values: readonly string[]): readonly string[] {
  return values.filter((value) => /^v=spf1( |$)/i.test(value));
}

/** `addresses` are what the pool sends from; `values` all TXT values at the domain. */
export function judgeSpf(addresses: readonly string[], values: readonly string[]): Verdict {
  const records = spfValues(values);
  const [record, ...others] = records;
  if (record === undefined) return { state: "Missing" };
  // RFC 7208 §4.5: more than one record is a permanent error, and nothing is authorised.
  if (others.length > 0) {
    return {
      state: "Different",
      detail: `${records.length} SPF records are an error (RFC 7208 §4.5): merge them into one`,
    };
  }
  const terms = parseTerms(record);
  if (typeof terms === "string") return { state: "Different", detail: terms };
  const all = terms.find((term) => term.kind === "all");
  if (all?.qualifier === "+") return { state: "Different", detail: "+all lets everyone send as this domain" };
  const missing = addresses.filter((address) => !authorises(terms, address));
  if (missing.length === 0) return { state: "Verified" };
  const unfollowed = terms.flatMap((term) => (term.kind === "other" ? [term.text] : []));
  const hint = unfollowed.length === 0 ? "" : `; ${unfollowed.slice(0, 3).join(" ")} is not followed`;
  return {
    state: "Different",
    detail: `does not authorise ${missing.slice(0, 4).join(", ")}${hint}`.slice(0, 512),
  };
}

type Qualifier = "+" | "-" | "~" | "?";
type Term =
  | { readonly kind: "network"; readonly qualifier: Qualifier; readonly network: Network }
  | { readonly kind: "all"; readonly qualifier: Qualifier }
  /** Needs more questions to DNS. */
  | { readonly kind: "other"; readonly text: string };

function authorises(terms: readonly Term[], address: string): boolean {
  const host = parseAddress(address);
  if (host === null) return false;
  for (const term of terms) {
    if (term.kind === "all") return false;
    if (term.kind === "network" && contains(term.network, host)) return term.qualifier === "+";
  }
  return false;
}

/** The terms in order, or what is wrong with them. */
function parseTerms(record: string): readonly Term[] | string {
  const terms: Term[] = [];
  for (const text of record.split(/ +/).slice(1)) {
    if (text === "") continue;
    const match = /^([-+~?]?)([A-Za-z][A-Za-z0-9_.-]*)([:/=].*)?$/.exec(text);
    if (match === null) return `${JSON.stringify(text.slice(0, 60))} is no SPF term`;
    const [, sign = "", rawName = "", rest = ""] = match;
    const qualifier = (sign === "" ? "+" : sign) as Qualifier;
    const name = rawName.toLowerCase();
    if (rest.startsWith("=")) {
      // A modifier; only redirect could authorise anyone.
      if (name === "redirect") terms.push({ kind: "other", text });
    } else if (name === "all") {
      if (rest !== "") return `${JSON.stringify(text.slice(0, 60))} is no SPF term`;
      terms.push({ kind: "all", qualifier });
    } else if (name === "ip4" || name === "ip6") {
      const network = parseNetwork(rest.slice(1));
      if (!rest.startsWith(":") || network?.family !== (name === "ip4" ? 4 : 6)) {
        return `${JSON.stringify(text.slice(0, 60))} names no network`;
      }
      terms.push({ kind: "network", qualifier, network });
    } else if (["include", "a", "mx", "ptr", "exists"].includes(name)) terms.push({ kind: "other", text });
    else return `${JSON.stringify(text.slice(0, 60))} is no SPF mechanism`;
  }
  return terms;
}
