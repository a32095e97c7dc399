/**
 * npm run generate: writes the CRDs and the reference pages that come from crds/.
 *
 *   npm run generate              writes what changed and removes what is no longer generated
 *   npm run generate -- --check   writes nothing; exit 1 and names of stale files when there are any
 *
 * `--root DIR` works on another folder than the repository.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

import { generatedFiles } from "./generatedFiles.ts";
import { GENERATED_NOTICE } from "./generatedNotice.ts";

const folders = ["crds/generated", "docs/reference"];

const { values } = parseArgs({
  options: {
    check: { type: "boolean", default: false },
    root: { type: "string", default: join(import.meta.dirname, "..") },
  },
});
const { root } = values;

const files = generatedFiles();
const stale: string[] = [];
for (const { path, text } of files) {
  if ((await readIfThere(join(root, path))) !== text) stale.push(path);
}
const orphans: string[] = [];
for (const folder of folders) {
  for (const name of await listIfThere(join(root, folder))) {
    const path = `${folder}/${name}`;
    if (files.some((file) => file.path === path)) continue;
    // Files of other generators are theirs to keep.
    const start = (await readIfThere(join(root, path)))?.slice(0, 200) ?? "";
    if (start.includes(GENERATED_NOTICE)) orphans.push(path);
  }
}

if (values.check) {
  for (const path of stale) console.error(`stale: ${path}`);
  for (const path of orphans) console.error(`not generated any more: ${path}`);
  if (stale.length + orphans.length > 0) {
    console.error("Run `npm run generate` and commit what it writes.");
    process.exitCode = 1;
  }
} else {
  for (const { path, text } of files.filter((file) => stale.includes(file.path))) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
    console.log(`wrote ${path}`);
  }
  for (const path of orphans) {
    await rm(join(root, path));
    console.log(`removed ${path}`);
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function listIfThere(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
