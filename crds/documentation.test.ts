/** What descriptions, messages and reasons say of fields is true: every field they name exists. */
import { describe, expect, test } from "vitest";

import { celRules } from "./celRules.ts";
import { conditionTypes, type ReasonMeaning, reasons } from "./conditions.ts";
import type { KindName } from "./group.ts";
import { openApiSchemas } from "./openApi.ts";
import { referencePage } from "./referencePage.ts";
import type { StructuralSchema } from "./schemaTypes.ts";

const kindNames = ["SmtpRelay", "SendingDomain", "IpPool"] as const satisfies KindName[];

/** Words in backquotes that are no fields: names in Secrets, commands, headers, examples. */
const otherWords = new Set(
  [
    ["password", "username", "tls.crt", "tls.key", "mail-app", "runtime", "tls-self-signed", "dkim", "total"],
    ["Received", "smtp-relay explain", "smtp-relay queue", "status", "app"],
    ["X-Queue-Class", "default"],
    ["example.com", "*.example.com", "2/2", "2/3", "38s", "20/400", "day 9/14", "warm", "r2611,e2611"],
  ].flat(),
);

interface Text {
  readonly kind: KindName;
  readonly text: string;
}

const texts: readonly Text[] = [
  ...kindNames.flatMap((kind) =>
    Object.values(openApiSchemas[kind]).flatMap((schema) =>
      descriptions(schema).map((text) => ({ kind, text })),
    ),
  ),
  ...celRules.map(({ kind, message }) => ({ kind, text: message })),
  ...Object.values(reasons).flatMap((meaning: ReasonMeaning) =>
    meaning.kinds.map((kind) => ({ kind, text: `${meaning.when} ${meaning.next}` })),
  ),
  ...kindNames.flatMap((kind) =>
    Object.values(conditionTypes[kind]).map((meaning) => ({ kind, text: Object.values(meaning).join(" ") })),
  ),
];

describe("no text promises a field that does not exist", () => {
  test("words in backquotes are fields of the kind, values of one, or known words", () => {
    const unknown = texts.flatMap(({ kind, text }) => {
      const schemas = Object.values(openApiSchemas[kind]);
      const names = new Set(schemas.flatMap(fieldNames));
      return [...text.matchAll(/`([^`]+)`/g)]
        .map(([, word]) => word ?? "")
        .filter((word) => !otherWords.has(word) && !isPath(word))
        .flatMap((word) => word.split(/: |\./))
        .filter((part) => !names.has(part))
        .map((part) => `${kind}: ${part} in "${text}"`);
    });

    expect(unknown).toEqual([]);
  });

  test("paths such as spec.checks lead to a field", () => {
    const paths = texts.flatMap(({ kind, text }) =>
      [...text.matchAll(/\b(?:spec|status)(?:\.[A-Za-z]+(?:\[\])?)+/g)].map(([path]) => ({ kind, path })),
    );

    expect(paths.length).toBeGreaterThan(15);
    expect(paths.filter(({ kind, path }) => !leadsSomewhere(kind, path))).toEqual([]);
  });

  test("the two tests above would notice", () => {
    expect(leadsSomewhere("SmtpRelay", "spec.observability")).toBe(false);
    expect(leadsSomewhere("SmtpRelay", "spec.auth.credentials[].domains")).toBe(true);
    expect(new Set(Object.values(openApiSchemas.SmtpRelay).flatMap(fieldNames))).not.toContain("issuerRef");
  });
});

describe("conditions and reasons", () => {
  test("every reason stands at a condition of each of its kinds", () => {
    const homeless = Object.entries(reasons).flatMap(([reason, meaning]: [string, ReasonMeaning]) =>
      meaning.kinds
        .filter((kind) => !meaning.on.some((placement) => hasCondition(kind, placement)))
        .map((kind) => `${kind} ${reason}`),
    );

    expect(homeless).toEqual([]);
  });

  test("every condition has a reason for each status it can have", () => {
    const all: readonly ReasonMeaning[] = Object.values(reasons);
    const mute = kindNames.flatMap((kind) =>
      Object.entries(conditionTypes[kind]).flatMap(([type, meaning]) =>
        (["True", "False", "Unknown"] as const)
          .filter((status) => meaning[status.toLowerCase() as "true"] !== "Not used.")
          // A stalled object repeats the reason of what blocks it.
          .filter(
            (status) =>
              !all.some((one) => one.kinds.includes(kind) && one.on.some((on) => on === `${type}=${status}`)),
          )
          .map((status) => `${kind} ${type}=${status}`),
      ),
    );

    expect(mute).toEqual([]);
  });

  test("are words the API server takes as reasons", () => {
    expect(Object.keys(reasons).filter((reason) => !/^[A-Z][A-Za-z]{2,40}$/.test(reason))).toEqual([]);
  });
});

describe("reference pages", () => {
  test.each(kindNames)("of %s name every field, condition, reason and rule", (kind) => {
    const page = referencePage(kind);
    const paths = [
      ...fieldPaths(openApiSchemas[kind].spec, "spec"),
      ...fieldPaths(openApiSchemas[kind].status, "status"),
    ];
    const wanted = [
      ...paths.map((path) => `| \`${path}\` |`),
      ...Object.keys(conditionTypes[kind]).map((type) => `| \`${type}\` |`),
      ...Object.entries(reasons)
        .filter(([, meaning]: [string, ReasonMeaning]) => meaning.kinds.includes(kind))
        .map(([reason]) => `| \`${reason}\` |`),
      ...celRules.filter((rule) => rule.kind === kind).map(({ message }) => message),
    ];

    expect(wanted.filter((text) => !page.includes(text))).toEqual([]);
  });

  test.each(kindNames)("of %s have tables whose rows are as wide as their heads", (kind) => {
    const widths = referencePage(kind)
      .split("\n\n")
      .filter((block) => block.startsWith("|"))
      .map(
        (block) =>
          new Set(block.split("\n").map((line) => line.replaceAll("\\|", "").split("|").length)).size,
      );

    expect(widths.every((count) => count === 1)).toBe(true);
  });
});

