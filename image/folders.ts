/** Layers as folders, one each, for a builder that copies them one by one (Containerfile). */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { inOrder, type Layer } from "./files.ts";

export function writeFolders(root: string, layers: readonly Layer[]): void {
  for (const { name, files } of layers) writeFolder(join(root, name), files);
}

/** Into a folder that does not exist yet, or is that of a layer below. */
export function writeFolder(folder: string, files: Layer["files"]): void {
  mkdirSync(folder, { recursive: true });
  for (const file of inOrder(files)) {
    const path = join(folder, file.path);
    switch (file.kind) {
      case "folder":
        mkdirSync(path, { recursive: true });
        break;
      case "link":
        symlinkSync(file.target, path);
        continue;
      case "file":
        writeFileSync(path, file.content);
        break;
    }
    // What the umask took is given back.
    chmodSync(path, file.mode);
  }
}
