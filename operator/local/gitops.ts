/**
 * Brings the cluster to what the folder says, as a whole or not at all.
 *
 *   changed files → judged together → tried on a copy of the cluster → applied, the rest deleted
 *                        └ refused: said with file and line, the last good state stays in force
 *
 * The copy finds what only the API can say (a name too long, a field that may not change) before the
 * first object is touched.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";

import { type ApplyObject, type KubeClient, KubeError, type KubeObject } from "../adapters/kubeClient.ts";
import { writeFileAtomic } from "./files.ts";
import { readFolder } from "./folder.ts";
import { judgeFolder, type Manifest, MANIFEST_ANNOTATION, manifestTypes } from "./manifests.ts";
import { printRefusal, type Refusal } from "./manifestYaml.ts";
import { objectKey } from "./objectKey.ts";

const MANAGER = "local-manifests";

export interface AppliedChange {
  readonly verb: "created" | "configured" | "deleted";
  /** "SmtpRelay mail". */
  readonly what: string;
}

export type GitOpsOutcome =
  | {
      readonly kind: "applied";
      readonly changes: readonly AppliedChange[];
      readonly objects: readonly ApplyObject[];
    }
  | { readonly kind: "refused"; readonly lines: readonly string[] };

export interface GitOpsOptions {
  readonly folder: string;
  readonly client: KubeClient;
  /** A copy of the cluster on which a wish is tried. */
  readonly trial: () => KubeClient;
  /** Called with what will be in force, before it is; when it rejects, the change is refused with its words. */
  readonly prepare: (objects: readonly ApplyObject[]) => Promise<void>;
  /** File that says what is refused; absent while nothing is. */
  readonly refusalsFile: string;
}

export class GitOps {
  readonly #options: GitOpsOptions;

  constructor(options: GitOpsOptions) {
    this.#options = options;
  }

  /** Reads the folder and applies it. Never rejects for what a manifest says. */
  async apply(): Promise<GitOpsOutcome> {
    const { folder, refusalsFile } = this.#options;
    const before = await this.inForce();
    const existing = new Map(before.map((object) => [objectKey(object), object]));
    const reading = await readFolder(folder);
    const verdict =
      reading.refusals.length > 0
        ? { kind: "refused" as const, refusals: reading.refusals }
        : judgeFolder(reading.files, (key) => existing.get(key));
    if (verdict.kind === "refused") return this.#refuse(verdict.refusals);

    const deletes = before.filter(
      (object) => !verdict.manifests.some((manifest) => objectKey(manifest.object) === objectKey(object)),
    );
    const refusals = await tryOn(this.#options.trial(), verdict.manifests);
    if (refusals.length > 0) return this.#refuse(refusals);
    const objects = verdict.manifests.map(({ object }) => object);
    try {
      await this.#options.prepare(objects);
    } catch (error) {
      return this.#refuse([{ place: null, text: error instanceof Error ? error.message : String(error) }]);
    }
    rmSync(refusalsFile, { force: true });
    return { kind: "applied", changes: await this.#carryOut(objects, deletes, existing), objects };
  }

  /** What was applied from files, now or at a former start. */
  async inForce(): Promise<KubeObject[]> {
    const found: KubeObject[] = [];
    for (const type of manifestTypes) {
      const { items } = await this.#options.client.list(type);
      found.push(
        ...items.filter(({ metadata }) => metadata.annotations?.[MANIFEST_ANNOTATION] !== undefined),
      );
    }
    return found;
  }

  async #carryOut(
    objects: readonly ApplyObject[],
    deletes: readonly KubeObject[],
    existing: ReadonlyMap<string, KubeObject>,
  ): Promise<AppliedChange[]> {
    const { client } = this.#options;
    const changes: AppliedChange[] = [];
    for (const object of objects) {
      const before = existing.get(objectKey(object));
      const after = await client.apply(object, MANAGER);
      const what = `${object.kind} ${object.metadata.name}`;
      if (before === undefined) changes.push({ verb: "created", what });
      else if (isOther(before, after)) changes.push({ verb: "configured", what });
    }
    for (const object of deletes) {
      const type = manifestTypes.find(({ kind }) => kind === object.kind);
      const { namespace = "", name } = object.metadata;
      if (type === undefined) continue;
      await client.delete(type, { namespace, name });
      changes.push({ verb: "deleted", what: `${object.kind} ${name}` });
    }
    return changes;
  }

  #refuse(refusals: readonly Refusal[]): GitOpsOutcome {
    const lines = refusals.map((refusal) =>
      printRefusal(
        refusal.place === null
          ? refusal
          : { ...refusal, place: { ...refusal.place, file: join(this.#options.folder, refusal.place.file) } },
      ),
    );
    writeFileAtomic(this.#options.refusalsFile, `${lines.join("\n")}\n`, { durable: false });
    return { kind: "refused", lines };
  }
}

async function tryOn(client: KubeClient, manifests: readonly Manifest[]): Promise<Refusal[]> {
  const refusals: Refusal[] = [];
  for (const { object, place } of manifests) {
    try {
      await client.apply(object, MANAGER);
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      refusals.push({ place, text: error.message });
    }
  }
  return refusals;
}

/** A file that was renamed changes the annotation only, which is nobody's news. */
function isOther(before: KubeObject, after: KubeObject): boolean {
  return contentOf(before) !== contentOf(after);
}

function contentOf({ metadata, spec, data, type }: KubeObject): string {
  const annotations = Object.entries(metadata.annotations ?? {}).filter(
    ([name]) => name !== MANIFEST_ANNOTATION,
  );
  return JSON.stringify([spec, data, type, metadata.labels, annotations]);
}
