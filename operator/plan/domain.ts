/** SendingDomain → its key Secret, the keys to make and the records it needs. */
import type { DomainWorld, ExpectedRecord, Plan } from "../world.ts";

export function expectedDomainRecords(_world: Omit<DomainWorld, "dns">): readonly ExpectedRecord[] {
  return [];
}

export function planDomain(_world: DomainWorld): Plan {
  throw new Error("Cannot plan a domain yet");
}
