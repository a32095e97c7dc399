/** The files of the image in a folder, and programs run in it as in a container: they see nothing else of the machine. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { BuiltImage } from "../../image/build.ts";
import { writeFolder } from "../../image/folders.ts";
import { runtime } from "../../image/build.ts";
import { type Program, runProgram, startProgram } from "./peers/program.ts";

export interface ProductRoot extends Disposable {
  readonly path: string;
  /** Standard output; throws with all it said when it does not end well. */
  run(...words: string[]): Promise<string>;
  start(words: readonly string[], environment: Readonly<Record<string, string>>): Program;
}

/** chroot needs it. */
export const isRoot = process.getuid?.() === 0;

export function productRoot({ contents }: BuiltImage): ProductRoot {
  const path = mkdtempSync(join(tmpdir(), "product-root-"));
  // mkdtemp lets nobody else in.
  chmodSync(path, 0o755);
  for (const { files } of contents) writeFolder(path, files);
  const env = Object.fromEntries(runtime.environment.map((pair) => pair.split("=") as [string, string]));
  const words = (more: readonly string[]) => [`--userspec=${runtime.user}`, path, ...more];
  return {
    path,
    run: async (...more) => await runProgram("/usr/sbin/chroot", words(more), { env }),
    start: (more, environment) =>
      startProgram("/usr/sbin/chroot", words(more), { env: { ...env, ...environment } }),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}
