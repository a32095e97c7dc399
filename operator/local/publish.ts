/**
 * The records the loopback zone publishes: what the status of domains asks for (ExternalDNS does the same
 * in a cluster), names of addresses and relays, and what the caller adds. Pure.
 */
import { isIP } from "node:net";

import type { IpPool, SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
import { reverseName } from "../plan/ipAddresses.ts";
import { type ZoneRecord, type Zones, zonesFor } from "./zone.ts";

export function zonesOf(
  objects: readonly (SmtpRelay | SendingDomain | IpPool)[],
  extra: readonly ZoneRecord[],
): Zones {
  const apexes: string[] = [];
  const records: ZoneRecord[] = [...extra];
  for (const object of objects) {
    switch (object.kind) {
      case "SmtpRelay":
        records.push({ name: object.spec.hostname, type: "A", value: "127.0.0.1" });
        break;
      case "SendingDomain":
        apexes.push(object.spec.domain);
        for (const { name, type, expected } of object.status?.records ?? []) {
          records.push({ name, type, value: expected });
        }
        break;
      case "IpPool":
        // Known before the status asks for it, and asked for at once: an address sends only when it is seen.
        for (const { ip, ehloName } of object.spec.addresses) {
          const version = isIP(ip);
          if (version === 0) continue;
          records.push({ name: ehloName, type: version === 4 ? "A" : "AAAA", value: ip });
          records.push({ name: reverseName(ip), type: "PTR", value: ehloName });
        }
        break;
    }
  }
  return zonesFor(apexes, records);
}
