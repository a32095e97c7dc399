import { describe, expect, test } from "vitest";

import { checkRule } from "./cel.ts";
import { type CelRule, celRules } from "./celRules.ts";
import { customResourceDefinition, resourceSchema } from "./customResourceDefinition.ts";
import { generatedFiles, CRD_MAX_BYTES } from "./generatedFiles.ts";
import type { KindName } from "./group.ts";
import { kindSchemas } from "./schemas.ts";
import { requireRe2 } from "./re2.ts";

const kindNames = Object.keys(kindSchemas) as KindName[];

function version(kind: KindName) {
  return customResourceDefinition(kind).spec.versions[0];
}

describe("customResourceDefinition()", () => {
  test("has the columns that `kubectl get smtp` shows, readiness first and age last", () => {
    const shown = kindNames.map((kind) =>
      version(kind)
        .additionalPrinterColumns.filter(({ priority }) => priority === undefined)
        .map(({ name }) => name.toUpperCase()),
    );

    expect(shown).toEqual([
      ["READY", "REPLICAS", "QUEUED", "OLDEST", "AGE"],
      ["READY", "DOMAIN", "SELECTOR", "DNS", "NEXT-ROTATION", "AGE"],
      ["READY", "ADDRESSES", "WARMING", "TODAY", "REPUTATION", "AGE"],
    ]);
  });

  test("points columns, scale and selectable fields at fields that exist", () => {
    for (const kind of kindNames) {
      const { additionalPrinterColumns, selectableFields, subresources } = version(kind);
      const paths = [
        ...additionalPrinterColumns.map(({ jsonPath }) => jsonPath),
        ...(selectableFields ?? []).map(({ jsonPath }) => jsonPath),
        ...Object.values(subresources.scale ?? {}),
      ].filter((path) => !path.startsWith(".metadata"));
      expect(paths.filter((path) => !exists(kind, path))).toEqual([]);
    }
  });

  test("lets an autoscaler find the pods of an SmtpRelay, and of nothing else", () => {
    expect(version("SmtpRelay").subresources.scale).toEqual({
      specReplicasPath: ".spec.replicas",
      statusReplicasPath: ".status.replicas",
      labelSelectorPath: ".status.selector",
    });
    expect(version("IpPool").subresources).toEqual({ status: {} });
    expect(version("SendingDomain").subresources).toEqual({ status: {} });
  });

  test("has short names that are no plural or short name of another kind", () => {
    const names = kindNames.flatMap((kind) => {
      const { plural, singular, shortNames } = customResourceDefinition(kind).spec.names;
      return [plural, singular, ...shortNames];
    });

    expect(new Set(names).size).toBe(names.length);
  });

  test("carries every rule at its place", () => {
    const carried = kindNames.flatMap((kind) => rulesIn(resourceSchema(kind)));

    expect(carried.sort()).toEqual(celRules.map(({ rule }) => rule).sort());
  });

  test("stays far below what an annotation can hold", () => {
    const sizes = generatedFiles()
      .filter(({ path }) => path.endsWith(".yaml"))
      .map(({ text }) => Buffer.byteLength(text));

    expect(sizes).toHaveLength(3);
    expect(Math.max(...sizes)).toBeLessThan(CRD_MAX_BYTES / 2);
  });
});

describe("CEL rules", () => {
  test.each(celRules)("$kind $path: $rule is CEL that yields a boolean", (rule) => {
    expect(checkRule(rule)).toBeNull();
  });

  test("checkRule() finds what is no CEL", () => {
    const broken: CelRule = { kind: "IpPool", path: "spec", rule: "self.ramp ==", message: "" };

    expect(checkRule(broken)).toContain("Unexpected");
    expect(checkRule({ ...broken, rule: "nope(self)" })).toContain("nope");
    expect(checkRule({ ...broken, rule: "size(self)" })).toContain("not bool");
  });

  test("hold no pattern that RE2 does not know, and no backslash that CEL would eat", () => {
    const patterns = celRules.flatMap(({ rule }) =>
      [...rule.matchAll(/matches\('([^']*)'\)/g)].map(([, pattern]) => pattern ?? ""),
    );

    expect(patterns.length).toBeGreaterThan(4);
    for (const pattern of patterns) {
      expect(pattern).not.toContain("\\");
      // The API server searches; one pattern is meant to match the start only.
      if (pattern.endsWith("$")) requireRe2(pattern, "a rule");
    }
  });

  test("have one message each, so that a refusal names one rule", () => {
    const messages = celRules.map(({ kind, message }) => `${kind} ${message}`);

    expect(new Set(messages).size).toBe(messages.length);
  });
});

function exists(kind: KindName, path: string): boolean {
  let at: unknown = resourceSchema(kind);
  for (const step of path.replace(/\[\?\(.*\)\]/, "[]").split(/\.|(?=\[\])/)) {
    if (step === "") continue;
    const schema = at as { properties?: Record<string, unknown>; items?: unknown } | undefined;
    at = step === "[]" ? schema?.items : schema?.properties?.[step];
  }
  return at !== undefined;
}

function rulesIn(schema: unknown): string[] {
  if (Array.isArray(schema)) return schema.flatMap(rulesIn);
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) =>
    key === "x-kubernetes-validations"
      ? (value as { rule: string }[]).map(({ rule }) => rule)
      : rulesIn(value),
  );
}
