/** Problems with reasons from the one table, so that a typo does not compile. */
import type { Reason } from "../../crds/conditions.ts";
import type { Problem } from "../world.ts";

/** It cannot be served as written, and a person has to act. */
export function blocking(reason: Reason, message: string): Problem {
  return { severity: "Blocking", reason, message };
}

/** A part of it cannot be served; the rest is. */
export function degraded(reason: Reason, message: string): Problem {
  return { severity: "Degraded", reason, message };
}
