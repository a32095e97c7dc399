/** SendingDomain: World and plan → status. */
import type { SendingDomainStatus } from "../../crds/sendingDomain.ts";
import type { DomainWorld, Plan } from "../world.ts";

export function domainStatus(_world: DomainWorld, _plan: Plan): SendingDomainStatus {
  throw new Error("Cannot summarise a domain yet");
}
