/**
 * Which of a domain's mail hosts may be used, and what to say when none may. Pure: records and addresses
 * in, a Resolution out; resolveMx.ts asks the DNS.
 */
import { createHash } from "node:crypto";
import { BlockList, isIP } from "node:net";

import type { MxHost, Resolution } from "./delivery.ts";
import { type Answer, MX_TTL_SECONDS, type MxRecord } from "./dnsLookup.ts";

/** An answer with the time it holds. */
export interface Known {
  readonly resolution: Resolution;
  readonly ttlSeconds: number;
}

/** A network by its text, so that a refusal can name it. */
export interface Network {
  readonly cidr: string;
  readonly list: BlockList;
}

/** RFC 2308 caps negative answers by the SOA; c-ares does not show it, so one short time for all. */
export const NO_TTL_SECONDS = 60;
/** What could not be told is not asked again for every message of a burst. */
export const FAILED_TTL_SECONDS = 10;
const MOST_ADDRESSES = 8;
const LONGEST_SITE = 200;

/**
 * The hosts with an address that may be used, in the given order. `subject` names them in the reason when
 * there is none: "the MX hosts of example.com". `site` is theirs even when some have no address just now.
 */
export function usableHosts(
  found: readonly { readonly record: MxRecord; readonly answer: Answer<string> }[],
  about: { readonly subject: string; readonly site: string; readonly forbidden: readonly Network[] },
): Known {
  const hosts: MxHost[] = [];
  const problems: string[] = [];
  let unknown = false;
  let ttlSeconds = MX_TTL_SECONDS;
  for (const { record, answer } of found) {
    if (answer.kind === "records") {
      ttlSeconds = Math.min(ttlSeconds, answer.ttlSeconds);
      const addresses: string[] = [];
      for (const address of answer.records) {
        const network = about.forbidden.find(({ list }) => contains(list, address));
        if (network === undefined) addresses.push(address);
        else problems.push(`${record.exchange} has ${address}, in the forbidden network ${network.cidr}`);
      }
      if (addresses.length === 0) continue;
      hosts.push({
        name: record.exchange,
        preference: record.preference,
        addresses: addresses.slice(0, MOST_ADDRESSES),
      });
    } else if (answer.kind === "failed") {
      unknown = true;
      problems.push(`${record.exchange}: ${answer.reason}`);
    } else {
      problems.push(`${record.exchange} has neither A nor AAAA`);
    }
  }
  if (hosts.length > 0) {
    return {
      resolution: { kind: "hosts", site: about.site, hosts },
      ttlSeconds,
    };
  }
  const reason = `no usable address for ${about.subject}: ${problems.join("; ")}`;
  // One host that could not be looked up may be the one that works later.
  return unknown ? unroutable(false, "4.4.3", reason) : unroutable(true, "5.4.4", reason);
}

export function unroutable(permanent: boolean, enhanced: string, reason: string): Known {
  return {
    resolution: { kind: "unroutable", permanent, enhanced, reason: reason.slice(0, 1024) },
    ttlSeconds: permanent ? NO_TTL_SECONDS : FAILED_TTL_SECONDS,
  };
}

/**
 * The names, sorted and joined: all of them, so that a site keeps its name whichever hosts were looked up.
 * What is longer than 200 characters ends in a hash of the whole.
 */
export function siteKey(records: readonly MxRecord[]): string {
  const names = [...new Set(records.map((record) => record.exchange))].sort().join(",");
  if (names.length <= LONGEST_SITE) return names;
  const hash = createHash("sha256").update(names).digest("hex").slice(0, 16);
  return `${names.slice(0, LONGEST_SITE - hash.length - 2)}…#${hash}`;
}

/** Throws when the text is no network; the configuration's schema has seen to it. */
export function network(cidr: string): Network {
  const [address = "", prefix = ""] = cidr.split("/", 2);
  const list = new BlockList();
  list.addSubnet(address, Number(prefix), isIP(address) === 6 ? "ipv6" : "ipv4");
  return { cidr, list };
}

/** An IPv4 address dressed as IPv6 (::ffff:127.0.0.1) is found in the IPv4 network as well. */
function contains(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}
