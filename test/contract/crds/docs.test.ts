/** The manifests on our pages are ones the API server takes: who pastes them must not be refused. */
import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";

import { conditionTypes, reasons } from "../../../crds/conditions.ts";
import { judgeManifest } from "../../../crds/judge.ts";

const root = new URL("../../../", import.meta.url);
const specPages = readdirSync(new URL("docs/spec/", root)).map((name) => `docs/spec/${name}`);
const textOf = (page: string) => readFileSync(new URL(page, root), "utf8");

/** Whole manifests among the YAML blocks of a page; a block without apiVersion is an outline. */
function manifestsOf(page: string): unknown[] {
  return [...textOf(page).matchAll(/^```yaml\n(.*?)^```$/gms)]
    .map(([, block = ""]) => block)
    .filter((block) => block.includes("apiVersion:"))
    .flatMap((block) => parseAllDocuments(block).map((document) => document.toJS() as unknown));
}

test("every kind has its page", () => {
  expect(specPages.toSorted()).toEqual([
    "docs/spec/ippool.md",
    "docs/spec/sendingdomain.md",
    "docs/spec/smtprelay.md",
  ]);
});

describe.each(["README.md", ...specPages])("%s", (page) => {
  test("shows manifests that are accepted", () => {
    const problems = manifestsOf(page).flatMap((manifest) => {
      const judgement = judgeManifest(manifest);
      return judgement.ok ? [] : judgement.problems;
    });

    expect(problems).toEqual([]);
  });
});

describe.each(specPages)("%s", (page) => {
  test("has examples", () => {
    expect(manifestsOf(page).length).toBeGreaterThan(1);
  });

  test("names no condition or reason that does not exist, and every condition of its kind", () => {
    const known = new Set([...Object.values(conditionTypes).flatMap(Object.keys), ...Object.keys(reasons)]);
    const firstCells = [...textOf(page).matchAll(/^\| (`[A-Z].*?) \|/gm)].map(([, cell = ""]) => cell);
    const named = firstCells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, word = ""]) => word));
    const kind = Object.entries(conditionTypes).find(([name]) => page.includes(`/${name.toLowerCase()}.`));

    expect(named.filter((word) => !known.has(word))).toEqual([]);
    expect(Object.keys(kind?.[1] ?? {}).filter((type) => !named.includes(type))).toEqual([]);
    expect(kind).toBeDefined();
  });
});
