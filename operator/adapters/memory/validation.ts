/**
 * What the API server checks of every object before anything kind-specific: names, labels, annotations,
 * owners, finalizers and size. Returns problems in its words; an empty list is a good object.
 */
import type { KubeObject } from "../kubeClient.ts";
import type { ServedType } from "./resourceTypes.ts";

/** What etcd takes as one value (its --max-request-bytes). */
export const LARGEST_OBJECT_BYTES = 1_572_864;
/** Data of one Secret or ConfigMap. */
const LARGEST_DATA_BYTES = 1_048_576;
const LARGEST_ANNOTATIONS_BYTES = 262_144;

const label1123 = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedPart = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const dataKey = /^[-._a-zA-Z0-9]{1,253}$/;

export function metadataProblems(type: ServedType, object: KubeObject): string[] {
  const { metadata } = object;
  return [
    ...nameProblems(type, metadata.name),
    ...(label1123.test(metadata.namespace ?? "") && (metadata.namespace ?? "").length <= 63
      ? []
      : [`metadata.namespace: Invalid value: "${metadata.namespace ?? ""}"`]),
    ...Object.entries(metadata.labels ?? {}).flatMap(([key, value]) => [
      ...keyProblems("metadata.labels", key),
      ...(typeof value === "string" && labelValue.test(value)
        ? []
        : [`metadata.labels: Invalid value: "${value}": must be a label value of at most 63 characters`]),
    ]),
    ...annotationProblems(metadata.annotations ?? {}),
    ...ownerProblems(object),
    ...(metadata.finalizers ?? []).flatMap((name) => keyProblems("metadata.finalizers", name)),
    ...dataProblems(object),
  ];
}

function nameProblems(type: ServedType, name: string): string[] {
  const [form, longest] = type.names === "label1035" ? [label1035, 63] : [subdomain, 253];
  if (typeof name === "string" && name.length <= longest && form.test(name)) return [];
  return [
    `metadata.name: Invalid value: "${name}": must be a ${type.names === "label1035" ? "DNS-1035 label" : "lowercase RFC 1123 subdomain"} of at most ${longest} characters`,
  ];
}

function keyProblems(field: string, key: string): string[] {
  const parts = key.split("/");
  const [prefix, name] = parts.length === 2 ? [parts[0], parts[1]] : [undefined, parts[0]];
  const good =
    parts.length <= 2 &&
    qualifiedPart.test(name ?? "") &&
    (prefix === undefined || (prefix.length <= 253 && subdomain.test(prefix)));
  return good ? [] : [`${field}: Invalid value: "${key}": must be a qualified name`];
}

function annotationProblems(annotations: Readonly<Record<string, string>>): string[] {
  let bytes = 0;
  const problems: string[] = [];
  for (const [key, value] of Object.entries(annotations)) {
    problems.push(...keyProblems("metadata.annotations", key.toLowerCase()));
    if (typeof value === "string") bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    else problems.push(`metadata.annotations: "${key}" must be a string`);
  }
  if (bytes > LARGEST_ANNOTATIONS_BYTES) {
    problems.push(`metadata.annotations: Too long: must have at most ${LARGEST_ANNOTATIONS_BYTES} bytes`);
  }
  return problems;
}

function ownerProblems(object: KubeObject): string[] {
  const owners = object.metadata.ownerReferences ?? [];
  const problems = owners.flatMap((owner) =>
    [owner.apiVersion, owner.kind, owner.name, owner.uid].every(
      (part) => typeof part === "string" && part !== "",
    )
      ? []
      : [
          `metadata.ownerReferences: Invalid value: "${owner.name}": apiVersion, kind, name and uid must not be empty`,
        ],
  );
  if (owners.filter((owner) => owner.controller === true).length > 1) {
    problems.push(
      "metadata.ownerReferences: Invalid value: only one reference can have controller set to true",
    );
  }
  return problems;
}

function dataProblems(object: KubeObject): string[] {
  if (object.kind !== "Secret" && object.kind !== "ConfigMap") return [];
  const data = (object["data"] ?? {}) as Record<string, unknown>;
  let bytes = 0;
  const problems: string[] = [];
  for (const [key, value] of Object.entries(data)) {
    if (!dataKey.test(key))
      problems.push(`data[${key}]: Invalid value: must be letters, digits, '-', '_' or '.'`);
    if (typeof value !== "string") {
      problems.push(`data[${key}]: Invalid value: must be a string`);
    } else if (object.kind === "Secret") {
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value) || value.length % 4 !== 0) {
        problems.push(`data[${key}]: Invalid value: must be base64`);
      }
      bytes += Buffer.byteLength(value, "base64");
    } else {
      bytes += Buffer.byteLength(value);
    }
  }
  if (bytes > LARGEST_DATA_BYTES) {
    problems.push(`data: Too long: must have at most ${LARGEST_DATA_BYTES} bytes`);
  }
  return problems;
}
