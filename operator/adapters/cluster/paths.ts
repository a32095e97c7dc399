/**
 * Resource paths of the Kubernetes API: `/api/v1` for the core group, `/apis/GROUP/VERSION` for all others,
 * then the namespace, the plural, the name and the subresource. Every segment is encoded, so that no name
 * can reach another path.
 */
import type { ResourceType } from "../kubeClient.ts";

export interface Target {
  readonly type: Pick<ResourceType, "apiVersion" | "plural">;
  /** All namespaces when left out. */
  readonly namespace?: string | undefined;
  readonly name?: string;
  readonly subresource?: "status";
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export function apiPath(target: Target, query: Query = {}): string {
  const { type, namespace, name, subresource } = target;
  const segments = [
    ...(type.apiVersion.includes("/") ? ["apis", ...type.apiVersion.split("/")] : ["api", type.apiVersion]),
    ...(namespace === undefined ? [] : ["namespaces", namespace]),
    type.plural,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) search.set(key, String(value));
  }
  const path = `/${segments.map(encodeSegment).join("/")}`;
  return search.size === 0 ? path : `${path}?${search.toString()}`;
}

/** Equality selector: all of these labels. */
export function labelSelector(labels: Readonly<Record<string, string>> | undefined): string | undefined {
  if (labels === undefined) return undefined;
  const terms = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return terms.length === 0 ? undefined : terms.join(",");
}

/** `.` and `..` would be taken for steps in the path, an empty segment for the collection. */
function encodeSegment(segment: string): string {
  if (segment === "" || segment === "." || segment === "..") {
    throw new Error(`Cannot make a resource path: ${JSON.stringify(segment)} is not a name`);
  }
  return encodeURIComponent(segment);
}
