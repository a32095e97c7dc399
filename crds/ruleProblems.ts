/** CEL rules applied to an object: each rule at every place its path leads to, former value beside it. */
import { evaluateRule } from "./cel.ts";
import { type CelRule, celRules } from "./celRules.ts";
import type { KindName } from "./group.ts";
import { invalid, type Problem, type Segments } from "./problems.ts";
import type { StructuralSchema } from "./schemaTypes.ts";

interface Place {
  readonly segments: Segments;
  readonly value: unknown;
  readonly old: unknown;
}

/**
 * Problems of `object` under the rules of its kind. `schema` is that of the whole object; `old` is
 * undefined when the object is new. Both have their defaults.
 */
export function ruleProblems(
  kind: KindName,
  schema: StructuralSchema,
  object: unknown,
  old: unknown,
): Problem[] {
  return celRules
    .filter((rule) => rule.kind === kind)
    .flatMap((rule) =>
      places(steps(rule.path), schema, { segments: [], value: object, old }).flatMap((place) =>
        problemAt(rule, place),
      ),
    );
}

function problemAt(rule: CelRule, place: Place): Problem[] {
  const verdict = evaluateRule(rule, place.value, place.old);
  if (verdict.kind === "holds") return [];
  const field = steps(rule.fieldPath ?? "");
  const segments = [...place.segments, ...field];
  const value = field.reduce<unknown>((at, step) => own(at, step), place.value);
  if (verdict.kind === "broken") return [invalid(segments, value, rule.message)];
  return [invalid(segments, value, `cannot be checked (${verdict.reason}): ${rule.message}`)];
}

/** Values that are absent have no place: rules run on what is there. */
function places(path: readonly string[], schema: StructuralSchema, from: Place): Place[] {
  const [step, ...rest] = path;
  if (step === undefined) return from.value === undefined ? [] : [from];
  if (step !== "[]") {
    const property = schema.type === "object" ? schema.properties?.[step] : undefined;
    if (property === undefined) return [];
    return places(rest, property, {
      segments: [...from.segments, step],
      value: own(from.value, step),
      old: own(from.old, step),
    });
  }
  if (schema.type !== "array" || !Array.isArray(from.value)) return [];
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const { items } = schema;
  return from.value.flatMap((value: unknown, index) =>
    places(rest, items, {
      segments: [...from.segments, index],
      value,
      old: correlated(keys, value, from.old),
    }),
  );
}

/** Items of a map list are the same item when their keys are; others have no former self. */
function correlated(keys: readonly string[], item: unknown, old: unknown): unknown {
  if (keys.length === 0 || !Array.isArray(old)) return undefined;
  return old.find((one: unknown) => keys.every((key) => own(one, key) === own(item, key)));
}

function own(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[key];
}

function steps(path: string): string[] {
  return path
    .replaceAll("[]", ".[]")
    .split(".")
    .filter((step) => step !== "");
}
