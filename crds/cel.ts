/**
 * Runs CEL rules on plain objects, as the API server does on custom resources. Integers are CEL ints,
 * and the list functions of Kubernetes that rules use are registered here.
 */
import { Environment } from "@marcbachmann/cel-js";

import { type CelRule, celRules, isTransitionRule } from "./celRules.ts";

export type CelVerdict =
  | { readonly kind: "holds" }
  | { readonly kind: "broken" }
  /** The rule could not be evaluated, which the API server counts as broken too. */
  | { readonly kind: "failed"; readonly reason: string };

const environment = new Environment()
  .registerVariable("self", "dyn")
  .registerVariable("oldSelf", "dyn")
  // https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-list-library
  .registerFunction("list.isSorted(): bool", isSorted);

/** Parsed rules by their text; as many as the API has. */
const programs = new Map(celRules.map(({ rule }) => [rule, environment.parse(rule)]));

/**
 * Evaluates `rule` on the value at its path. `oldSelf` is the value at the same place in the former
 * object, undefined when there was none: then a transition rule holds.
 */
export function evaluateRule(rule: CelRule, self: unknown, oldSelf: unknown): CelVerdict {
  if (isTransitionRule(rule) && oldSelf === undefined) return { kind: "holds" };
  const program = programs.get(rule.rule) ?? environment.parse(rule.rule);
  try {
    const result: unknown = program({ self: celValue(self), oldSelf: celValue(oldSelf ?? null) });
    return result === true ? { kind: "holds" } : { kind: "broken" };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { kind: "failed", reason: text.split("\n")[0] ?? text };
  }
}

/** Whether the rule's text is CEL that yields a boolean; the reason where it is not. */
export function checkRule(rule: CelRule): string | null {
  try {
    const check = environment.check(rule.rule);
    if (!check.valid) return check.error?.message ?? "does not type-check";
    return check.type === "bool" || check.type === "dyn" ? null : `yields ${String(check.type)}, not bool`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** JSON numbers without a fraction are CEL ints, as the schema's integers are in the API server. */
function celValue(value: unknown): unknown {
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  if (Array.isArray(value)) return value.map(celValue);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, celValue(field)]));
  }
  return value;
}

function isSorted(list: unknown[]): boolean {
  return list.every((item, index) => {
    const before = list[index - 1];
    if (index === 0) return true;
    if (typeof item === "bigint" && typeof before === "bigint") return before <= item;
    if (typeof item === "string" && typeof before === "string") return before <= item;
    return false;
  });
}
