/** An independent reader takes the archive: skopeo, as an OCI archive and as what `docker load` reads. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, describe, expect, test } from "vitest";

import { buildImage } from "../../image/build.ts";
import { writeFileSync } from "node:fs";
import { findProgram } from "../support/peers/debian.ts";

const found = findProgram("skopeo");
if (found === undefined)
  console.log("skipped: reading the image by another program needs Debian's package skopeo");
const skopeo = (...words: string[]) => {
  const ended = spawnSync(found ?? "", ["--insecure-policy", ...words], { encoding: "utf8" });
  if (ended.status !== 0) throw new Error(ended.stderr);
  return ended.stdout;
};
const scratch = mkdtempSync(join(tmpdir(), "skopeo-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.skipIf(found === undefined).each(["amd64", "arm64"] as const)("for %s", (architecture) => {
  test("skopeo finds the digest we print, copies every blob, and reads it as Docker's archive too", async () => {
    const archive = join(scratch, `${architecture}.tar`);
    const name = "smtprelay.dev/test/image:1.2.3";
    const image = await buildImage({
      architecture,
      name,
      takeServed: true,
      print: (line) => console.log(line),
    });
    writeFileSync(archive, image.archive);

    const inspected = JSON.parse(skopeo("inspect", `oci-archive:${archive}`)) as Record<string, unknown>;
    expect(inspected).toMatchObject({
      Digest: image.digest,
      Architecture: architecture,
      Os: "linux",
      Layers: image.layers.map(({ digest }) => digest),
    });
    // Copying checks each blob against its digest.
    const copy = join(scratch, `${architecture}.copy`);
    skopeo("copy", `oci-archive:${archive}:1.2.3`, `dir:${copy}`);
    expect(JSON.parse(readFileSync(join(copy, "manifest.json"), "utf8"))).toMatchObject({
      layers: image.layers.map(({ digest, packedBytes }) => ({ digest, size: packedBytes })),
    });
    const asDocker = JSON.parse(skopeo("inspect", "--config", `docker-archive:${archive}:${name}`)) as object;
    expect(asDocker).toMatchObject({
      architecture,
      config: { User: "65532:65532", Entrypoint: ["/usr/local/bin/node"], WorkingDir: "/app" },
    });
  }, 300_000);
});
