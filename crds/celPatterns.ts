/**
 * Patterns and terms of the CEL rules. `isIP` and `isCIDR` of Kubernetes came with 1.30 and 1.31, so
 * addresses are told by patterns. They hold no backslash, because CEL would read it first.
 *
 * IPv6 is narrower here than in RFC 4291: lower case and no leading zeros (RFC 5952 §4), a first group of
 * four digits, no embedded IPv4. Every global, unique-local and link-local address has such a form; ::/8
 * with its IPv4-mapped networks, of which ::ffff:0:0/96 would be the whole of IPv4, has none.
 */

const octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const dotted = `${octet}([.]${octet}){3}`;

const group = "(0|[1-9a-f][0-9a-f]{0,3})";
const first = "[1-9a-f][0-9a-f]{3}";
const more = (count: string): string => `(:${group}){${count}}`;
const colons = [
  `${first}${more("7")}`,
  `${first}${more("0,6")}::`,
  ...[5, 4, 3, 2, 1, 0].map((before) => `${first}${more(`0,${before}`)}::${group}${more(`0,${5 - before}`)}`),
].join("|");

/** A single IPv4 address without leading zeros. */
export const ipv4 = `^${dotted}$`;
/** A single IPv6 address, or the loopback address. */
export const ipv6 = `^(${colons}|::1)$`;
/** From /8 to /32. */
export const ipv4Network = `^${dotted}/([89]|[12][0-9]|3[0-2])$`;
/** From /32 to /128. */
export const ipv6Network = `^((${colons})/(3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-8])|::1/128)$`;
/** 0.0.0.0/8, and from 224.0.0.0 up: multicast, reserved, broadcast; ff00::/8 is IPv6 multicast. */
export const notUnicast = "^(0|22[4-9]|23[0-9]|24[0-9]|25[0-5])[.]|^ff";

/** A key of labels and annotations: "mail", "example.com/mail". */
export const qualifiedName =
  "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/** A label's value; empty is one. */
export const labelValue = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";

/** CEL term: the port the relay's process opens for the listener `name`. */
export function lowPort(name: string): string {
  return `(${name}.port < 1024 ? ${name}.port + 1000 : ${name}.port)`;
}
