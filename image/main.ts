/** `npm run image`: the product as an OCI archive, without a daemon. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";

import { type BuiltImage, buildImage, readProduct } from "./build.ts";
import { type ImageOrder, readImageCommand } from "./commandLine.ts";
import { writeFolders } from "./folders.ts";
import { updateLock } from "./parts/debian.ts";

/** Progress: standard output is for the result. */
const print = (line: string) => process.stderr.write(`  ${line}\n`);
const product = readProduct();
const command = readImageCommand(process.argv.slice(2), {
  product: product.name,
  version: product.version,
  machine: process.arch,
});
try {
  switch (command.kind) {
    case "help":
      process.stdout.write(command.text);
      break;
    case "refused":
      process.stderr.write(`${command.text}\n`);
      process.exitCode = 2;
      break;
    case "updateLock": {
      const changes = await updateLock(print);
      const none = "image/parts/debian.lock.json is what Debian serves already.";
      process.stdout.write(`${changes.length === 0 ? none : changes.join("\n")}\n`);
      break;
    }
    case "build":
      await build(command);
      break;
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function build(order: ImageOrder): Promise<void> {
  const built = await buildImage({
    architecture: order.architecture,
    name: `${order.name}:${order.tag}`,
    takeServed: order.takeServed,
    print,
    packed: ({ name, files, sizeBytes, packedBytes }) =>
      print(
        `layer ${name.padEnd(9)} ${String(files).padStart(5)} files ${megabytes(sizeBytes)} → ${megabytes(packedBytes)}`,
      ),
    ...(order.commit === null ? {} : { commit: order.commit }),
  });
  if (order.root !== null) {
    writeFolders(order.root, built.contents);
    print(`written as folders: ${order.root}`);
    return;
  }
  const sbomFile = `${order.output}.cdx.json`;
  mkdirSync(dirname(resolve(order.output)), { recursive: true });
  writeFileSync(order.output, built.archive);
  writeFileSync(sbomFile, `${JSON.stringify(built.sbom, null, 2)}\n`);
  process.stdout.write(
    order.json ? `${JSON.stringify(told(order, built, sbomFile), null, 2)}\n` : said(order, built, sbomFile),
  );
}

function told(order: ImageOrder, built: BuiltImage, sbomFile: string) {
  return {
    name: `${order.name}:${order.tag}`,
    platform: `linux/${order.architecture}`,
    digest: built.digest,
    configDigest: built.configDigest,
    revision: built.revision.commit,
    created: built.revision.created,
    archive: resolve(order.output),
    sbom: resolve(sbomFile),
    sizeBytes: total(built, "sizeBytes"),
    packedBytes: total(built, "packedBytes"),
    leftOutBytes: built.leftOutBytes,
    layers: built.layers,
  };
}

function said(order: ImageOrder, built: BuiltImage, sbomFile: string): string {
  const archive = relative(process.cwd(), resolve(order.output));
  const reference = `${order.name}:${order.tag}`;
  const dirty = built.revision.commit?.endsWith("-dirty") === true ? ": what is not committed is in it" : "";
  // A name of nobody's registry cannot be pushed to.
  const pushed = order.name.includes("/library/") ? `REGISTRY/${product.name}` : order.name;
  return `
  ${reference} · linux/${order.architecture}
  digest     ${built.digest}
  source     ${built.revision.commit ?? "unknown (no Git)"}${dirty}
  size       ${megabytes(total(built, "sizeBytes"))} unpacked, ${megabytes(total(built, "packedBytes"))} to pull; left out of packages: ${megabytes(built.leftOutBytes)} of types, maps, documents, tests
  archive    ${archive}
  contents   ${relative(process.cwd(), resolve(sbomFile))}

  Onto a node            ctr -n k8s.io images import ${archive}
  k3s                    k3s ctr images import ${archive}
  kind                   kind load image-archive ${archive}
  To a registry          skopeo copy oci-archive:${archive} docker://${pushed}:${order.tag}
  Into a cluster         KUBECONFIG=… npm run cluster -- --image ${pushed}:${order.tag}
  or by Helm             helm install ${product.name} charts/${product.name} -n smtp-relay-operator --create-namespace \\
                           --set image.repository=${pushed},image.tag=${order.tag}
`;
}

function total(built: BuiltImage, field: "sizeBytes" | "packedBytes"): number {
  return built.layers.reduce((sum, layer) => sum + layer[field], 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
