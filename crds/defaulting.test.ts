import { describe, expect, test } from "vitest";

import { pruned, withDefaults } from "./defaulting.ts";
import { openApiSchemas } from "./openApi.ts";
import type { ObjectSchema } from "./schemaTypes.ts";
import { kindSchemas } from "./schemas.ts";

const group: ObjectSchema = {
  type: "object",
  properties: {
    mode: { type: "string", maxLength: 9, default: "a" },
    size: { type: "string", maxLength: 9 },
    list: {
      type: "array",
      maxItems: 3,
      "x-kubernetes-list-type": "atomic",
      items: { type: "object", properties: { on: { type: "boolean", default: true } } },
    },
  },
};

describe("withDefaults()", () => {
  test("fills in what is left out, also inside lists", () => {
    expect(withDefaults(group, { list: [{}, { on: false }] })).toEqual({
      mode: "a",
      list: [{ on: true }, { on: false }],
    });
  });

  test("takes null for a field as left out, but not in a list", () => {
    expect(withDefaults(group, { mode: null, size: null, list: [null] })).toEqual({
      mode: "a",
      list: [null],
    });
  });

  test("leaves wrong types and unknown fields for the judge to name", () => {
    expect(withDefaults(group, { mode: 7, list: "x", other: null })).toEqual({
      mode: 7,
      list: "x",
      other: null,
    });
  });

  test("makes copies, so that no two objects share a default", () => {
    const schema = openApiSchemas.SmtpRelay.spec;
    const first = withDefaults(schema, {}) as { listeners: { port: number }[] };
    const second = withDefaults(schema, {}) as typeof first;

    expect(first.listeners).toEqual(second.listeners);
    expect(first.listeners[0]).not.toBe(second.listeners[0]);
  });

  test("does not let a manifest reach the prototype", () => {
    const filled = withDefaults(group, JSON.parse('{"__proto__": {"size": "9"}}'));

    expect(Object.getPrototypeOf(filled)).toBe(Object.prototype);
    expect(Object.keys(filled as object)).toContain("__proto__");
  });

  test("gives the same defaults as zod, kind by kind", () => {
    const smallest = {
      SmtpRelay: { hostname: "mail.example.com", poolRef: { name: "default" } },
      SendingDomain: { domain: "example.com", relayRef: { name: "mail" } },
      IpPool: { addresses: [{ name: "a", ip: "192.0.2.1", ehloName: "a.example.com" }] },
    };
    for (const kind of ["SmtpRelay", "SendingDomain", "IpPool"] as const) {
      const byZod: unknown = kindSchemas[kind].spec.parse(smallest[kind]);
      expect(withDefaults(openApiSchemas[kind].spec, smallest[kind])).toEqual(byZod);
    }
  });
});

describe("pruned()", () => {
  test("leaves out what the schema does not know, at any depth", () => {
    expect(pruned(group, { mode: "a", x: 1, list: [{ on: true, y: 2 }] })).toEqual({
      mode: "a",
      list: [{ on: true }],
    });
  });

  test("keeps the keys of maps", () => {
    const map: ObjectSchema = {
      type: "object",
      maxProperties: 3,
      additionalProperties: { type: "boolean" },
    };
    expect(pruned(map, { a: true, b: false })).toEqual({ a: true, b: false });
  });
});
