/** What the zone's own name servers say about a record. */
import type { DnsAnswer, ExpectedRecord } from "../world.ts";

export interface DnsProbe {
  /** Never rejects: what went wrong is a `failed` answer with the reason. */
  ask(question: Pick<ExpectedRecord, "type" | "name">): Promise<DnsAnswer>;
}
