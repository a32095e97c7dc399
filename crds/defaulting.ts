/**
 * What the API server does to an object before it validates: nulls of fields that cannot be null count as
 * left out, and what is left out gets its default. The defaults are those of the structural schema, so that
 * a manifest means the same in local mode and in a cluster.
 */
import type { Json, StructuralSchema } from "./schemaTypes.ts";

/**
 * A copy of `value` with defaults filled in. Fields the schema does not know are kept as they are, and so
 * is whatever has the wrong type: naming those is the judge's part.
 */
export function withDefaults(schema: StructuralSchema, value: unknown): unknown {
  if (schema.type === "array") {
    return Array.isArray(value) ? value.map((item) => withDefaults(schema.items, item)) : value;
  }
  if (schema.type !== "object" || !isRecord(value)) return value;
  const { properties, additionalProperties } = schema;
  if (properties === undefined) {
    if (additionalProperties === undefined) return value;
    const entries = Object.entries(value).filter(([, field]) => field !== null);
    return Object.fromEntries(
      entries.map(([key, field]) => [key, withDefaults(additionalProperties, field)] as const),
    );
  }
  const entries = new Map(Object.entries(value));
  for (const [name, property] of Object.entries(properties)) {
    const field = entries.get(name) ?? copied(property.default);
    if (field === undefined) entries.delete(name);
    else entries.set(name, withDefaults(property, field));
  }
  // fromEntries defines own fields, also one called "__proto__".
  return Object.fromEntries(entries);
}

/** A copy of `value` without the fields that `schema` does not know, as the API server stores it. */
export function pruned(schema: StructuralSchema, value: unknown): unknown {
  if (schema.type === "array") {
    return Array.isArray(value) ? value.map((item) => pruned(schema.items, item)) : value;
  }
  if (schema.type !== "object" || !isRecord(value)) return value;
  const kept = Object.entries(value).flatMap(([name, field]) => {
    const property = ownProperty(schema.properties, name) ?? schema.additionalProperties;
    return property === undefined ? [] : [[name, pruned(property, field)] as const];
  });
  return Object.fromEntries(kept);
}

function ownProperty(
  properties: Readonly<Record<string, StructuralSchema>> | undefined,
  name: string,
): StructuralSchema | undefined {
  return properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined;
}

function copied(value: Json | undefined): unknown {
  return value === undefined ? undefined : structuredClone(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
