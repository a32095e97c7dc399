/** IP addresses as values: one text for one address, order, networks, and the reverse name in DNS. */
import ipaddr from "ipaddr.js";

export interface Network {
  /** 4 or 6. */
  readonly family: 4 | 6;
  readonly address: bigint;
  readonly prefix: number;
}

const bitsOf = { 4: 32, 6: 128 } as const;

/** An address as a host network (/32 or /128); null when the text is none. */
export function parseAddress(text: string): Network | null {
  // Not ipaddr.isValid: it takes "10.1" and octal octets, which are traps rather than addresses.
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return fromBytes(ipaddr.IPv4.parse(text).octets, 32);
  return ipaddr.IPv6.isValid(text) && !text.includes("%")
    ? fromBytes(ipaddr.IPv6.parse(text).toByteArray(), 128)
    : null;
}

/** "192.0.2.0/24" or a bare address; null when it is neither. */
export function parseNetwork(text: string): Network | null {
  const [addressText = "", prefixText, ...rest] = text.split("/");
  const host = parseAddress(addressText);
  if (host === null || rest.length > 0) return null;
  if (prefixText === undefined) return host;
  const prefix = /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : -1;
  if (prefix < 0 || prefix > bitsOf[host.family]) return null;
  return network(host.family, host.address, prefix);
}

function fromBytes(bytes: readonly number[], prefix: number): Network {
  return {
    family: bytes.length === 4 ? 4 : 6,
    address: bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n),
    prefix,
  };
}

function network(family: 4 | 6, address: bigint, prefix: number): Network {
  const host = BigInt(bitsOf[family] - prefix);
  return { family, address: (address >> host) << host, prefix };
}

export function contains(outer: Network, inner: Network): boolean {
  return (
    outer.family === inner.family &&
    outer.prefix <= inner.prefix &&
    network(outer.family, inner.address, outer.prefix).address === outer.address
  );
}

/** Sorted, without repeats, and with complete neighbours merged: two /32 halves become their /31. */
export function collapse(networks: readonly Network[]): readonly Network[] {
  const kept: Network[] = [];
  for (const one of networks.toSorted(compare)) {
    const last = kept.at(-1);
    if (last !== undefined && contains(last, one)) continue;
    kept.push(one);
    for (;;) {
      const [left, right] = kept.slice(-2);
      if (left === undefined || right === undefined || left.prefix !== right.prefix || left.prefix === 0)
        break;
      const parent = network(left.family, left.address, left.prefix - 1);
      if (left.family !== right.family || parent.address !== left.address || !contains(parent, right)) break;
      kept.splice(-2, 2, parent);
    }
  }
  return kept;
}

function compare(a: Network, b: Network): number {
  if (a.family !== b.family) return a.family - b.family;
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.prefix - b.prefix;
}

/** The network as text, host networks without their prefix; IPv6 as RFC 5952 writes it. */
export function networkText({ family, address, prefix }: Network): string {
  const bytes = Array.from({ length: bitsOf[family] / 8 }, (_, index) =>
    Number((address >> BigInt(bitsOf[family] - 8 * (index + 1))) & 0xffn),
  );
  const text = family === 4 ? new ipaddr.IPv4(bytes).toString() : new ipaddr.IPv6(bytes).toRFC5952String();
  return prefix === bitsOf[family] ? text : `${text}/${prefix}`;
}

/** One text for one address, so that texts can be compared; the text itself when it is no address. */
export function normalAddress(text: string): string {
  const parsed = parseAddress(text);
  return parsed === null ? text : networkText(parsed);
}

/** RFC 1035 §3.5 and RFC 3596 §2.5: "10.2.0.192.in-addr.arpa" or nibbles under ip6.arpa. */
export function reverseName(text: string): string {
  const parsed = parseAddress(text);
  if (parsed === null)
    throw new Error(`Cannot name the reverse of ${JSON.stringify(text)}: it is no IP address`);
  const { family, address } = parsed;
  if (family === 4) return `${networkText(parsed).split(".").toReversed().join(".")}.in-addr.arpa`;
  const nibbles = address.toString(16).padStart(32, "0");
  return `${nibbles.split("").toReversed().join(".")}.ip6.arpa`;
}
