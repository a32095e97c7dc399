/**
 * What is said on an object whose spec this operator cannot make full use of: stored under definitions that are
 * older or newer than it. Of a spec it cannot read the last reading stays in force, or nothing is done where
 * there is none; either way nobody must take that for what the spec asks.
 */
import type { Condition } from "../../crds/fields.ts";
import type { KindName } from "../../crds/group.ts";
import type { Instant } from "../world.ts";
import { type Finding, listOf, setConditions } from "./setCondition.ts";

/** What of a spec was not read. */
export interface Misread {
  /** Why the spec as a whole cannot be used: field and reason; null when it can. */
  readonly problem: string | null;
  /** Fields that are not known here and are left out: "spec.novelty". */
  readonly unknownFields: readonly string[];
}

/** Of a status what this file deals with. */
export interface AnyStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
}

/** Unknown fields named in one message. */
const MOST_NAMED = 5;

/** `next`, which was made from the last reading, as it is when that is not what the spec says. */
export function withMisread<S extends AnyStatus>(
  next: S,
  misread: Misread,
  before: { readonly conditions?: readonly Condition[] | undefined; readonly generation: number },
  now: Instant,
): S {
  const { problem, unknownFields } = misread;
  if (problem === null) return withUnknownFields(next, unknownFields);
  const { conditions: previous, generation } = before;
  const said = setConditions<KindName>(previous, unreadable(problem), generation, now);
  const others = (next.conditions ?? []).filter(({ type }) => !said.some((one) => one.type === type));
  return { ...next, observedGeneration: generation, conditions: [...said, ...others] };
}

function withUnknownFields<S extends AnyStatus>(next: S, fields: readonly string[]): S {
  const conditions = (next.conditions ?? []).map((condition) =>
    condition.type === "Ready"
      ? {
          ...condition,
          message: `${condition.message} Not known to this operator and without effect: ${listOf(fields, MOST_NAMED)}.`,
        }
      : condition,
  );
  return { ...next, conditions };
}

function unreadable(problem: string): readonly Finding<KindName>[] {
  const reason = "SpecUnreadable";
  const message = `Cannot use the spec: ${problem}. What was in force before stays.`;
  return [
    { type: "Ready", status: "Unknown", reason, message },
    // kstatus looks at Reconciling before Stalled.
    {
      type: "Reconciling",
      status: "False",
      reason: "Settled",
      message: "Nothing is under way; see Stalled.",
    },
    { type: "Stalled", status: "True", reason, message },
  ];
}
