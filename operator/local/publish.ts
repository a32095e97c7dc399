/**
 * The records the loopback zone publishes: what the status of domains and pools asks for (ExternalDNS
 * does the same in a cluster), the relays' own names, and what the caller adds. Pure.
 */
import type { IpPool, SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
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
        for (const { name, type, expected } of object.status?.records ?? []) {
          records.push({ name, type, value: expected });
        }
        break;
    }
  }
  return zonesFor(apexes, records);
}
