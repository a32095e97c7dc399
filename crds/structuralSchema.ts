/**
 * zod → Kubernetes structural schema, the dialect of OpenAPI 3.0 that CRDs are written in.
 *
 * zod does most of the work; this file drops what the API server does not want, adds what it does, and
 * throws on anything it would refuse, prune or count as unbounded: unions, look-around, lists without a
 * list type, strings without a length, fields without a description. A schema that comes out of here is
 * closed (unknown fields are pruned or refused by the server), bounded and documented.
 */
import { z } from "zod";

import { withDefaults } from "./defaulting.ts";
import { requireRe2 } from "./re2.ts";
import type {
  ArraySchema,
  IntegerSchema,
  Json,
  ObjectSchema,
  StringSchema,
  StructuralSchema,
} from "./schemaTypes.ts";

type Raw = Readonly<Record<string, unknown>>;

const INT32_MAX = 2 ** 31 - 1;
const marks = ["description", "default"];
const known: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties", "maxProperties"],
  array: ["items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"],
  string: ["minLength", "maxLength", "pattern", "format", "enum"],
  integer: ["minimum", "maximum"],
  boolean: [],
};

/**
 * Converts `schema`, which stands at `path` ("spec", "status") of a kind.
 * Throws an Error that names the field and the reason when the API server would not take the result.
 */
export function structuralSchema(schema: z.ZodType, path: string): ObjectSchema {
  const raw: unknown = z.toJSONSchema(schema, {
    target: "openapi-3.0",
    io: "input",
    unrepresentable: "throw",
  });
  const whole = convert(raw, path);
  if (whole.type !== "object") throw refusal(path, "is not an object");
  return whole;
}

function convert(raw: unknown, path: string): StructuralSchema {
  const schema = converted(raw, path);
  if (schema.default === undefined) return schema;
  // The API server runs CEL rules on a default as it stands, before the defaults inside it are filled in.
  return { ...schema, default: withDefaults(schema, schema.default) as Json };
}

function converted(raw: unknown, path: string): StructuralSchema {
  if (!isRecord(raw)) throw refusal(path, "has no schema of its own");
  const type = raw["type"];
  if (typeof type !== "string" || !Object.hasOwn(known, type)) {
    const keyword = Object.keys(raw).find((key) => !marks.includes(key)) ?? "nothing";
    throw refusal(path, `has no single type the API server knows (${keyword}: ${String(type)})`);
  }
  for (const key of Object.keys(raw)) {
    if (key !== "type" && !marks.includes(key) && !known[type]?.includes(key)) {
      throw refusal(path, `uses "${key}", which this converter does not know`);
    }
  }
  switch (type) {
    case "object":
      return objectSchema(raw, path);
    case "array":
      return arraySchema(raw, path);
    case "string":
      return stringSchema(raw, path);
    case "integer":
      return integerSchema(raw, path);
    default:
      return { type: "boolean", ...common(raw) };
  }
}

function objectSchema(raw: Raw, path: string): ObjectSchema {
  const { properties, additionalProperties } = raw;
  if (isRecord(properties)) {
    // The API server forbids both together; it closes objects by pruning.
    if (additionalProperties !== false) {
      throw refusal(path, "is open to unknown fields; use z.strictObject");
    }
    const fields = Object.entries(properties).map(([name, property]) => {
      const at = `${path}.${name}`;
      if (!isRecord(property) || typeof property["description"] !== "string") {
        throw refusal(at, "has no description");
      }
      return [name, convert(property, at)] as const;
    });
    const required = strings(raw["required"]);
    for (const [name, field] of fields) {
      if (required.includes(name)) requireLasting(field, `${path}.${name}`);
    }
    return {
      type: "object",
      ...common(raw),
      properties: Object.fromEntries(fields),
      ...(required.length > 0 && { required }),
    };
  }
  if (!isRecord(additionalProperties)) throw refusal(path, "has no fields");
  return {
    type: "object",
    ...common(raw),
    additionalProperties: convert(additionalProperties, `${path}.*`),
    maxProperties: bound(raw, "maxProperties", path),
  };
}

