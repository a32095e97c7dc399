/**
 * Rows for every bound of a kind, found by walking its schema beside a manifest that sets every field: each
 * number and length just outside, each enum, each type, each required field taken away, each object with a
 * field too many.
 */
import type { KindName } from "../../../crds/group.ts";
import { openApiSchemas } from "../../../crds/openApi.ts";
import type { ProblemKind } from "../../../crds/problems.ts";
import type { StructuralSchema } from "../../../crds/schemaTypes.ts";
import { changed, type Manifest } from "./manifests.ts";
import type { Verdict } from "./verdict.ts";

interface Wrong {
  readonly what: string;
  readonly at: string;
  readonly value: unknown;
  readonly as: ProblemKind;
}

export function boundVerdicts(kind: KindName, full: Manifest): Verdict[] {
  return wrongs(openApiSchemas[kind].spec, full["spec"], "spec").map(({ what, at, value, as }) => ({
    because: `${kind}: ${at} ${what} is refused`,
    kind,
    manifest: changed(full, at, value),
    refused: { at, as },
  }));
}

function wrongs(schema: StructuralSchema, value: unknown, at: string): Wrong[] {
  return [wrongType(schema, at), ...wrongBounds(schema, value, at), ...inside(schema, value, at)];
}

/** No object for a scalar: the server would name the object's fields as unknown and stop there. */
function wrongType(schema: StructuralSchema, at: string): Wrong {
  const value = schema.type === "object" || schema.type === "array" ? "text" : ["text"];
  return { what: "of a wrong type", at, value, as: "TypeInvalid" };
}

function wrongBounds(schema: StructuralSchema, value: unknown, at: string): Wrong[] {
  switch (schema.type) {
    case "integer":
      return [
        { what: `below ${schema.minimum}`, at, value: schema.minimum - 1, as: "Invalid" },
        ...(schema.maximum === undefined
          ? []
          : [{ what: `above ${schema.maximum}`, at, value: schema.maximum + 1, as: "Invalid" } as const]),
        { what: "in quotes", at, value: String(schema.minimum), as: "TypeInvalid" },
      ];
    case "boolean":
      return [{ what: "in quotes", at, value: "true", as: "TypeInvalid" }];
    case "string":
      if (schema.enum !== undefined) {
        return [{ what: "of an unknown value", at, value: "Nonsense", as: "Unsupported" }];
      }
      return [
        { what: "that is too long", at, value: "a".repeat((schema.maxLength ?? 0) + 1), as: "TooLong" },
        ...(schema.minLength === undefined
          ? []
          : [{ what: "that is empty", at, value: "", as: "Invalid" } as const]),
        ...(schema.pattern === undefined
          ? []
          : [
              {
                what: "of a wrong form",
                at,
                value: "no such ! thing".slice(0, schema.maxLength),
                as: "Invalid",
              } as const,
            ]),
      ];
    case "array":
      return [
        {
          what: `of more than ${schema.maxItems} items`,
          at,
          value: Array.from({ length: schema.maxItems + 1 }, () => (value as unknown[])[0]),
          as: "TooMany",
        },
        ...(schema.minItems === undefined
          ? []
          : [{ what: "without items", at, value: [], as: "Invalid" } as const]),
      ];
    case "object":
      if (schema.additionalProperties !== undefined) {
        const entry = Object.values(value as object)[0] as unknown;
        const most = schema.maxProperties ?? 0;
        const many = Array.from({ length: most + 1 }, (_, index) => [`key${index}`, entry] as const);
        return [
          { what: `of more than ${most} entries`, at, value: Object.fromEntries(many), as: "TooMany" },
          { what: "of a wrong type", at: `${at}.key`, value: ["text"], as: "TypeInvalid" },
          ...wrongBounds(schema.additionalProperties, entry, `${at}.key`),
        ];
      }
      return [
        { what: "", at: `${at}.nonsense`, value: 1, as: "UnknownField" },
        ...(schema.required ?? []).map((name): Wrong => ({
          what: "left out",
          at: `${at}.${name}`,
          value: undefined,
          as: "Required",
        })),
      ];
  }
}

function inside(schema: StructuralSchema, value: unknown, at: string): Wrong[] {
  if (schema.type === "array")
    return itemsOf(value).flatMap((item, index) => wrongs(schema.items, item, `${at}[${index}]`));
  if (schema.type !== "object") return [];
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const field = (value as Readonly<Record<string, unknown>>)[name];
    return field === undefined ? [] : wrongs(property, field, `${at}.${name}`);
  });
}

function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
