/**
 * The product as the image has it, in a folder: our code as JavaScript beside the packages of this checkout. What
 * is measured is what ships; run from its sources every process would carry Node's type stripper besides.
 */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { writeFolder } from "../../image/folders.ts";
import { APP, codeLayer } from "../../image/layers.ts";

const root = join(import.meta.dirname, "../..");
let folder: string | null = null;

/** Folder in which `relay/main.js` and `operator/main.js` are; made once, gone with this process. */
export function shippedFolder(): string {
  if (folder !== null) return folder;
  const made = mkdtempSync(join(tmpdir(), "shipped-"));
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  writeFolder(made, codeLayer(root));
  folder = join(made, APP);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}
