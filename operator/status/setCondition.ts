/**
 * Conditions by the rules of the Kubernetes API: lastTransitionTime moves only with status, and every
 * condition says for which generation it was found. Reasons come from the one table (crds/conditions.ts).
 */
import type { ConditionStatus, ConditionType, Reason } from "../../crds/conditions.ts";
import type { Condition } from "../../crds/fields.ts";
import type { KindName } from "../../crds/group.ts";
import type { Instant, Problem } from "../world.ts";
import { timestampOf } from "../warmup/days.ts";

export interface Finding<K extends KindName> {
  readonly type: ConditionType<K>;
  readonly status: ConditionStatus;
  readonly reason: Reason;
  readonly message: string;
}

/** Bound of a message: enough for a person, small enough for every watcher. */
const LONGEST_MESSAGE = 1024;

/** Findings become conditions, in their order; `previous` gives the transition times. */
export function setConditions<K extends KindName>(
  previous: readonly Condition[] | undefined,
  findings: readonly Finding<K>[],
  generation: number,
  now: Instant,
): Condition[] {
  return findings.map(({ type, status, reason, message }) => {
    const before = previous?.find((condition) => condition.type === type);
    return {
      type,
      status,
      observedGeneration: generation,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime : timestampOf(now),
      reason,
      message: cut(withoutMailboxes(message)),
    };
  });
}

/** The same for every kind: a blocking problem needs a person. */
export function stalledFinding<K extends KindName>(problems: readonly Problem[]): Finding<K> {
  const blocking = problems.filter(({ severity }) => severity === "Blocking");
  const type = "Stalled" as ConditionType<K>;
  const [first] = blocking;
  return first === undefined
    ? { type, status: "False", reason: "NothingWrong", message: "Nothing needs a person." }
    : { type, status: "True", reason: first.reason as Reason, message: sentences(blocking) };
}

/** Several problems as one text. */
export function sentences(problems: readonly Problem[]): string {
  return problems.map(({ message }) => message).join(" ");
}

/** Names for a message: the first few, and how many more. */
export function listOf(names: readonly string[], most = 5): string {
  const rest = names.length - most;
  return rest > 0 ? `${names.slice(0, most).join(", ")} and ${rest} more` : names.join(", ");
}

/** No mail address reaches the API, not even one a receiver quoted in its reply (promise 12). */
function withoutMailboxes(text: string): string {
  return text.replace(/[^\s<>"'(),;:]+@[^\s<>"'(),;:]+/g, "(address)");
}

function cut(text: string): string {
  return text.length <= LONGEST_MESSAGE ? text : `${text.slice(0, LONGEST_MESSAGE - 1)}…`;
}
