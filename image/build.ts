/** The working tree → the image: parts fetched or taken from the cache, put in layers, packed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { ImageFile, Layer } from "./files.ts";
import { APP, contentsOf, USER_ID } from "./layers.ts";
import {
  type Architecture,
  type Image,
  packImage,
  type PackedImage,
  type PackedLayer,
} from "./oci/archive.ts";
import { debianPackages } from "./parts/debian.ts";
import { readLock } from "./parts/debianLock.ts";
import { npmPackages } from "./parts/npm.ts";
import { type Revision, revisionOf } from "./parts/revision.ts";
import { sbomOf } from "./sbom.ts";

export interface BuildOptions {
  readonly architecture: Architecture;
  /** Full name with tag. */
  readonly name: string;
  /** See debian.ts. */
  readonly takeServed: boolean;
  readonly print: (line: string) => void;
  readonly packed?: (layer: PackedLayer) => void;
  readonly environment?: NodeJS.ProcessEnv;
  /** Where there is no Git to ask. */
  readonly commit?: string;
}

export interface BuiltImage extends PackedImage {
  readonly contents: readonly Layer[];
  readonly revision: Revision;
  readonly sbom: object;
  /** What rules kept out of the packages. */
  readonly leftOutBytes: number;
}

const tree = join(import.meta.dirname, "..");

/** How both entry points are started; the Containerfile says the same (test/image). */
export const runtime = {
  entrypoint: ["/usr/local/bin/node"],
  /** Pods name the program; who runs the image by hand is told what it can do. */
  command: ["operator/main.js", "--help"],
  user: `${USER_ID}:${USER_ID}`,
  workingFolder: `/${APP}`,
  environment: ["PATH=/usr/local/bin"],
} as const;

export async function buildImage(options: BuildOptions): Promise<BuiltImage> {
  const { architecture, print } = options;
  const product = readProduct();
  const debian = await debianPackages(options);
  const npm = await npmPackages(tree, architecture, print);
  const { layers, packages, leftOutBytes } = await contentsOf({ tree, debian, npm });
  const found = await revisionOf(tree, options.environment ?? process.env);
  const revision = { ...found, commit: options.commit ?? found.commit };
  const image: Image = {
    ...runtime,
    name: options.name,
    architecture,
    layers,
    created: revision.created,
    annotations: annotationsOf(product, revision),
  };
  const packed = await packImage(image, options.packed);
  const node = npm.packages.find(({ path }) => path === npm.node);
  if (node === undefined) throw new Error(`Cannot find ${npm.node} in npm's list.`);
  const debianRelease = readLock().release;
  const { created } = revision;
  const sbom = sbomOf({ ...product, architecture, created, debianRelease, debian, node, packages, packed });
  return { ...packed, contents: layers, revision, sbom, leftOutBytes };
}

export interface Product {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
}

export function readProduct(): Product {
  return JSON.parse(readFileSync(join(tree, "package.json"), "utf8")) as Product;
}

/** https://github.com/opencontainers/image-spec annotations.md. */
export function annotationsOf(
  product: Product,
  { commit, created }: Revision,
): Readonly<Record<string, string>> {
  return {
    "org.opencontainers.image.title": product.name,
    "org.opencontainers.image.description": product.description,
    "org.opencontainers.image.version": product.version,
    ...(commit === null ? {} : { "org.opencontainers.image.revision": commit }),
    "org.opencontainers.image.created": created,
    "org.opencontainers.image.licenses": product.license,
  };
}

export type { ImageFile };
