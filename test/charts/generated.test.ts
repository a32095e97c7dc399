/** What the chart holds fits what it comes from: no Helm is needed to see that. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";
import { parse } from "yaml";

import { chartFiles } from "../../charts/generatedFiles.ts";
import { chartValues, valueLines, valuesSchema } from "../../charts/values.ts";
import { chartFolder, repository } from "../support/charts/helm.ts";

const read = (path: string) => readFileSync(join(repository, path), "utf8");
const crdNames = readdirSync(join(repository, "crds/generated")).filter((name) => name.endsWith(".yaml"));
const crds = new Map(crdNames.map((name) => [name, read(`crds/generated/${name}`)] as const));
const readme = read("charts/smtp-relay-operator/README.md");

test.each(chartFiles({ crds, readme }))("$path is fresh", ({ path, text }) => {
  expect(read(path)).toBe(text);
});

test("values.yaml says what the schema's defaults say", () => {
  const values: unknown = parse(read("charts/smtp-relay-operator/values.yaml"));

  expect(values).toEqual(chartValues.parse({}));
});

test("every value is described", () => {
  expect(valueLines().length).toBeGreaterThan(40);
  expect(valueLines().filter(({ description }) => description === "")).toEqual([]);
});

test("no group of values takes a key it does not know", () => {
  const schema = valuesSchema() as { properties: Record<string, { properties?: object }> };
  const groups = Object.entries(schema.properties).filter(([, { properties }]) => properties !== undefined);

  expect(schema).toMatchObject({ additionalProperties: false });
  expect(groups.length).toBeGreaterThan(5);
  for (const [, group] of groups) expect(group).toMatchObject({ additionalProperties: false });
});

test("a CRD that Helm would misread is not made into a template", () => {
  const broken = new Map([["a.yaml", "metadata:\n  name: a\nspec: {{ x }}\n"]]);

  expect(() => chartFiles({ crds: broken, readme })).toThrow("{{");
});

test("every value a template asks for exists", () => {
  const known = new Set(valueLines().map(({ path }) => path));
  const asked = readdirSync(join(chartFolder, "templates"), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(yaml|tpl|txt)$/.test(path))
    .flatMap((path) => [
      ...read(`charts/smtp-relay-operator/templates/${path}`).matchAll(/\.Values\.([\w.]+)/g),
    ])
    .map((match) => match[1] ?? "");

  expect(asked.length).toBeGreaterThan(40);
  expect([...new Set(asked)].filter((path) => !known.has(path))).toEqual([]);
});

test("every value is asked for by a template", () => {
  const text = readdirSync(join(chartFolder, "templates"), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(yaml|tpl|txt)$/.test(path))
    .map((path) => read(`charts/smtp-relay-operator/templates/${path}`))
    .join("\n");

  expect(valueLines().filter(({ leaf, path }) => leaf && !text.includes(`.Values.${path}`))).toEqual([]);
});
