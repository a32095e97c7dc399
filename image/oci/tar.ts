/** Files → tar. Same files, same bytes: owner root, no names, times at the epoch, one order. */
import { packTar, type TarEntry } from "modern-tar";

import { type ImageFile, inOrder } from "../files.ts";

const EPOCH = new Date(0);

export async function tarOf(files: readonly ImageFile[]): Promise<Uint8Array> {
  return await packTar(inOrder(files).map(entryOf));
}

function entryOf(file: ImageFile): TarEntry {
  const fixed = { mtime: EPOCH, uid: 0, gid: 0, uname: "", gname: "" };
  switch (file.kind) {
    case "folder":
      return { header: { ...fixed, name: `${file.path}/`, type: "directory", mode: file.mode, size: 0 } };
    case "link":
      return {
        header: { ...fixed, name: file.path, type: "symlink", linkname: file.target, mode: 0o777, size: 0 },
      };
    case "file":
      return {
        header: { ...fixed, name: file.path, type: "file", mode: file.mode, size: file.content.length },
        body: file.content,
      };
  }
}
