/** zod's issues as problems in the API server's words. */
import type { z } from "zod";

import {
  invalid,
  MAX_PROBLEMS,
  problem,
  type Problem,
  quoted,
  required,
  type Segments,
  unknownField,
  unsupported,
  wrongType,
} from "./problems.ts";
import type { StructuralSchema } from "./schemaTypes.ts";

type Issue = z.core.$ZodIssue;

/** `value` is what was judged against `schema`; it stands at `base`. Of very many issues, the first MAX_PROBLEMS. */
export function zodProblems(
  issues: readonly Issue[],
  value: unknown,
  schema: StructuralSchema,
  base: Segments,
): Problem[] {
  const problems = new Map<string, Problem>();
  for (const issue of issues.slice(0, MAX_PROBLEMS)) {
    const path = issue.path.map((step) => (typeof step === "number" ? step : String(step)));
    for (const found of ofIssue(issue, valueAt(value, path), schemaAt(schema, path), [...base, ...path])) {
      // One reason a field is enough; the last one, a format, says most.
      problems.set(`${found.kind} ${found.path}`, found);
    }
  }
  return [...problems.values()];
}

function ofIssue(
  issue: Issue,
  value: unknown,
  schema: StructuralSchema | undefined,
  segments: Segments,
): Problem[] {
  switch (issue.code) {
    case "unrecognized_keys": {
      const siblings = schema?.type === "object" ? Object.keys(schema.properties ?? {}) : [];
      return issue.keys.slice(0, MAX_PROBLEMS).map((key) => unknownField([...segments, key], siblings));
    }
    case "invalid_type":
      return [value === undefined ? required(segments) : wrongType(segments, value, wanted(issue.expected))];
    case "invalid_value":
      if (value === undefined) return [required(segments)];
      if (typeof value !== "string") return [wrongType(segments, value, "a string")];
      return [unsupported(segments, value, issue.values.map(String))];
    case "too_big":
      return [tooBig(issue.origin, Number(issue.maximum), value, segments)];
    case "too_small":
      return [tooSmall(issue.origin, Number(issue.minimum), value, segments)];
    case "invalid_format":
      return [invalid(segments, value, issue.message)];
    default:
      return [invalid(segments, value, issue.message)];
  }
}

function tooBig(origin: string, maximum: number, value: unknown, segments: Segments): Problem {
  if (Array.isArray(value)) {
    return problem("TooMany", segments, `Too many: ${value.length}: must have at most ${maximum} items`);
  }
  if (origin === "object" && typeof value === "object" && value !== null) {
    const { length } = Object.keys(value);
    return problem("TooMany", segments, `Too many: ${length}: must have at most ${maximum} items`);
  }
  if (typeof value === "string") {
    const reason = `${value.length} characters, at most ${maximum} are allowed`;
    return problem("TooLong", segments, `Too long: ${quoted(value)}: ${reason}`);
  }
  return invalid(
    segments,
    value,
    origin === "int" ? "is too large for an integer" : `must be at most ${maximum}`,
  );
}

function tooSmall(origin: string, minimum: number, value: unknown, segments: Segments): Problem {
  if (Array.isArray(value)) {
    return invalid(segments, value, `must have at least ${minimum} ${minimum === 1 ? "item" : "items"}`);
  }
  if (typeof value === "string") return invalid(segments, value, `must have at least ${minimum} characters`);
  return invalid(
    segments,
    value,
    origin === "int" ? "is too small for an integer" : `must be at least ${minimum}`,
  );
}

function wanted(expected: string): string {
  const names: Readonly<Record<string, string>> = {
    int: "an integer",
    number: "an integer",
    string: "a string",
    boolean: "true or false",
    object: "an object",
    record: "an object",
    array: "a list",
  };
  return names[expected] ?? expected;
}

function valueAt(value: unknown, path: Segments): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

function schemaAt(schema: StructuralSchema, path: Segments): StructuralSchema | undefined {
  let at: StructuralSchema | undefined = schema;
  for (const step of path) {
    if (at?.type === "array") at = at.items;
    else if (at?.type === "object") at = at.properties?.[step] ?? at.additionalProperties;
    else return undefined;
  }
  return at;
}
