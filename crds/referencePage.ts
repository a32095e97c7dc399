/**
 * docs/reference/KIND.md: every field, condition, reason and rule of a kind, from the same source as its
 * CRD. Pure; generate.ts writes the page.
 */
import { celRules, type CelRule, isTransitionRule } from "./celRules.ts";
import { type ConditionMeaning, conditionTypes, type ReasonMeaning, reasons } from "./conditions.ts";
import { customResourceDefinition } from "./customResourceDefinition.ts";
import { API_VERSION, CATEGORY, type KindName, kinds } from "./group.ts";
import { GENERATED_NOTICE } from "./generatedNotice.ts";
import { openApiSchemas } from "./openApi.ts";
import { kindSchemas } from "./schemas.ts";
import type { ArraySchema, ObjectSchema, StructuralSchema } from "./schemaTypes.ts";

const NOTICE = `<!-- ${GENERATED_NOTICE} -->`;

export function referencePage(kind: KindName): string {
  const { plural, shortNames } = kinds[kind];
  const { spec, status } = openApiSchemas[kind];
  return [
    NOTICE,
    `# ${kind}`,
    `\`${API_VERSION}\`, namespaced; \`kubectl get ${plural}\` (short: ${shortNames.map((name) => `\`${name}\``).join(", ")}; with the other kinds: \`${CATEGORY}\`).`,
    kindSchemas[kind].about,
    "## spec",
    "Fields without a default that are not required may be left out; the description says what happens then.",
    fieldTable(spec, "spec"),
    "## Rules",
    "Checked when a manifest is applied, after the bounds above. The field named is the one the refusal names.",
    ruleTable(celRules.filter((rule) => rule.kind === kind)),
    "## Conditions",
    conditionTable(kind),
    "### Reasons",
    reasonTable(kind),
    "## status",
    "Written by the operator; what stands here in a manifest is passed over.",
    fieldTable(status, "status"),
    "## Columns",
    columnTable(kind),
    "",
  ].join("\n\n");
}

interface Row {
  readonly path: string;
  readonly schema: StructuralSchema;
  readonly required: boolean;
}

function fieldTable(schema: ObjectSchema, path: string): string {
  return table(
    ["field", "type", "default", "meaning"],
    rowsOf(schema, path).map((row) => [
      code(row.path),
      [typeOf(row.schema), ...boundsOf(row.schema)].join("<br>"),
      row.required ? "**required**" : defaultOf(row.schema),
      row.schema.description ?? "",
    ]),
  );
}

function rowsOf(schema: StructuralSchema, path: string): Row[] {
  if (schema.type === "array") return rowsOf(schema.items, `${path}[]`);
  if (schema.type !== "object") return [];
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const at = `${path}.${name}`;
    const required = schema.required?.includes(name) === true;
    return [{ path: at, schema: property, required }, ...rowsOf(property, at)];
  });
}

function typeOf(schema: StructuralSchema): string {
  switch (schema.type) {
    case "array":
      return `list of ${schema.items.type === "object" ? "objects" : typeOf(schema.items)}`;
    case "object":
      return schema.additionalProperties === undefined
        ? "object"
        : `map to ${typeOf(schema.additionalProperties)}`;
    case "string":
      if (schema.format === "date-time") return "time (RFC 3339)";
      return schema.enum === undefined ? "string" : schema.enum.map((value) => code(value)).join(", ");
    case "boolean":
    case "integer":
      return schema.type;
  }
}

function boundsOf(schema: StructuralSchema): string[] {
  switch (schema.type) {
    case "array":
      return [
        `${span(schema.minItems, schema.maxItems)} items`,
        ...uniquenessOf(schema),
        ...itemBounds(schema.items),
      ];
    case "string":
      return schema.maxLength === undefined ? [] : [`${span(schema.minLength, schema.maxLength)} characters`];
    case "integer":
      return schema.maximum === undefined
        ? [`at least ${count(schema.minimum)}`]
        : [span(schema.minimum, schema.maximum)];
    case "object":
      return schema.maxProperties === undefined ? [] : [span(undefined, schema.maxProperties)];
    case "boolean":
      return [];
  }
}

function uniquenessOf(schema: ArraySchema): string[] {
  switch (schema["x-kubernetes-list-type"]) {
    case "map":
      return [`unique by ${(schema["x-kubernetes-list-map-keys"] ?? []).map(code).join(", ")}`];
    case "set":
      return ["no two alike"];
    case "atomic":
      return [];
  }
}

/** Objects have rows of their own. */
function itemBounds(items: StructuralSchema): string[] {
  return items.type === "object" ? [] : boundsOf(items).map((bound) => `each: ${bound}`);
}

function span(least: number | undefined, most: number): string {
  return least === undefined ? `at most ${count(most)}` : `${count(least)}–${count(most)}`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** Defaults of groups are those of their fields, which have rows of their own. */
function defaultOf(schema: StructuralSchema): string {
  if (schema.default === undefined) return "";
  return schema.type === "object" ? "see fields" : code(JSON.stringify(schema.default));
}

function ruleTable(rules: readonly CelRule[]): string {
  return table(
    ["field", "message", "rule"],
    rules.map((rule) => [
      code(`${rule.path}${rule.fieldPath ?? ""}`.replace(/^\./, "")),
      `${rule.message}${isTransitionRule(rule) ? " (on change)" : ""}`,
      rule.rule.length > 160 ? "a pattern; see the CRD" : code(rule.rule),
    ]),
  );
}

function conditionTable(kind: KindName): string {
  const types: Readonly<Record<string, ConditionMeaning>> = conditionTypes[kind];
  return table(
    ["type", "True", "False", "Unknown"],
    Object.entries(types).map(([type, meaning]) => [
      code(type),
      meaning.true,
      meaning.false,
      meaning.unknown,
    ]),
  );
}

function reasonTable(kind: KindName): string {
  const all: readonly (readonly [string, ReasonMeaning])[] = Object.entries(reasons);
  return table(
    ["reason", "may stand at", "when", "what to do"],
    all
      .filter(([, meaning]) => meaning.kinds.includes(kind))
      .map(([reason, meaning]) => [
        code(reason),
        placementsOf(kind, meaning).map(code).join("<br>"),
        meaning.when,
        meaning.next,
      ]),
  );
}

/** A reason of several kinds may stand at conditions that this kind has not. */
function placementsOf(kind: KindName, meaning: ReasonMeaning): string[] {
  const types = Object.keys(conditionTypes[kind]);
  return meaning.on.filter((placement) => types.some((type) => placement.startsWith(`${type}=`)));
}

function columnTable(kind: KindName): string {
  const [version] = customResourceDefinition(kind).spec.versions;
  return table(
    ["column", "from", "meaning"],
    version.additionalPrinterColumns.map((column) => [
      `${column.name.toUpperCase()}${column.priority === 1 ? " (`-o wide`)" : ""}`,
      code(column.jsonPath),
      column.description ?? "",
    ]),
  );
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(header), `|${" --- |".repeat(header.length)}`, ...rows.map(line)].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function code(text: string): string {
  return text === "" ? "" : `\`${text}\``;
}
