/**
 * core/v1 Secrets among the manifests of local mode: certificates and passwords that our kinds name.
 * Judged as the API server would; a value never appears in a message, because it may be a password.
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

export interface SecretContent {
  readonly type: string;
  /** Base64; `stringData` is folded in, as the API server stores it. */
  readonly data: Record<string, string>;
  readonly immutable?: boolean;
}

export type SecretVerdict =
  | { readonly ok: true; readonly content: SecretContent }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** corev1.MaxSecretSize. */
const SECRET_MAX_BYTES = 1_048_576;
const dataKey = /^[-._a-zA-Z0-9]{1,253}$/;
const known = ["apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"];

/** Entries a Secret of a type must have (corev1 SecretType constants). */
const requiredEntries: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
};

/** Judges everything but apiVersion, kind and metadata. `old` is the Secret in force, if there is one. */
export function judgeSecretContent(
  secret: Readonly<Record<string, unknown>>,
  old?: Readonly<Record<string, unknown>>,
): SecretVerdict {
  const data = entriesOf(secret["data"], ["data"], dataEntry);
  const plain = entriesOf(secret["stringData"], ["stringData"], (text) =>
    Buffer.from(text).toString("base64"),
  );
  const merged = Object.fromEntries([...data.entries, ...plain.entries]);
  const type = secret["type"] ?? "Opaque";
  const immutable = secret["immutable"];
  const problems = [
    ...unknownFields(secret, known, []),
    ...(typeof type === "string" ? [] : [wrongType(["type"], type, "a string")]),
    ...(immutable === undefined || immutable === null || typeof immutable === "boolean"
      ? []
      : [wrongType(["immutable"], immutable, "true or false")]),
    ...data.problems,
    ...plain.problems,
    ...sizeProblems(merged),
  ];
  if (problems.length > 0 || typeof type !== "string") return { ok: false, problems };
  const content: SecretContent = {
    type,
    data: merged,
    ...(typeof immutable === "boolean" && { immutable }),
  };
  const late = [...entryProblems(content), ...changeProblems(content, old)];
  return late.length > 0 ? { ok: false, problems: late } : { ok: true, content };
}

interface Entries {
  readonly entries: readonly (readonly [string, string])[];
  readonly problems: readonly Problem[];
}

/** `encode` gives the base64 text, null when it cannot. */
function entriesOf(value: unknown, at: Segments, encode: (text: string) => string | null): Entries {
  if (value === undefined || value === null) return { entries: [], problems: [] };
  if (!isRecord(value))
    return { entries: [], problems: [hidden("TypeInvalid", at, "must be an object of strings")] };
  const entries: [string, string][] = [];
  const problems: Problem[] = [];
  for (const [key, text] of Object.entries(value)) {
    const encoded = typeof text === "string" ? encode(text) : null;
    if (!dataKey.test(key) || key === "." || key === ".." || key.startsWith("..")) {
      problems.push(
        invalid([...at, key], key, "the name must be at most 253 letters, digits, '-', '_' or '.'"),
      );
    } else if (typeof text !== "string") {
      problems.push(hidden("TypeInvalid", [...at, key], "must be a string; put it in quotes"));
    } else if (encoded === null) {
      problems.push(hidden("Invalid", [...at, key], "must be base64; plain text goes under stringData"));
    } else {
      entries.push([key, encoded]);
    }
  }
  return { entries, problems };
}

function hidden(kind: "Invalid" | "TypeInvalid", at: Segments, reason: string): Problem {
  return problem(kind, at, `Invalid value: ${reason}`);
}

/** Base64 without the line ends that YAML blocks bring along, as Go reads it; null when it is none. */
function dataEntry(text: string): string | null {
  const compact = text.replaceAll(/[\r\n]/g, "");
  return compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact) ? compact : null;
}

function sizeProblems(data: Readonly<Record<string, string>>): Problem[] {
  const bytes = Object.values(data).reduce((sum, text) => sum + Buffer.byteLength(text, "base64"), 0);
  if (bytes <= SECRET_MAX_BYTES) return [];
  return [problem("TooLong", ["data"], `Too long: ${bytes} bytes, at most ${SECRET_MAX_BYTES} are allowed`)];
}

function entryProblems({ type, data }: SecretContent): Problem[] {
  const entries = Object.hasOwn(requiredEntries, type) ? (requiredEntries[type] ?? []) : [];
  return entries.flatMap((key) =>
    Object.hasOwn(data, key) ? [] : [required(["data", key], `a Secret of type ${type} has it`)],
  );
}

function changeProblems(
  content: SecretContent,
  old: Readonly<Record<string, unknown>> | undefined,
): Problem[] {
  if (old === undefined) return [];
  const before = old["type"] ?? "Opaque";
  if (before !== content.type) return [invalid(["type"], content.type, "field is immutable")];
  if (old["immutable"] !== true) return [];
  const same =
    content.immutable === true &&
    JSON.stringify(sorted(old["data"])) === JSON.stringify(sorted(content.data));
  return same
    ? []
    : [problem("Forbidden", ["data"], "Forbidden: field is immutable when `immutable` is set")];
}

function sorted(data: unknown): unknown {
  return isRecord(data) ? Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1)) : [];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
