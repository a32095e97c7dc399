/**
 * What a mailbox may look like in an envelope (RFC 5321 §4.1.2, with the UTF-8 of RFC 6531 §3.3), and how
 * we keep it: local part untouched, domain in lower case and A-label form. Pure.
 *
 * Nothing in a local part has a meaning to us: "a%b" and "a!b" are names at the domain behind the "@", so
 * that no old routing trick turns us into a relay. Source routes are refused rather than ignored
 * (RFC 5321 appendix C allows either), because a filter and we might read them differently.
 */
import { isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";

export interface Mailbox {
  /** Local part, "@" and domain. */
  readonly address: string;
  readonly localPart: string;
  /** Lower case A-label form, or an address literal in its brackets. */
  readonly domain: string;
  readonly isLiteral: boolean;
  /** Whether the local part needs SMTPUTF8 on the way (RFC 6531). A domain never does: it has A-labels. */
  readonly isUtf8: boolean;
}

export type ParsedMailbox =
  | { readonly ok: true; readonly mailbox: Mailbox }
  /** `reason` ends the sentence "this address …". */
  | { readonly ok: false; readonly reason: string };

/** RFC 5321 §4.5.3.1.3: a path has 256 octets with its angle brackets. */
const LONGEST_ADDRESS_BYTES = 254;
/** RFC 5321 §4.5.3.1.1. */
const LONGEST_LOCAL_PART_BYTES = 64;
/** RFC 1035 §2.3.4 as text: 255 octets on the wire are 253 characters. */
const LONGEST_DOMAIN = 253;

/** RFC 5321 §4.1.2 atext, and whatever is beyond US-ASCII but invisible or a control. */
const atom = /^(?:[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]|[^\p{ASCII}\p{C}\p{Z}])+$/u;
const quotedString = /^"(?:\\[ -~]|[ !#-[\]-~]|[^\p{ASCII}\p{C}\p{Zl}\p{Zp}])*"$/u;
const domainName = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** Reads what stands between the angle brackets of a path; the empty path is the caller's affair. */
export function parseMailbox(text: string): ParsedMailbox {
  if (Buffer.byteLength(text) > LONGEST_ADDRESS_BYTES) {
    return refused(`is longer than ${LONGEST_ADDRESS_BYTES} bytes`);
  }
  if (text.startsWith("@")) return refused("has a source route");
  // A quoted local part may hold an "@"; a domain never does.
  const separator = text.lastIndexOf("@");
  if (separator === -1) return refused("has no domain");
  const localPart = text.slice(0, separator);
  if (!isLocalPart(localPart)) return refused("has a malformed local part");
  const written = text.slice(separator + 1);
  if (written === "") return refused("has no domain");
  const domain = written.startsWith("[") ? readLiteral(written) : readDomain(written);
  if (domain === undefined) return refused("has a malformed domain");
  const address = `${localPart}@${domain}`;
  if (Buffer.byteLength(address) > LONGEST_ADDRESS_BYTES) {
    return refused(`is longer than ${LONGEST_ADDRESS_BYTES} bytes`);
  }
  return {
    ok: true,
    mailbox: {
      address,
      localPart,
      domain,
      isLiteral: written.startsWith("["),
      isUtf8: /\P{ASCII}/u.test(localPart),
    },
  };
}

/** A domain name in lower case A-label form; undefined when it is none. */
export function readDomain(text: string): string | undefined {
  let domain = text.toLowerCase();
  if (/\P{ASCII}/u.test(domain)) {
    // domainToASCII reads URLs: what is no letter, digit, hyphen or dot must not reach it (it decodes "%").
    if (/[^a-z0-9.\-\P{ASCII}]/u.test(domain)) return undefined;
    domain = domainToASCII(domain);
  }
  if (domain.length === 0 || domain.length > LONGEST_DOMAIN) return undefined;
  if (!domainName.test(domain)) return undefined;
  // A name that ends in digits is an IPv4 address without its brackets, in some notation or other.
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(domain.slice(domain.lastIndexOf(".") + 1))) return undefined;
  return domain;
}

function isLocalPart(text: string): boolean {
  if (Buffer.byteLength(text) > LONGEST_LOCAL_PART_BYTES) return false;
  if (text.startsWith('"')) return quotedString.test(text);
  return text.split(".").every((entry) => atom.test(entry));
}

/** RFC 5321 §4.1.3; general address literals have no registered tag, so there are none. */
function readLiteral(text: string): string | undefined {
  const inside = /^\[([^\]]+)\]$/.exec(text)?.[1];
  if (inside === undefined) return undefined;
  if (isIPv4(inside)) return `[${inside}]`;
  const address = /^ipv6:(.+)$/i.exec(inside)?.[1];
  if (address === undefined || !isIPv6(address) || address.includes("%")) return undefined;
  return `[IPv6:${address.toLowerCase()}]`;
}

function refused(reason: string): ParsedMailbox {
  return { ok: false, reason };
}
