/**
 * An image as one file (OCI image-spec 1.1: image layout, index, manifest, configuration, layers), for `ctr images
 * import`, skopeo, k3s and kind; with the list `docker load` looks for beside it. Written without a container
 * engine, and the same bytes for the same image.
 */
import { type ImageFile, inOrder, type Layer, PLAIN } from "../files.ts";
import { digestOf, hexOf } from "./digest.ts";
import { gzipLayer } from "./gzip.ts";
import { tarOf } from "./tar.ts";

export type Architecture = "amd64" | "arm64";

export interface Image {
  /** Full name with tag. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly layers: readonly Layer[];
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  /** "uid:gid". */
  readonly user: string;
  readonly workingFolder?: string;
  /** "NAME=value" each. */
  readonly environment?: readonly string[];
  /** RFC 3339. */
  readonly created: string;
  /** Annotations of the manifest; labels too, since `docker inspect` shows only those. */
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface PackedLayer {
  readonly name: string;
  readonly files: number;
  /** Of the tar. */
  readonly sizeBytes: number;
  readonly diffId: string;
  /** As it travels. */
  readonly packedBytes: number;
  readonly digest: string;
}

export interface PackedImage {
  readonly archive: Uint8Array;
  /** Of the manifest: what `image@sha256:…` means. */
  readonly digest: string;
  /** Of the configuration: what Docker calls the image's id. */
  readonly configDigest: string;
  readonly layers: readonly PackedLayer[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export async function packImage(
  image: Image,
  packed: (layer: PackedLayer) => void = () => {},
): Promise<PackedImage> {
  const blobs = new Map<string, Uint8Array>();
  const store = (mediaType: string, bytes: Uint8Array): Descriptor => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const storeJson = (mediaType: string, value: unknown) => store(mediaType, json(value));

  const layers: PackedLayer[] = [];
  const layerDescriptors: Descriptor[] = [];
  for (const { name, files } of image.layers) {
    const tar = await tarOf(files);
    const diffId = digestOf(tar);
    const blob = store("application/vnd.oci.image.layer.v1.tar+gzip", gzipLayer(tar, diffId));
    const layer: PackedLayer = {
      name,
      files: inOrder(files).filter(({ kind }) => kind !== "folder").length,
      ...{ sizeBytes: tar.length, diffId, packedBytes: blob.size, digest: blob.digest },
    };
    layerDescriptors.push(blob);
    layers.push(layer);
    packed(layer);
  }

  const config = storeJson("application/vnd.oci.image.config.v1+json", {
    created: image.created,
    architecture: image.architecture,
    os: "linux",
    config: {
      User: image.user,
      Env: image.environment,
      Entrypoint: image.entrypoint,
      Cmd: image.command,
      WorkingDir: image.workingFolder,
      Labels: image.annotations,
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ name }) => ({ created: image.created, created_by: `npm run image # ${name}` })),
  });
  const manifest = storeJson("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: layerDescriptors,
    annotations: image.annotations,
  });
  const named = {
    ...manifest,
    platform: { architecture: image.architecture, os: "linux" },
    annotations: {
      // containerd's importers, and with them ctr, k3s and kind, take the name from here …
      "io.containerd.image.name": image.name,
      // … and skopeo the tag from here.
      "org.opencontainers.image.ref.name": image.name.slice(image.name.lastIndexOf(":") + 1),
    },
  };
  const files: ImageFile[] = [
    jsonFile("oci-layout", { imageLayoutVersion: "1.0.0" }),
    jsonFile("index.json", {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [named],
    }),
    jsonFile("manifest.json", [
      {
        Config: blobPath(config.digest),
        RepoTags: [image.name],
        Layers: layers.map(({ digest }) => blobPath(digest)),
      },
    ]),
    ...[...blobs].map(([digest, content]): ImageFile => ({
      kind: "file",
      path: blobPath(digest),
      mode: PLAIN,
      content,
    })),
  ];
  return { archive: await tarOf(files), digest: manifest.digest, configDigest: config.digest, layers };
}

function blobPath(digest: string): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function jsonFile(path: string, value: unknown): ImageFile {
  return { kind: "file", path, mode: PLAIN, content: json(value) };
}
