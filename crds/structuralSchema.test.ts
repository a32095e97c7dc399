import { describe, expect, test } from "vitest";
import { z } from "zod";

import { structuralSchema } from "./structuralSchema.ts";

const text = z.string().max(10).meta({ description: "Text." });
const one = (field: z.ZodType): z.ZodType => z.strictObject({ field: field.meta({ description: "Field." }) });
const converted = (field: z.ZodType): unknown => structuralSchema(one(field), "spec").properties?.["field"];

describe("structuralSchema() converts", () => {
  test("bounds of an integer, and tells int32 from int64", () => {
    expect(converted(z.int().min(0).max(50))).toEqual({
      type: "integer",
      format: "int32",
      minimum: 0,
      maximum: 50,
      description: "Field.",
    });
    expect(
      converted(
        z
          .int()
          .min(0)
          .max(2 ** 31),
      ),
    ).toMatchObject({ format: "int64", maximum: 2 ** 31 });
  });

  test("an integer without a maximum, leaving out zod's bound of safe integers", () => {
    expect(converted(z.int().min(0))).toEqual({
      type: "integer",
      format: "int64",
      minimum: 0,
      description: "Field.",
    });
  });

  test("a closed object without additionalProperties, which the API server forbids beside properties", () => {
    expect(converted(z.strictObject({ text, other: text.optional() }))).toEqual({
      type: "object",
      description: "Field.",
      properties: {
        text: { type: "string", maxLength: 10, description: "Text." },
        other: { type: "string", maxLength: 10, description: "Text." },
      },
      required: ["text"],
    });
  });

  test("the default of a group with the defaults inside it, on which the API server runs rules", () => {
    const group = z
      .strictObject({
        size: text.default("10Gi"),
        className: text.optional(),
        inner: z
          .strictObject({ delay: z.int().min(1).max(9).default(3).meta({ description: "Delay." }) })
          .prefault({})
          .meta({ description: "Inner." }),
      })
      .prefault({});

    expect(converted(group)).toMatchObject({ default: { size: "10Gi", inner: { delay: 3 } } });
  });

  test("defaults into the items of a default list", () => {
    const list = z
      .array(z.strictObject({ name: text, mode: text.default("a") }))
      .max(2)
      .default([{ name: "x", mode: "a" }])
      .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] });

    expect(converted(list)).toMatchObject({
      default: [{ name: "x", mode: "a" }],
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      maxItems: 2,
    });
  });

  test("times to the format, without zod's long pattern", () => {
    expect(converted(z.iso.datetime())).toEqual({
      type: "string",
      format: "date-time",
      description: "Field.",
    });
  });

  test("records to maps", () => {
    expect(
      converted(z.record(z.string().max(5), z.int().min(0).max(9)).meta({ maxProperties: 4 })),
    ).toMatchObject({ type: "object", maxProperties: 4, additionalProperties: { type: "integer" } });
  });
});

const atomic = { "x-kubernetes-list-type": "atomic" };

describe("structuralSchema() refuses what the API server would", () => {
  test.each<[string, z.ZodType, string]>([
    ["a string without a length", z.string(), "has no maxLength"],
    ["a string of a format that is not a CRD's", z.email().max(10), "has the format"],
    [
      "a pattern with look-around",
      z
        .string()
        .max(9)
        .regex(/^(?=a).*$/),
      "look-around",
    ],
    [
      "a pattern with a back reference",
      z
        .string()
        .max(9)
        .regex(/^(a)\1$/),
      "back reference",
    ],
    ["a pattern that RE2 reads differently", z.string().max(9).regex(/^\s*$/), "differently"],
    ["a pattern with a bare dot", z.string().max(9).regex(/^a.b$/), "line ends"],
    [
      "a pattern that is not anchored",
      z
        .string()
        .max(9)
        .regex(/[a-z]+/),
      "not anchored",
    ],
    ["an integer without a minimum", z.int().max(9), "has no minimum"],
    ["a fraction", z.number().min(0).max(1), "no single type"],
    ["a union", z.union([text, z.int().min(0)]), "no single type"],
    ["a nullable field", text.nullable(), '"nullable"'],
    ["anything at all", z.any(), "no single type"],
    ["a value that YAML 1.1 reads as a boolean", z.enum(["Strict", "Off"]), 'the value "Off"'],
    ["a list without a bound", z.array(text).meta(atomic), "has no maxItems"],
    [
      "a required set that may be empty, which server-side apply takes away",
      z.array(text).max(2).meta({ "x-kubernetes-list-type": "set" }),
      "gone when it is empty",
    ],
    ["a list without a list type", z.array(text).max(2), "x-kubernetes-list-type"],
    [
      "a set of objects",
      z.array(z.strictObject({ text })).max(2).meta({ "x-kubernetes-list-type": "set" }),
      "not a scalar",
    ],
    [
      "a map without keys",
      z.array(z.strictObject({ text })).max(2).meta({ "x-kubernetes-list-type": "map" }),
      "without",
    ],
    [
      "a map whose key its items may lack",
      z
        .array(z.strictObject({ name: text.optional() }))
        .max(2)
        .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] }),
      "may lack",
    ],
    [
      "a map by a field that is not there",
      z
        .array(z.strictObject({ text }))
        .max(2)
        .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] }),
      "no scalar field",
    ],
    [
      "an atomic list with keys",
      z
        .array(text)
        .max(2)
        .meta({ ...atomic, "x-kubernetes-list-map-keys": ["a"] }),
      "keys",
    ],
    ["an object open to unknown fields", z.looseObject({ text }), "strictObject"],
    ["an object that drops unknown fields silently", z.object({ text }), "strictObject"],
    ["a map without a bound", z.record(z.string().max(5), text), "has no maxProperties"],
    ["a field without a description", z.strictObject({ bare: z.boolean() }), "has no description"],
    ["a mark it does not know", text.meta({ "x-kubernetes-int-or-string": true }), "does not know"],
  ])("%s", (_, field, reason) => {
    expect(() => converted(field)).toThrow(reason);
  });

  test("and names the field", () => {
    expect(() =>
      structuralSchema(one(z.strictObject({ inner: z.string().meta({ description: "x" }) })), "spec"),
    ).toThrow("Cannot make a structural schema: spec.field.inner has no maxLength.");
  });
});
