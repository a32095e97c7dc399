/**
 * Writes the parts of the chart that come from charts/values.ts and crds/generated, and config/ from what
 * Helm makes of the chart.
 *
 *   node bin/run.mjs charts/generate.ts             writes what changed
 *   node bin/run.mjs charts/generate.ts --check     writes nothing; exit 1 and names of stale files when there are any
 *
 * `--helm PATH` names the Helm for config/ (test/support/charts/generate.ts does); without one, and none on the
 * PATH, config/rbac and config/operator stay as they are.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

import { CHART, chartFiles, type GeneratedFile } from "./generatedFiles.ts";
import { kustomizeBase, RELEASE } from "./kustomizeBase.ts";

const { values } = parseArgs({
  options: {
    check: { type: "boolean", default: false },
    root: { type: "string", default: join(import.meta.dirname, "..") },
    helm: { type: "string", default: "helm" },
  },
});
const { check, root, helm } = values;

const crdFolder = join(root, "crds/generated");
const crds = new Map(
  readdirSync(crdFolder)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => [name, readFileSync(join(crdFolder, name), "utf8")] as const),
);
const stale = settle(chartFiles({ crds, readme: readFileSync(join(root, CHART, "README.md"), "utf8") }));
if (spawnSync(helm, ["version"]).status === 0) {
  const arguments_ = ["template", RELEASE, join(root, CHART), "--namespace", RELEASE];
  stale.push(
    ...settle(kustomizeBase(execFileSync(helm, arguments_, { encoding: "utf8", maxBuffer: 2 ** 26 }))),
  );
} else {
  console.error(
    "no helm: config/rbac and config/operator were not looked at; npm test -- --only charts gets one and compares them",
  );
}

if (check && stale.length > 0) {
  for (const path of stale) console.error(`stale: ${path}`);
  console.error("Run `npm run generate` and commit what it writes.");
  process.exitCode = 1;
}

/** Names of the files that were not as wanted; written at once, since config/ comes from the chart. */
function settle(files: readonly GeneratedFile[]): string[] {
  const outdated = files.filter(({ path, text }) => readIfThere(join(root, path)) !== text);
  if (check) return outdated.map(({ path }) => path);
  for (const { path, text } of outdated) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    console.log(`wrote ${path}`);
  }
  return [];
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
