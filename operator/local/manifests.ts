/**
 * A folder of manifests, judged as a whole: everything it asks for, or every reason why it is refused.
 *
 * Each document is judged as the API server would judge it (crds/judge.ts). What a cluster would find
 * only later, as a condition, but a folder shows at once is refused here with both places named: the same
 * object twice, one domain or one address claimed twice, one port of this machine asked for by two relays.
 * References to what is not there are left to conditions: they may come to be in any order.
 */
import { API_VERSION, kinds } from "../../crds/group.ts";
import type { ApplyObject, KubeObject, ResourceType } from "../adapters/kubeClient.ts";
import { claimedTwice } from "./claims.ts";
import {
  type ManifestDocument,
  type ManifestProblem,
  type Refusal,
  type Segments,
  parseManifestFile,
} from "./manifestYaml.ts";
import { DEFAULT_NAMESPACE, objectKey } from "./objectKey.ts";
import { judgeSecret, withBase64 } from "./secretManifest.ts";
import { secretType } from "./types.ts";

export interface ManifestFile {
  /** Relative to the folder. */
  readonly name: string;
  readonly text: string;
}

/** crds/judge.ts as seen from here. */
export type JudgeManifest = (object: unknown, old?: unknown) => Judgement;
export type Judgement =
  | { readonly ok: true }
  | { readonly ok: false; readonly problems: readonly ManifestProblem[] };
export interface Manifest {
  readonly object: ApplyObject;
  readonly file: string;
}

export type FolderVerdict =
  | { readonly kind: "good"; readonly manifests: readonly Manifest[] }
  | { readonly kind: "refused"; readonly refusals: readonly Refusal[] };

/** Names the file an object was applied from; what bears it and is in no file any more is deleted. */
export const MANIFEST_ANNOTATION = "local.smtprelay.dev/manifest";

const MAX_DOCUMENTS = 1000;
/** A folder of the wrong kind would otherwise fill the screen. */
const MAX_REFUSALS = 50;
const settableMetadata = new Set(["name", "namespace", "labels", "annotations", "finalizers"]);

/** What a folder may hold: our kinds, and Secrets they name. */
export const manifestTypes: readonly ResourceType[] = [
  ...Object.values(kinds).map(({ kind, plural }) => ({ apiVersion: API_VERSION, kind, plural })),
  secretType,
];

/** `existing` gives the object in force under a key, for rules that compare with it. */
export function judgeFolder(
  files: readonly ManifestFile[],
  judge: JudgeManifest,
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
  const manifests: (Manifest & { readonly document: ManifestDocument })[] = [];
  for (const document of documents.slice(0, MAX_DOCUMENTS)) {
    const found = judgeDocument(document, judge, existing);
    if (Array.isArray(found)) refusals.push(...found);
    else manifests.push({ object: found, file: document.file, document });
  }
  refusals.push(...claimedTwice(manifests.map(({ object, document }) => ({ object, document }))));
  if (refusals.length > 0) return { kind: "refused", refusals: bounded(refusals) };
  return { kind: "good", manifests: manifests.map(({ object, file }) => ({ object, file })) };
}

function judgeDocument(
  document: ManifestDocument,
  judge: JudgeManifest,
  existing: (key: string) => KubeObject | undefined,
): ApplyObject | Refusal[] {
  const at = (segments: Segments, text: string): Refusal => ({ place: document.locate(segments), text });
  const { apiVersion, kind, metadata } = document.object;
  const type = manifestTypes.find((one) => one.kind === kind && one.apiVersion === apiVersion);
  if (type === undefined) {
    const known = manifestTypes.map((one) => `${one.kind} (${one.apiVersion})`).join(", ");
    return [
      at(
        kind === undefined ? [] : ["kind"],
        `kind: Unsupported value: ${show(kind)} of ${show(apiVersion)}: local mode reads ${known}`,
      ),
    ];
  }
  if (!isRecord(metadata) || typeof metadata["name"] !== "string") {
    return [at(["metadata", "name"], "metadata.name: Required value: every object has a name")];
  }
  const refusals: Refusal[] = [];
  for (const field of Object.keys(metadata)) {
    if (!settableMetadata.has(field)) {
      refusals.push(
        at(["metadata", field], `metadata.${field}: Forbidden: it is set by the server; leave it out`),
      );
    }
  }
  if ("status" in document.object) {
    refusals.push(at(["status"], "status: Forbidden: it is written by the operator; leave it out"));
  }
  if (refusals.length > 0) return refusals;

  const object = completed(document);
  const old = existing(objectKey(object));
  const problems = type === secretType ? judgeSecret(document.object) : problemsOf(judge(object, old));
  if (problems.length > 0) return problems.map((problem) => at(problem.segments, problem.text));
  return type === secretType ? withBase64(object) : object;
}

function problemsOf(judgement: Judgement): readonly ManifestProblem[] {
  return judgement.ok ? [] : judgement.problems;
}

function completed(document: ManifestDocument): ApplyObject {
  const metadata = document.object["metadata"] as ApplyObject["metadata"];
  return {
    ...(document.object as unknown as ApplyObject),
    metadata: {
      ...metadata,
      namespace: metadata.namespace ?? DEFAULT_NAMESPACE,
      annotations: { ...metadata.annotations, [MANIFEST_ANNOTATION]: document.file },
    },
  };
}

function bounded(refusals: readonly Refusal[]): Refusal[] {
  if (refusals.length <= MAX_REFUSALS) return [...refusals];
  const rest = refusals.length - MAX_REFUSALS;
  return [...refusals.slice(0, MAX_REFUSALS), { place: null, text: `… and ${rest} more` }];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  return value === undefined ? "nothing" : (JSON.stringify(value)?.slice(0, 80) ?? typeof value);
}
