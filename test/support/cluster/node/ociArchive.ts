/**
 * A root folder as an image of one layer in an OCI archive (image-spec: image layout, manifest,
 * configuration), which `ctr images import` takes. The layer is plain tar: it never travels.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { runProgram } from "../../peers/program.ts";

export interface ImageContent {
  /** Full name with tag; containerd takes it as it is. */
  readonly name: string;
  /** Folder that becomes "/". */
  readonly root: string;
  readonly entrypoint: readonly string[];
  /** "uid:gid"; default: nobody. */
  readonly user?: string;
  readonly workingFolder?: string;
  /** "NAME=value" each. */
  readonly environment?: readonly string[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Same files, same archive: owners, times and order are fixed. */
const plainTar = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=posix"];
const steady = [...plainTar, "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"];

export async function writeOciArchive(target: string, content: ImageContent): Promise<void> {
  const layout = `${target}.layout`;
  const blobs = join(layout, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  try {
    const layerFile = join(layout, "layer");
    await runProgram("tar", [...steady, "-cf", layerFile, "-C", content.root, "."]);
    const layer = describe("application/vnd.oci.image.layer.v1.tar", readFileSync(layerFile));
    renameSync(layerFile, join(blobs, hex(layer)));
    const store = (mediaType: string, value: unknown): Descriptor => {
      const bytes = Buffer.from(JSON.stringify(value));
      const descriptor = describe(mediaType, bytes);
      writeFileSync(join(blobs, hex(descriptor)), bytes);
      return descriptor;
    };
    const config = store("application/vnd.oci.image.config.v1+json", {
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      config: {
        Entrypoint: content.entrypoint,
        User: content.user ?? "65534:65534",
        WorkingDir: content.workingFolder,
        Env: content.environment,
      },
      rootfs: { type: "layers", diff_ids: [layer.digest] },
    });
    const manifest = store("application/vnd.oci.image.manifest.v1+json", {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config,
      layers: [layer],
    });
    writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    const index = {
      schemaVersion: 2,
      manifests: [{ ...manifest, annotations: { "io.containerd.image.name": content.name } }],
    };
    writeFileSync(join(layout, "index.json"), JSON.stringify(index));
    await runProgram("tar", [...steady, "-cf", target, "-C", layout, "."]);
    if (statSync(target).size === 0) throw new Error(`Cannot write ${target}: it is empty.`);
  } finally {
    rmSync(layout, { recursive: true, force: true });
  }
}

function describe(mediaType: string, bytes: Buffer): Descriptor {
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  return { mediaType, digest, size: bytes.length };
}

function hex({ digest }: Descriptor): string {
  return digest.slice("sha256:".length);
}
