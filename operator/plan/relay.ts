/** SmtpRelay → its desired objects and its configuration. */
import type { RelayPlan, RelayWorld } from "../world.ts";
import type { PlanTools } from "./tools.ts";

export function planRelay(_world: RelayWorld, _tools: PlanTools): RelayPlan {
  throw new Error("Cannot plan a relay yet");
}
