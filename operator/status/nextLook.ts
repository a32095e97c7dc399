/** When to look at an object again: the next date in its schedules, the next probe, the next report. */
import type { IpPoolStatus } from "../../crds/ipPool.ts";
import type { SendingDomainStatus } from "../../crds/sendingDomain.ts";
import type { SmtpRelayStatus } from "../../crds/smtpRelay.ts";
import type { ReconcileResult } from "../reconcile/result.ts";
import type { DomainWorld, Plan, PoolWorld, RelayPlan, RelayWorld } from "../world.ts";

export function relayNextLook(
  _world: RelayWorld,
  _plan: RelayPlan,
  _status: SmtpRelayStatus,
): ReconcileResult {
  return { kind: "again", afterSeconds: 15 };
}

export function domainNextLook(
  _world: DomainWorld,
  _plan: Plan,
  _status: SendingDomainStatus,
): ReconcileResult {
  return { kind: "again", afterSeconds: 15 };
}

export function poolNextLook(_world: PoolWorld, _plan: Plan, _status: IpPoolStatus): ReconcileResult {
  return { kind: "again", afterSeconds: 15 };
}
