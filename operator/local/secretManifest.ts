/**
 * A Secret in a folder: a certificate or a password of one's own that a manifest names. Values never
 * appear in a refusal.
 */
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { ManifestProblem } from "./manifestYaml.ts";

export function judgeSecret(object: Readonly<Record<string, unknown>>): ManifestProblem[] {
  const problems: ManifestProblem[] = [];
  const allowed = new Set(["apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"]);
  for (const field of Object.keys(object)) {
    if (!allowed.has(field))
      problems.push({ segments: [field], text: `${field}: unknown field of a Secret` });
  }
  for (const field of ["data", "stringData"]) {
    const values = object[field];
    if (values === undefined) continue;
    if (!isRecord(values)) {
      problems.push({ segments: [field], text: `${field}: Invalid value: must be an object of strings` });
      continue;
    }
    for (const [key, value] of Object.entries(values)) {
      const path = `${field}.${key}`;
      if (typeof value !== "string") {
        // Never the value itself: it may be the password.
        problems.push({ segments: [field, key], text: `${path}: Invalid value: must be a string` });
      } else if (!/^[-._a-zA-Z0-9]{1,253}$/.test(key)) {
        problems.push({
          segments: [field, key],
          text: `${path}: Invalid key: letters, digits, "-", "_" and "."`,
        });
      } else if (field === "data" && !isBase64(value)) {
        problems.push({
          segments: [field, key],
          text: `${path}: Invalid value: must be base64 (plain text goes under stringData)`,
        });
      }
    }
  }
  return problems;
}

/** `stringData` as `data`, as the API server stores it. */
export function withBase64(object: ApplyObject): ApplyObject {
  const { stringData, ...rest } = object;
  const plain = Object.entries((stringData ?? {}) as Record<string, string>);
  const encoded = Object.fromEntries(plain.map(([key, text]) => [key, Buffer.from(text).toString("base64")]));
  return { ...rest, data: { ...(object["data"] as Record<string, string> | undefined), ...encoded } };
}

function isBase64(value: string): boolean {
  const compact = value.replace(/\s/g, "");
  return compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