function arraySchema(raw: Raw, path: string): ArraySchema {
  const items = convert(raw["items"], `${path}[]`);
  const listType = raw["x-kubernetes-list-type"];
  if (listType !== "map" && listType !== "set" && listType !== "atomic") {
    throw refusal(path, "has no x-kubernetes-list-type (map, set or atomic)");
  }
  const keys = strings(raw["x-kubernetes-list-map-keys"]);
  if (listType === "set" && (items.type === "object" || items.type === "array")) {
    throw refusal(path, "is a set of something that is not a scalar");
  }
  if (listType === "map") requireKeys(items, keys, path);
  else if (keys.length > 0) throw refusal(path, "has keys without being a map");
  return {
    type: "array",
    ...common(raw),
    items,
    ...(typeof raw["minItems"] === "number" && { minItems: raw["minItems"] }),
    maxItems: bound(raw, "maxItems", path),
    "x-kubernetes-list-type": listType,
    ...(listType === "map" && { "x-kubernetes-list-map-keys": keys }),
  };
}

/**
 * Server-side apply takes a map or set away that its owner empties, field and all; of a required one the API server
 * then says "Required value", and the whole write is refused. Atomic lists are kept empty.
 */
function requireLasting(field: StructuralSchema, path: string): void {
  if (field.type !== "array" || field["x-kubernetes-list-type"] === "atomic") return;
  if ((field.minItems ?? 0) > 0) return;
  throw refusal(path, "is required, and a map or set is gone when it is empty: make it atomic or optional");
}

/** Keys tell items apart, so each item must have them: required, or by a default. */
function requireKeys(items: StructuralSchema, keys: readonly string[], path: string): void {
  if (items.type !== "object") throw refusal(path, "is a map of something that is not an object");
  if (keys.length === 0) throw refusal(path, "is a map without x-kubernetes-list-map-keys");
  for (const key of keys) {
    const field = items.properties?.[key];
    if (field === undefined || field.type === "object" || field.type === "array") {
      throw refusal(path, `has the key "${key}", which is no scalar field of its items`);
    }
    if (!items.required?.includes(key) && field.default === undefined) {
      throw refusal(path, `has the key "${key}", which an item may lack`);
    }
  }
}

/** Words YAML 1.1 takes for booleans; "True" and "False" of conditions are Kubernetes' own and never typed. */
const yamlBoolean = /^(y|n|yes|no|on|off)$/i;

function stringSchema(raw: Raw, path: string): StringSchema {
  const values = strings(raw["enum"]);
  const odd = values.find((value) => yamlBoolean.test(value));
  if (odd !== undefined) {
    throw refusal(
      path,
      `has the value "${odd}", which Kubernetes' tools read as a boolean when it is not quoted`,
    );
  }
  if (values.length > 0) return { type: "string", ...common(raw), enum: values };
  if (raw["format"] === "date-time") {
    // zod's own pattern says the same as the format, at great length.
    return { type: "string", ...common(raw), format: "date-time" };
  }
  if (raw["format"] !== undefined) {
    throw refusal(path, `has the format ${JSON.stringify(raw["format"])}; write a pattern instead`);
  }
  const pattern = raw["pattern"];
  if (typeof pattern === "string") requireRe2(pattern, path);
  return {
    type: "string",
    ...common(raw),
    ...(typeof raw["minLength"] === "number" && { minLength: raw["minLength"] }),
    maxLength: bound(raw, "maxLength", path),
    ...(typeof pattern === "string" && { pattern }),
  };
}

function integerSchema(raw: Raw, path: string): IntegerSchema {
  const maximum = bound(raw, "maximum", path);
  const minimum = bound(raw, "minimum", path);
  // z.int() adds the bounds of a double's safe integers: no wish of ours.
  if (minimum === Number.MIN_SAFE_INTEGER) throw refusal(path, "has no minimum");
  const bounded = maximum !== Number.MAX_SAFE_INTEGER;
  return {
    type: "integer",
    format: bounded && maximum <= INT32_MAX && minimum >= -INT32_MAX ? "int32" : "int64",
    ...common(raw),
    minimum,
    ...(bounded && { maximum }),
  };
}

function bound(raw: Raw, key: string, path: string): number {
  const value = raw[key];
  if (typeof value !== "number") throw refusal(path, `has no ${key}`);
  return value;
}

function common(raw: Raw): Pick<StructuralSchema, "description" | "default"> {
  return {
    ...(typeof raw["description"] === "string" && { description: raw["description"] }),
    ...(raw["default"] !== undefined && { default: raw["default"] as Json }),
  };
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function isRecord(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refusal(path: string, reason: string): Error {
  return new Error(`Cannot make a structural schema: ${path} ${reason}.`);
}
