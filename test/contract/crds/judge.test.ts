/** Local mode's judge against the table of verdicts. */
import { describe, expect, test } from "vitest";

import { celRules } from "../../../crds/celRules.ts";
import type { KindName } from "../../../crds/group.ts";
import { judgeManifest } from "../../../crds/judge.ts";
import { openApiSchemas } from "../../../crds/openApi.ts";
import type { Problem } from "../../../crds/problems.ts";
import type { StructuralSchema } from "../../../crds/schemaTypes.ts";
import { full } from "./manifests.ts";
import type { Verdict } from "./verdict.ts";
import { verdicts } from "./verdicts.ts";

describe("the judge agrees with the table", () => {
  test.each(verdicts)("$because", ({ manifest, old, refused }) => {
    const judgement = judgeManifest(manifest, old);

    const problems = judgement.ok ? [] : judgement.problems;
    const agreed = refused === undefined ? judgement.ok : problems.some((found) => isThat(found, refused));
    expect({ agreed, problems }).toEqual({ agreed: true, problems });
  });
});

describe("the table is whole", () => {
  test("every CEL rule refuses something", () => {
    const used = new Set(verdicts.map(({ refused }) => refused?.rule));

    expect(celRules.filter(({ message }) => !used.has(message))).toEqual([]);
  });

  test("rows have names of their own", () => {
    expect(new Set(verdicts.map(({ because }) => because)).size).toBe(verdicts.length);
  });

  test.each(["SmtpRelay", "SendingDomain", "IpPool"] satisfies KindName[])(
    "the full %s sets every field of its spec, so that every bound has its row",
    (kind) => {
      expect(unset(openApiSchemas[kind].spec, [full[kind]["spec"]], "spec")).toEqual([]);
    },
  );
});

function isThat(found: Problem, refused: NonNullable<Verdict["refused"]>): boolean {
  return found.path === refused.at && found.kind === refused.as && found.message.includes(refused.rule ?? "");
}

/** Fields that none of `values` sets. */
function unset(schema: StructuralSchema, values: readonly unknown[], path: string): string[] {
  const present = values.filter((value) => value !== undefined);
  if (present.length === 0) return [path];
  if (schema.type === "array") {
    return unset(
      schema.items,
      present.flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [])),
      `${path}[]`,
    );
  }
  if (schema.type !== "object") return [];
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
    unset(
      property,
      present.map((value) => (value as Readonly<Record<string, unknown>>)[name]),
      `${path}.${name}`,
    ),
  );
}
