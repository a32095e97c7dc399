/**
 * The judge of local mode: says of a manifest what the API server would say at `kubectl apply`, from the
 * same schema, the same defaults and the same CEL rules.
 *
 * The order is the server's: kind and metadata, defaults, schema, uniqueness in lists, then rules, which
 * are left out while the object is too broken for them to make sense.
 */
import { API_VERSION, type KindName, kinds } from "./group.ts";
import type { IpPool, SendingDomain, SmtpRelay } from "./kinds.ts";
import { resourceSchema } from "./customResourceDefinition.ts";
import { withDefaults } from "./defaulting.ts";
import { duplicateProblems } from "./listTypes.ts";
import { judgeMetadata, type ManifestMeta, type MetadataVerdict } from "./metadata.ts";
import { openApiSchemas } from "./openApi.ts";
import {
  invalid,
  MAX_PROBLEMS,
  type Problem,
  type ProblemKind,
  required,
  unknownFields,
  unsupported,
  wrongType,
} from "./problems.ts";
import { ruleProblems } from "./ruleProblems.ts";
import { kindSchemas } from "./schemas.ts";
import { judgeSecretContent, type SecretContent } from "./secret.ts";
import { zodProblems } from "./zodProblems.ts";

interface Of<K extends string, Spec> {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: K;
  readonly metadata: ManifestMeta;
  /** With the schema's defaults filled in. */
  readonly spec: Spec;
}

export type CustomManifest =
  | Of<"SmtpRelay", SmtpRelay["spec"]>
  | Of<"SendingDomain", SendingDomain["spec"]>
  | Of<"IpPool", IpPool["spec"]>;

export interface SecretManifest extends SecretContent {
  readonly apiVersion: "v1";
  readonly kind: "Secret";
  readonly metadata: ManifestMeta;
}

export type Judgement =
  | { readonly ok: true; readonly object: CustomManifest | SecretManifest }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** The API server leaves CEL rules alone while there is one of these. */
const blocking: readonly ProblemKind[] = ["Required", "TypeInvalid", "Unsupported", "TooLong", "TooMany"];

const schemas = {
  SmtpRelay: resourceSchema("SmtpRelay"),
  SendingDomain: resourceSchema("SendingDomain"),
  IpPool: resourceSchema("IpPool"),
} as const satisfies Record<KindName, unknown>;

/**
 * Judges one manifest: a custom resource of ours or a Secret. `old` is the object of the same kind and name
 * that is in force now, with or without its defaults; without it, rules about change hold.
 */
export function judgeManifest(manifest: unknown, old?: unknown): Judgement {
  if (!isRecord(manifest)) return refused([wrongType([], manifest, "an object with apiVersion and kind")]);
  const former = isRecord(old) ? old : undefined;
  const { apiVersion, kind } = manifest;
  if (kind === "Secret" && apiVersion === "v1") return judgeSecret(manifest, former);
  if (!isKindName(kind) || apiVersion !== API_VERSION) return refused(typeProblems(apiVersion, kind));
  return judgeCustom(kind, manifest, former);
}

function judgeCustom(
  kind: KindName,
  manifest: Readonly<Record<string, unknown>>,
  old: Readonly<Record<string, unknown>> | undefined,
): Judgement {
  const metadata = judgeMetadata(manifest["metadata"]);
  // `status` belongs to the operator: as in a cluster, an apply of the object leaves it alone.
  const known = ["apiVersion", "kind", "metadata", "spec", "status"];
  const problems = [...unknownFields(manifest, known, []), ...problemsOf(metadata)];
  const given = manifest["spec"] ?? undefined;
  if (given === undefined) return refused([...problems, required(["spec"])]);

  const schema = openApiSchemas[kind].spec;
  const spec = withDefaults(schema, given);
  const parsed = kindSchemas[kind].spec.safeParse(spec);
  if (!parsed.success) problems.push(...zodProblems(parsed.error.issues, spec, schema, ["spec"]));
  problems.push(...duplicateProblems(schema, spec, ["spec"]));

  // Many issues are cut short, and the blocking one may be among the rest.
  const issues = parsed.error?.issues.length ?? 0;
  if (issues < MAX_PROBLEMS && !problems.some((one) => blocking.includes(one.kind))) {
    const object = { metadata: manifest["metadata"], spec };
    const former = old && { metadata: old["metadata"], spec: withDefaults(schema, old["spec"]) };
    problems.push(...ruleProblems(kind, schemas[kind], object, former));
  }
  if (problems.length > 0 || !parsed.success || !metadata.ok) return refused(problems);
  // The schema of this kind made `parsed.data`, which the compiler cannot follow.
  const object = { apiVersion: API_VERSION, kind, metadata: metadata.metadata, spec: parsed.data };
  return { ok: true, object: object as CustomManifest };
}

function judgeSecret(
  manifest: Readonly<Record<string, unknown>>,
  old: Readonly<Record<string, unknown>> | undefined,
): Judgement {
  const metadata = judgeMetadata(manifest["metadata"]);
  const secret = judgeSecretContent(manifest, old);
  if (!metadata.ok || !secret.ok) return refused([...problemsOf(metadata), ...problemsOf(secret)]);
  return {
    ok: true,
    object: { apiVersion: "v1", kind: "Secret", metadata: metadata.metadata, ...secret.content },
  };
}

function typeProblems(apiVersion: unknown, kind: unknown): Problem[] {
  const problems: Problem[] = [];
  if (apiVersion === undefined) problems.push(required(["apiVersion"]));
  if (kind === undefined) problems.push(required(["kind"]));
  if (problems.length > 0) return problems;
  const names = Object.keys(kinds);
  if (apiVersion === "v1") return [unsupported(["kind"], kind, ["Secret"])];
  if (apiVersion !== API_VERSION) problems.push(unsupported(["apiVersion"], apiVersion, [API_VERSION, "v1"]));
  if (kind === "Secret") return [invalid(["apiVersion"], apiVersion, 'a Secret has the apiVersion "v1"')];
  if (!isKindName(kind)) problems.push(unsupported(["kind"], kind, names));
  return problems;
}

function problemsOf(
  verdict: MetadataVerdict | { ok: true } | { ok: false; problems: readonly Problem[] },
): readonly Problem[] {
  return verdict.ok ? [] : verdict.problems;
}

function refused(problems: readonly Problem[]): Judgement {
  return { ok: false, problems: problems.slice(0, MAX_PROBLEMS) };
}

function isKindName(kind: unknown): kind is KindName {
  return typeof kind === "string" && Object.hasOwn(kinds, kind);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
