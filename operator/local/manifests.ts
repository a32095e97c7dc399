/**
 * A folder of manifests, judged as a whole: everything it asks for, or every reason why it is refused.
 *
 * Each document is judged as the API server would judge it (crds/judge.ts). What a cluster would find
 * only later, as a condition, but a folder shows at once is refused here with both places named: the same
 * object twice, one domain or one address claimed twice, one port of this machine asked for by two relays.
 * References to what is not there are left to conditions: they may come to be in any order.
 */
import { judgeManifest } from "../../crds/judge.ts";
import type { ApplyObject, KubeObject, ResourceType } from "../adapters/kubeClient.ts";
import { resources } from "../resources.ts";
import { claimedTwice } from "./claims.ts";
import { type ManifestDocument, type Place, type Refusal, parseManifestFile } from "./manifestYaml.ts";
import { DEFAULT_NAMESPACE, objectKey } from "./objectKey.ts";

export interface ManifestFile {
  /** Relative to the folder. */
  readonly name: string;
  readonly text: string;
}

export interface Manifest {
  /** With defaults, as it is applied. */
  readonly object: ApplyObject;
  /** Where its name stands. */
  readonly place: Place;
}

export type FolderVerdict =
  | { readonly kind: "good"; readonly manifests: readonly Manifest[] }
  | { readonly kind: "refused"; readonly refusals: readonly Refusal[] };

/** Names the file an object was applied from; what bears it and is in no file any more is deleted. */
export const MANIFEST_ANNOTATION = "local.smtprelay.dev/manifest";

const MAX_DOCUMENTS = 1000;
/** A folder of the wrong kind would otherwise fill the screen. */
const MAX_REFUSALS = 50;

/** What a folder may hold: our kinds, and Secrets they name. */
export const manifestTypes: readonly ResourceType[] = [
  resources.smtpRelays,
  resources.sendingDomains,
  resources.ipPools,
  resources.secrets,
];

/** `existing` gives the object in force under a key, for rules that compare with it. */
export function judgeFolder(
  files: readonly ManifestFile[],
  existing: (key: string) => KubeObject | undefined,
): FolderVerdict {
  const refusals: Refusal[] = [];
  const documents: ManifestDocument[] = [];
  for (const { name, text } of files) {
    const parsed = parseManifestFile(name, text);
    refusals.push(...parsed.refusals);
    documents.push(...parsed.documents);
  }
  if (documents.length > MAX_DOCUMENTS) {
    refusals.push({
      place: null,
      text: `${documents.length} documents are more than the ${MAX_DOCUMENTS} local mode takes`,
    });
  }
  if (documents.length === 0 && refusals.length === 0) {
    refusals.push({
      place: null,
      text: "the folder holds no manifest: it needs at least one SmtpRelay in a .yaml, .yml or .json file",
    });
  }
  const good: { readonly object: ApplyObject; readonly document: ManifestDocument }[] = [];
  for (const document of documents.slice(0, MAX_DOCUMENTS)) {
    const judged = judgeManifest(document.object, existing(keyOf(document.object)));
    if (judged.ok) good.push({ object: annotated(judged.object, document.file), document });
    else {
      for (const { segments, text } of judged.problems) {
        refusals.push({ place: document.locate(segments), text });
      }
    }
  }
  refusals.push(...claimedTwice(good));
  if (refusals.length > 0) return { kind: "refused", refusals: bounded(refusals) };
  return {
    kind: "good",
    manifests: good.map(({ object, document }) => ({
      object,
      place: document.locate(["metadata", "name"]),
    })),
  };
}

function annotated(object: Pick<ApplyObject, "apiVersion" | "kind" | "metadata">, file: string): ApplyObject {
  const annotations = { ...object.metadata.annotations, [MANIFEST_ANNOTATION]: file };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** Of a document nobody has judged yet; anything when it names nothing. */
function keyOf(object: Readonly<Record<string, unknown>>): string {
  const { name, namespace } = (object["metadata"] ?? {}) as { name?: unknown; namespace?: unknown };
  return objectKey({
    kind: typeof object["kind"] === "string" ? object["kind"] : "",
    metadata: {
      name: typeof name === "string" ? name : "",
      namespace: typeof namespace === "string" ? namespace : DEFAULT_NAMESPACE,
    },
  });
}

function bounded(refusals: readonly Refusal[]): Refusal[] {
  if (refusals.length <= MAX_REFUSALS) return [...refusals];
  const rest = refusals.length - MAX_REFUSALS;
  return [...refusals.slice(0, MAX_REFUSALS), { place: null, text: `… and ${rest} more` }];
}
