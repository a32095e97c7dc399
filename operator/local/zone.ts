/**
 * What an authoritative name server answers, as a pure function of its records: the loopback zone in
 * which the quickstart publishes what the status of the manifests asks for, as ExternalDNS would.
 *
 * Names are compared without case (RFC 4343) and kept without the final dot. A name exists when it or
 * something below it has records (RFC 8020); outside the zones the server refuses, so that a real address
 * typed by mistake waits in the queue instead of bouncing.
 */

export type RecordType = "A" | "AAAA" | "TXT" | "MX" | "PTR" | "NS" | "CNAME";

export interface ZoneRecord {
  readonly name: string;
  readonly type: RecordType;
  /** Presentation value; TXT: the strings joined. */
  readonly value: string;
  /** Of MX; 10 unless told. */
  readonly preference?: number;
}

export interface Zones {
  /** Names at which zones start, for example "example.test". */
  readonly apexes: readonly string[];
  readonly records: readonly ZoneRecord[];
}

export type ZoneAnswer =
  | { readonly kind: "refused" }
  /** The name has records of the type; a CNAME is followed within the zones. */
  | { readonly kind: "records"; readonly records: readonly ZoneRecord[] }
  /** RFC 2308: NODATA when the name exists, NXDOMAIN when it does not; both carry the SOA of the zone. */
  | { readonly kind: "nodata" | "nxdomain"; readonly apex: string; readonly records: readonly ZoneRecord[] }
  | { readonly kind: "soa"; readonly apex: string };

const LONGEST_CNAME_CHAIN = 8;

export function answerFromZones(zones: Zones, name: string, type: string): ZoneAnswer {
  const followed: ZoneRecord[] = [];
  let wanted = canonicalName(name);
  for (let step = 0; step <= LONGEST_CNAME_CHAIN; step++) {
    const apex = apexOf(zones, wanted);
    if (apex === null)
      return followed.length === 0 ? { kind: "refused" } : { kind: "records", records: followed };
    if (type === "SOA" && wanted === apex) return { kind: "soa", apex };
    const here = [...zones.records, ...ownRecords(apex)].filter(
      (record) => canonicalName(record.name) === wanted,
    );
    const matching = here.filter((record) => record.type === type || type === "ANY");
    if (matching.length > 0) return { kind: "records", records: [...followed, ...matching] };
    const alias = here.find((record) => record.type === "CNAME");
    if (alias === undefined) {
      const kind = here.length > 0 || existsBelow(zones, wanted) ? "nodata" : "nxdomain";
      return { kind, apex, records: followed };
    }
    followed.push(alias);
    wanted = canonicalName(alias.value);
  }
  return { kind: "records", records: followed };
}

/** Zones for these records: `wanted` apexes, and for what lies outside them its last two labels. */
export function zonesFor(wanted: readonly string[], records: readonly ZoneRecord[]): Zones {
  const apexes = new Set(wanted.map(canonicalName));
  for (const { name } of records) {
    const canonical = canonicalName(name);
    if ([...apexes].some((apex) => isWithin(canonical, apex))) continue;
    apexes.add(fallbackApex(canonical));
  }
  return { apexes: [...apexes], records };
}

/** RFC 1035 §3.3.14: a TXT value is a list of strings of at most 255 bytes. */
export function textStrings(value: string): Buffer[] {
  const bytes = Buffer.from(value);
  const strings: Buffer[] = [];
  for (let from = 0; from < bytes.length || from === 0; from += 255)
    strings.push(bytes.subarray(from, from + 255));
  return strings;
}

export function canonicalName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

function ownRecords(apex: string): ZoneRecord[] {
  const server = `ns.${apex}`;
  return [
    { name: apex, type: "NS", value: server },
    { name: server, type: "A", value: "127.0.0.1" },
  ];
}

function apexOf(zones: Zones, name: string): string | null {
  let longest: string | null = null;
  for (const apex of zones.apexes) {
    if (isWithin(name, apex) && apex.length > (longest?.length ?? -1)) longest = apex;
  }
  return longest;
}

function existsBelow(zones: Zones, name: string): boolean {
  return (
    zones.apexes.includes(name) ||
    zones.records.some((record) => canonicalName(record.name).endsWith(`.${name}`))
  );
}

function isWithin(name: string, apex: string): boolean {
  return name === apex || name.endsWith(`.${apex}`);
}

function fallbackApex(name: string): string {
  if (name.endsWith(".in-addr.arpa")) return name.split(".").slice(-3).join(".");
  if (name.endsWith(".ip6.arpa")) return "ip6.arpa";
  return name.split(".").slice(-2).join(".");
}
