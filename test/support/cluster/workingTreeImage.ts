/**
 * The working tree as an image: Node, the libraries it needs, the sources, the packages of production. Made in
 * seconds without a container engine; plain enough for tests, which import it into the node.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { runProgram } from "../peers/program.ts";
import { writeOciArchive } from "./node/ociArchive.ts";

export const WORKING_TREE_IMAGE = {
  repository: "smtprelay.dev/test/smtp-relay-operator",
  tag: "working-tree",
};

const tree = join(import.meta.dirname, "../../..");
/** The user of relay pods (operator/plan/statefulSet.ts). */
const USER = "1000:1000";

export interface ImageArchive extends Disposable {
  /** Path of the OCI archive. */
  readonly archive: string;
}

export async function workingTreeImage(): Promise<ImageArchive> {
  const folder = mkdtempSync(join(tmpdir(), "image-"));
  const root = join(folder, "root");
  const place = (from: string, to: string) => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    cpSync(from, join(root, to), { recursive: true, dereference: true });
  };
  place(process.execPath, "usr/local/bin/node");
  for (const library of await librariesOf(process.execPath)) place(library, library);
  for (const part of ["package.json", "bin", "crds", "operator", "relay"]) {
    place(join(tree, part), join("app", part));
  }
  for (const part of productionPackages()) place(join(tree, part), join("app", part));
  mkdirSync(join(root, "tmp"), { mode: 0o1777 });
  const archive = join(folder, "image.tar");
  const { repository, tag } = WORKING_TREE_IMAGE;
  await writeOciArchive(archive, {
    name: `${repository}:${tag}`,
    root,
    entrypoint: ["/usr/local/bin/node"],
    user: USER,
    workingFolder: "/app",
    environment: ["PATH=/usr/local/bin"],
  });
  rmSync(root, { recursive: true });
  return { archive, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Full paths, the dynamic linker's too. */
async function librariesOf(program: string): Promise<string[]> {
  return [...(await runProgram("ldd", [program])).matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? "");
}

function productionPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(tree, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(([path, { dev, optional, devOptional }]) => path !== "" && !dev && !optional && !devOptional)
    .map(([path]) => path);
}
