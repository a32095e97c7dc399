/** SmtpRelay: World and plan → status. */
import type { SmtpRelayStatus } from "../../crds/smtpRelay.ts";
import type { RelayPlan, RelayWorld } from "../world.ts";

export function relayStatus(_world: RelayWorld, _plan: RelayPlan): SmtpRelayStatus {
  throw new Error("Cannot summarise a relay yet");
}
