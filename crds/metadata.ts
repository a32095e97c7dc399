/**
 * metadata of a manifest: the fields a person writes, judged by the rules every Kubernetes object obeys.
 * What the server sets is passed over, so that the output of `kubectl get -o yaml` can be used again.
 */
import {
  invalid,
  problem,
  type Problem,
  required,
  type Segments,
  unknownFields,
  wrongType,
} from "./problems.ts";

export interface ManifestMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly finalizers?: string[];
}

/** The namespace of a manifest that names none, as kubectl has it without a context that says otherwise. */
const DEFAULT_NAMESPACE = "default";
/** apimachinery's TotalAnnotationSizeLimitB. */
const ANNOTATIONS_MAX_BYTES = 262_144;

const written = ["name", "namespace", "labels", "annotations", "finalizers"];
const setByServer = [
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "managedFields",
  "selfLink",
];
const forbidden: Readonly<Record<string, string>> = {
  generateName: "a manifest needs a name of its own, or every apply would make another object",
  ownerReferences: "owners are set by controllers",
};

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const qualifiedName =
  /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

export type MetadataVerdict =
  | { readonly ok: true; readonly metadata: ManifestMeta }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export function judgeMetadata(value: unknown): MetadataVerdict {
  const at: Segments = ["metadata"];
  if (value === undefined || value === null) return { ok: false, problems: [required([...at, "name"])] };
  if (!isRecord(value)) return { ok: false, problems: [wrongType(at, value, "an object")] };
  const name = value["name"];
  const namespace = value["namespace"] ?? DEFAULT_NAMESPACE;
  const labels = judgeMap(value["labels"], [...at, "labels"]);
  const annotations = judgeMap(value["annotations"], [...at, "annotations"]);
  const finalizers = judgeFinalizers(value["finalizers"], [...at, "finalizers"]);
  const problems = [
    ...fieldProblems(value),
    ...nameProblems(name, [...at, "name"]),
    ...namespaceProblems(namespace, [...at, "namespace"]),
    ...labels.problems,
    ...Object.entries(labels.entries).flatMap(([key, text]) =>
      labelValue.test(text)
        ? []
        : [
            invalid(
              [...at, "labels", key],
              text,
              "must be at most 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit",
            ),
          ],
    ),
    ...annotations.problems,
    ...annotationSize(annotations.entries, [...at, "annotations"]),
    ...finalizers.problems,
  ];
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    metadata: {
      name: name as string,
      namespace: namespace as string,
      ...(Object.keys(labels.entries).length > 0 && { labels: labels.entries }),
      ...(Object.keys(annotations.entries).length > 0 && { annotations: annotations.entries }),
      ...(finalizers.names.length > 0 && { finalizers: finalizers.names }),
    },
  };
}

function fieldProblems(metadata: object): Problem[] {
  const known = [...written, ...setByServer, ...Object.keys(forbidden)];
  return [
    ...unknownFields(metadata, known, ["metadata"]),
    ...Object.entries(forbidden).flatMap(([field, reason]) =>
      Object.hasOwn(metadata, field)
        ? [problem("Forbidden", ["metadata", field], `Forbidden: ${reason}`)]
        : [],
    ),
  ];
}

function nameProblems(name: unknown, at: Segments): Problem[] {
  if (name === undefined || name === null || name === "") return [required(at)];
  if (typeof name !== "string") return [wrongType(at, name, "a string")];
  if (name.length <= 253 && subdomain.test(name)) return [];
  return [
    invalid(
      at,
      name,
      "must be a lower-case RFC 1123 subdomain: at most 253 lower-case letters, digits, '-' or '.', starting and ending with a letter or digit",
    ),
  ];
}

function namespaceProblems(namespace: unknown, at: Segments): Problem[] {
  if (typeof namespace !== "string") return [wrongType(at, namespace, "a string")];
  if (namespace.length <= 63 && label.test(namespace)) return [];
  return [
    invalid(
      at,
      namespace,
      "must be a lower-case RFC 1123 label: at most 63 lower-case letters, digits or '-'",
    ),
  ];
}

interface JudgedMap {
  readonly entries: Record<string, string>;
  readonly problems: readonly Problem[];
}

function judgeMap(value: unknown, at: Segments): JudgedMap {
  if (value === undefined || value === null) return { entries: {}, problems: [] };
  if (!isRecord(value)) return { entries: {}, problems: [wrongType(at, value, "an object of strings")] };
  const entries: [string, string][] = [];
  const problems: Problem[] = [];
  for (const [key, text] of Object.entries(value)) {
    if (!isQualifiedName(key)) {
      problems.push(
        invalid(
          at,
          key,
          "is no key: NAME or PREFIX/NAME, a name of at most 63 letters, digits, '-', '_' or '.'",
        ),
      );
    } else if (typeof text !== "string") {
      problems.push(wrongType([...at, key], text, "a string"));
    } else {
      entries.push([key, text]);
    }
  }
  return { entries: Object.fromEntries(entries), problems };
}

function annotationSize(annotations: Readonly<Record<string, string>>, at: Segments): Problem[] {
  const bytes = Object.entries(annotations).reduce(
    (sum, [key, text]) => sum + Buffer.byteLength(key) + Buffer.byteLength(text),
    0,
  );
  if (bytes <= ANNOTATIONS_MAX_BYTES) return [];
  return [
    problem("TooLong", at, `Too long: ${bytes} bytes in all, at most ${ANNOTATIONS_MAX_BYTES} are allowed`),
  ];
}

function judgeFinalizers(value: unknown, at: Segments): { names: string[]; problems: readonly Problem[] } {
  if (value === undefined || value === null) return { names: [], problems: [] };
  if (!Array.isArray(value)) return { names: [], problems: [wrongType(at, value, "a list")] };
  const names: string[] = [];
  const problems: Problem[] = [];
  for (const [index, name] of value.entries()) {
    if (typeof name !== "string") problems.push(wrongType([...at, index], name, "a string"));
    else if (!isQualifiedName(name)) problems.push(invalid([...at, index], name, "must be PREFIX/NAME"));
    else names.push(name);
  }
  return { names, problems };
}

function isQualifiedName(key: string): boolean {
  const [prefix, name] = key.includes("/") ? key.split("/", 2) : [undefined, key];
  return qualifiedName.test(key) && name !== "" && (prefix === undefined || subdomain.test(prefix));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