function hasCondition(kind: KindName, placement: string): boolean {
  return Object.keys(conditionTypes[kind]).some((type) => placement.startsWith(`${type}=`));
}

function descriptions(schema: StructuralSchema): string[] {
  const own = schema.description === undefined ? [] : [schema.description];
  return [...own, ...childrenOf(schema).flatMap(([, child]) => descriptions(child))];
}

/** Names of fields and values of enums. */
function fieldNames(schema: StructuralSchema): string[] {
  const values = schema.type === "string" ? (schema.enum ?? []) : [];
  return [...values, ...childrenOf(schema).flatMap(([name, child]) => [name, ...fieldNames(child)])];
}

function fieldPaths(schema: StructuralSchema, path: string): string[] {
  return childrenOf(schema).flatMap(([name, child]) => {
    const at = name === "[]" || name === "*" ? `${path}${name === "[]" ? "[]" : ""}` : `${path}.${name}`;
    return [...(name === "[]" || name === "*" ? [] : [at]), ...fieldPaths(child, at)];
  });
}

function childrenOf(schema: StructuralSchema): [string, StructuralSchema][] {
  if (schema.type === "array") return [["[]", schema.items]];
  if (schema.type !== "object") return [];
  const rest = schema.additionalProperties;
  return rest === undefined ? Object.entries(schema.properties ?? {}) : [["*", rest]];
}

function isPath(word: string): boolean {
  return /^(spec|status)\./.test(word);
}

function leadsSomewhere(kind: KindName, path: string): boolean {
  const [part, ...steps] = path.replaceAll("[]", ".[]").split(".");
  if (part !== "spec" && part !== "status") return false;
  let at: StructuralSchema | undefined = openApiSchemas[kind][part];
  for (const step of steps) {
    const children: readonly [string, StructuralSchema][] = at === undefined ? [] : childrenOf(at);
    at = children.find(([name]) => name === step)?.[1];
  }
  return at !== undefined;
}
