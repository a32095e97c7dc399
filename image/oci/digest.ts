import { createHash } from "node:crypto";

/** As the image-spec writes it. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export function hexOf(digest: string): string {
  return digest.slice("sha256:".length);
}
