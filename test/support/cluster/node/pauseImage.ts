/**
 * The image every pod starts with, made on the spot: one static Go program (pause/main.go) in an OCI archive,
 * written without a container engine and kept in the cache under the digest of its source.
 */
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { cacheFolder } from "../../../../image/cacheFolder.ts";
import { PROGRAM } from "../../../../image/files.ts";
import { packImage } from "../../../../image/oci/archive.ts";
import { runProgram } from "../../peers/program.ts";
import { goIsMissing } from "../goBuild.ts";

export const PAUSE_IMAGE = "smtprelay.dev/test/pause:1";
const NOBODY = "65534:65534";

/** Path of the archive. Throws where there is no Go. */
export async function providePauseImage(environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const source = join(import.meta.dirname, "pause", "main.go");
  const digest = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(cacheFolder(environment), "pause");
  const archive = join(folder, `${digest}-${process.arch}.tar`);
  if (existsSync(archive)) return archive;

  const missing = goIsMissing();
  if (missing !== null) throw new Error(`Cannot make the pause image: ${missing}.`);
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(join(folder, ".make-"));
  try {
    copyFileSync(source, join(scratch, "main.go"));
    const flags = ["-trimpath", "-ldflags", "-s -w", "-o", join(scratch, "pause")];
    await runProgram("go", ["build", ...flags, join(scratch, "main.go")], {
      env: { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOFLAGS: "", GO111MODULE: "off" },
      seconds: 300,
    });
    const draft = join(scratch, "image.tar");
    const content = readFileSync(join(scratch, "pause"));
    const { archive: bytes } = await packImage({
      name: PAUSE_IMAGE,
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      layers: [{ name: "pause", files: [{ kind: "file", path: "pause", mode: PROGRAM, content }] }],
      entrypoint: ["/pause"],
      user: NOBODY,
      created: "1970-01-01T00:00:00Z",
    });
    writeFileSync(draft, bytes);
    renameSync(draft, archive);
    return archive;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
