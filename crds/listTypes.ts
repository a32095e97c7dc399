/** Uniqueness that list types promise: items of a map by their keys, items of a set as a whole. */
import { problem, type Problem, quoted, type Segments } from "./problems.ts";
import type { ArraySchema, StructuralSchema } from "./schemaTypes.ts";

/** Problems of every list in `value`, which stands at `base`; what has the wrong type is passed over. */
export function duplicateProblems(schema: StructuralSchema, value: unknown, base: Segments): Problem[] {
  if (schema.type === "array" && Array.isArray(value)) {
    return [
      ...duplicatesOf(schema, value, base),
      ...value.flatMap((item, index) => duplicateProblems(schema.items, item, [...base, index])),
    ];
  }
  if (schema.type !== "object" || typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, field]) => {
    const { properties, additionalProperties } = schema;
    const property =
      properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    return property === undefined ? [] : duplicateProblems(property, field, [...base, name]);
  });
}

function duplicatesOf(schema: ArraySchema, list: readonly unknown[], base: Segments): Problem[] {
  // A list that is too long has its own problem; naming a thousand repeats helps nobody.
  if (schema["x-kubernetes-list-type"] === "atomic" || list.length > schema.maxItems) return [];
  const seen = new Set<string>();
  return list.flatMap((item, index) => {
    const identity = quoted(identityOf(schema, item));
    const key = JSON.stringify(identityOf(schema, item)) ?? "";
    if (!seen.has(key)) {
      seen.add(key);
      return [];
    }
    return [problem("Duplicate", [...base, index], `Duplicate value: ${identity}`)];
  });
}

function identityOf(schema: ArraySchema, item: unknown): unknown {
  const keys = schema["x-kubernetes-list-map-keys"];
  if (keys === undefined || typeof item !== "object" || item === null) return item;
  return Object.fromEntries(keys.map((key) => [key, (item as Readonly<Record<string, unknown>>)[key]]));
}
