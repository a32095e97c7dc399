/** Zone files: every sending domain is a zone of its own, with the records its status would ask for. */
import type { ExpectedRecord } from "../../../operator/world.ts";
import { type NameServer, startNsd } from "../../support/peers/dnsServers.ts";

const SERVER_ZONE = "dns.test";
const SERVER = `ns.${SERVER_ZONE}.`;
const DNS_PORT = 53;
/** RFC 1035 §3.3: a character-string has at most 255 octets. */
const LONGEST_STRING = 255;

/** NSD on port 53 of loopback, which answers for all zones; to a resolver's questions too. */
export async function serveZones(zones: ReadonlyMap<string, readonly ExpectedRecord[]>): Promise<NameServer> {
  const texts = Object.fromEntries([...zones].map(([zone, records]) => [zone, zoneText(records)]));
  return startNsd({ ...texts, [SERVER_ZONE]: `${zoneText([])}${SERVER} IN A 127.0.0.1\n` }, DNS_PORT);
}

function zoneText(records: readonly ExpectedRecord[]): string {
  const head = `$TTL 300\n@ IN SOA ${SERVER} hostmaster.${SERVER_ZONE}. 1 3600 600 86400 60\n@ IN NS ${SERVER}\n`;
  return head + records.map((record) => `${record.name}. IN ${record.type} ${dataOf(record)}\n`).join("");
}

function dataOf({ type, value }: ExpectedRecord): string {
  if (type === "PTR") return `${value}.`;
  if (type !== "TXT") return value;
  const strings: string[] = [];
  for (let from = 0; from < value.length; from += LONGEST_STRING) {
    strings.push(JSON.stringify(value.slice(from, from + LONGEST_STRING)));
  }
  return strings.join(" ");
}
