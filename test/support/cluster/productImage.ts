/** The image of a release (npm run image), made of the working tree, for a node of the tests to import. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { buildImage } from "../../../image/build.ts";

export const PRODUCT_IMAGE = {
  repository: "smtprelay.dev/test/smtp-relay-operator",
  tag: "working-tree",
};

export interface ImageArchive extends Disposable {
  /** Path of the OCI archive. */
  readonly archive: string;
}

/** Some seconds once its parts are in the cache; what has to be fetched is printed. */
export async function productImage(print: (line: string) => void): Promise<ImageArchive> {
  const { repository, tag } = PRODUCT_IMAGE;
  const { archive } = await buildImage({
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    name: `${repository}:${tag}`,
    // A new machine must not stop because Debian has moved on since the lock was written.
    takeServed: true,
    print,
  });
  const folder = mkdtempSync(join(tmpdir(), "image-"));
  const path = join(folder, "image.tar");
  writeFileSync(path, archive);
  return { archive: path, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}
