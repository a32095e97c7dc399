/** Records of a reply as values that can be compared: text joined, names and addresses in one form. Pure. */
import type { Answer } from "dns-packet";
import ipaddr from "ipaddr.js";

import type { ExpectedRecord } from "../../world.ts";

export type ProbedType = ExpectedRecord["type"];

/** More values than this at one name, or longer ones, are not looked at: nobody publishes them in earnest. */
const MOST_VALUES = 64;
const LONGEST_VALUE = 4096;
const LONGEST_CHAIN = 8;

export type Found =
  | { readonly kind: "values"; readonly values: readonly string[] }
  | { readonly kind: "none" }
  /** The name is an alias that leads out of this reply. */
  | { readonly kind: "alias"; readonly target: string };

/** What the answers say about a name, aliases (CNAME) followed as far as they go. */
export function findRecords(answers: readonly Answer[], name: string, type: ProbedType): Found {
  let at = canonicalName(name);
  let hops = 0;
  for (;;) {
    const here = answers.filter((answer) => canonicalName(answer.name) === at);
    const values = here.flatMap((answer) => valueOf(answer, type)).slice(0, MOST_VALUES);
    if (values.length > 0) return { kind: "values", values: [...new Set(values)].toSorted() };
    const alias = here.find((answer) => answer.type === "CNAME");
    if (alias?.type !== "CNAME" || hops >= LONGEST_CHAIN) {
      return hops === 0 ? { kind: "none" } : { kind: "alias", target: at };
    }
    at = canonicalName(alias.data);
    hops += 1;
  }
}

/** Lower case, without the final dot. */
export function canonicalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

function valueOf(answer: Answer, type: ProbedType): string[] {
  if (answer.type !== type) return [];
  switch (answer.type) {
    case "TXT": {
      // RFC 7208 §3.3 and RFC 6376 §3.6.2.2: the strings of one record are joined without spaces.
      const parts = Array.isArray(answer.data) ? answer.data : [answer.data];
      const text = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
      return [text.toString("utf8").slice(0, LONGEST_VALUE)];
    }
    case "A":
    case "AAAA":
      return ipaddr.isValid(answer.data) ? [ipaddr.parse(answer.data).toString()] : [];
    case "PTR":
      return [canonicalName(answer.data)];
    default:
      return [];
  }
}
