/** What was typed after `npm run image --` → what is meant, or what to say about it. Pure. */
import { parseArgs } from "node:util";

import type { Architecture } from "./oci/archive.ts";

export interface ImageOrder {
  readonly kind: "build";
  readonly architecture: Architecture;
  readonly name: string;
  readonly tag: string;
  /** The archive; the SBOM stands beside it. */
  readonly output: string;
  /** A folder for the layers as folders, in place of an archive. */
  readonly root: string | null;
  readonly takeServed: boolean;
  readonly commit: string | null;
  readonly json: boolean;
}

export type ImageCommand =
  | ImageOrder
  | { readonly kind: "updateLock" }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "refused"; readonly text: string };

export interface Surroundings {
  readonly product: string;
  readonly version: string;
  /** Node's word for the machine's architecture. */
  readonly machine: string;
}

const helpText = `npm run image: the product as an OCI archive, made without a container engine

  npm run image                        for this machine's architecture, into .cache/
  npm run image -- --platform linux/arm64 --output relay.tar
  npm run image -- --update-lock       write what Debian serves now into image/parts/debian.lock.json

  --platform linux/amd64|linux/arm64   default: this machine's
  --name NAME                          default: smtp-relay-operator, as the chart has it; with a registry's host
                                       it is ready to be pushed
  --tag TAG                            default: the version of package.json, as the chart has it
  --output FILE                        the archive; FILE.cdx.json beside it lists what is in it (CycloneDX)
  --root FOLDER                        no archive, but each layer as a folder: for the Containerfile
  --revision TEXT                      commit the source is from, where there is no Git to ask
  --take-served                        where Debian no longer serves a locked version, take the one it serves;
                                       the digest is another then
  --json                               for programs
  --help                               this

The same source and the same SOURCE_DATE_EPOCH (default: the time of the commit) give the same digest.
`;

const seeHelp = `Try "npm run image -- --help".`;

export function readImageCommand(words: readonly string[], around: Surroundings): ImageCommand {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...words],
      options: {
        platform: { type: "string" },
        name: { type: "string" },
        tag: { type: "string" },
        output: { type: "string", short: "o" },
        root: { type: "string" },
        revision: { type: "string" },
        "take-served": { type: "boolean", default: false },
        "update-lock": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    return refused(
      `${error instanceof Error ? (error.message.split(/\. |\n/, 1)[0] ?? "") : String(error)}.`,
    );
  }
  if (values.help) return { kind: "help", text: helpText };
  if (values["update-lock"]) {
    if (words.length > 1) return refused("--update-lock goes alone: it is for both architectures.");
    return { kind: "updateLock" };
  }
  const platform = values.platform ?? `linux/${around.machine === "x64" ? "amd64" : around.machine}`;
  if (platform !== "linux/amd64" && platform !== "linux/arm64") {
    return refused(`--platform is linux/amd64 or linux/arm64, not "${platform}": Node comes for those.`);
  }
  const architecture = platform === "linux/amd64" ? "amd64" : "arm64";
  const { name = around.product, tag = around.version } = values;
  // github.com/distribution/reference: what registries and containerd take.
  if (!/^[a-z0-9]+([._-]+[a-z0-9]+)*(:\d+(?=\/))?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*$/.test(name)) {
    return refused(`--name is a repository in lower case, without a tag (that is --tag), not "${name}".`);
  }
  if (!/^\w[\w.-]{0,127}$/.test(tag)) {
    return refused(`--tag is up to 128 letters, digits, dots, dashes and underscores, not "${tag}".`);
  }
  if (values.root !== undefined && values.output !== undefined) {
    return refused("Give --output or --root, not both.");
  }
  return {
    kind: "build",
    architecture,
    name: fullName(name),
    tag,
    output: values.output ?? `.cache/${around.product}-${tag}-linux-${architecture}.tar`,
    root: values.root ?? null,
    takeServed: values["take-served"],
    commit: values.revision ?? null,
    json: values.json,
  };
}

/** A name without a registry means Docker's own to kubelet and containerd; they look for nothing shorter. */
function fullName(name: string): string {
  const [first = "", ...rest] = name.split("/");
  if (rest.length > 0 && (/[.:]/.test(first) || first === "localhost")) return name;
  return `docker.io/${rest.length === 0 ? "library/" : ""}${name}`;
}

function refused(reason: string): ImageCommand {
  return { kind: "refused", text: `${reason} ${seeHelp}` };
}
