/**
 * What an image is made of: files as data. A layer is a list of them; nothing is staged on a disk, so that no
 * umask, clock or order of a folder can get into an image.
 */

export type ImageFile =
  | { readonly kind: "folder"; readonly path: string; readonly mode: number }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: Uint8Array };

export interface Layer {
  readonly name: string;
  readonly files: readonly ImageFile[];
}

/** All may read, nobody may write. */
export const PLAIN = 0o644;
export const PROGRAM = 0o755;

/** `path` is absolute in the image, without the leading "/". */
export function textFile(path: string, text: string): ImageFile {
  return { kind: "file", path, mode: PLAIN, content: Buffer.from(text) };
}

/**
 * The files in one order, with the folders they stand in before them. Throws where two files claim one path:
 * which of them wins would be chance.
 */
export function inOrder(files: readonly ImageFile[]): readonly ImageFile[] {
  const all = new Map<string, ImageFile>();
  for (const file of files) {
    const parts = file.path.split("/");
    if (parts.some((part) => part === "" || part === "." || part === "..")) {
      throw new Error(
        `Cannot put "${file.path}" into an image: a path is relative, without empty or dot parts.`,
      );
    }
    for (let depth = 1; depth < parts.length; depth += 1) {
      const path = parts.slice(0, depth).join("/");
      const there = all.get(path);
      if (there === undefined) all.set(path, { kind: "folder", path, mode: PROGRAM });
      else if (there.kind !== "folder") {
        throw new Error(`Cannot put "${file.path}" into an image: "${path}" is no folder there.`);
      }
    }
    const there = all.get(file.path);
    if (there !== undefined && !(there.kind === "folder" && file.kind === "folder")) {
      throw new Error(`Cannot put "${file.path}" into an image twice.`);
    }
    all.set(file.path, file);
  }
  // By code point: what a locale thinks of an order differs between machines.
  return [...all.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

export function sizeOf(files: readonly ImageFile[]): number {
  return files.reduce((sum, file) => sum + (file.kind === "file" ? file.content.length : 0), 0);
}
