/**
 * Small questions about stored objects: where one is kept, which of its fields can be owned, whether its
 * spec changed; and the continue token of a paged list.
 */
import { KubeError, type KubeObject, type ObjectVersion } from "../kubeClient.ts";
import { isObject, type Json, jsonEqual, type JsonObject } from "./fieldSet.ts";
import type { ServedType } from "./resourceTypes.ts";

export function kindId(type: { readonly apiVersion: string; readonly kind: string }): string {
  return `${type.apiVersion}/${type.kind}`;
}

export function objectId(key: { readonly namespace?: string; readonly name: string }): string {
  return `${key.namespace ?? ""}/${key.name}`;
}

export function versionOf({ metadata }: KubeObject): ObjectVersion {
  const { namespace = "", name, uid = "", resourceVersion = "" } = metadata;
  return { namespace, name, uid, resourceVersion };
}

/** A copy without undefined and null fields, which an apply treats alike. */
export function asJson(value: object): JsonObject {
  return JSON.parse(
    JSON.stringify(value, (_, field: unknown) => (field === null ? undefined : field)),
  ) as JsonObject;
}

/**
 * A copy with the fields of every object by name, as the API server hands out custom resources: whoever
 * compares what it wrote with what it reads must not mind the order.
 */
export function inServerOrder(object: KubeObject): KubeObject {
  return sorted(object as unknown as Json) as unknown as KubeObject;
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(fields.map(([name, field]) => [name, sorted(field)]));
}

/** Kind and name are not fields anyone owns. */
export function splitIdentity(object: JsonObject): { identity: JsonObject; fields: JsonObject } {
  const { apiVersion, kind, metadata, ...rest } = object;
  const { name: _name, namespace: _namespace, ...owned } = (metadata ?? {}) as JsonObject;
  return {
    identity: { apiVersion: apiVersion ?? "", kind: kind ?? "" },
    fields: { metadata: owned, ...rest },
  };
}

export function sameSpec(type: ServedType, object: KubeObject, old: KubeObject): boolean {
  const { metadata: _metadata, status, ...rest } = object;
  const { metadata: _oldMetadata, status: oldStatus, ...oldRest } = old;
  if (!jsonEqual(asJson(rest), asJson(oldRest))) return false;
  return type.statusSubresource || jsonEqual(asJson({ status }), asJson({ status: oldStatus }));
}

export function hasFinalizers(object: KubeObject): boolean {
  return (object.metadata.finalizers?.length ?? 0) > 0;
}

/** The API server leaves out empty metadata lists and maps. */
export function dropEmptyMetadata(object: KubeObject): void {
  for (const field of ["labels", "annotations", "ownerReferences", "finalizers"] as const) {
    const value = object.metadata[field];
    if (value !== undefined && Object.keys(value).length === 0) delete object.metadata[field];
  }
}

export function setOrDelete(metadata: object, field: string, value: unknown): void {
  if (value === undefined) delete (metadata as Record<string, unknown>)[field];
  else (metadata as Record<string, unknown>)[field] = value;
}

export function makeToken(revision: number, after: string): string {
  return Buffer.from(JSON.stringify([revision, after])).toString("base64url");
}

export function parseToken(token: string): { revision: number; after: string } {
  try {
    const [revision, after] = JSON.parse(Buffer.from(token, "base64url").toString()) as unknown[];
    if (Number.isSafeInteger(revision) && typeof after === "string")
      return { revision: revision as number, after };
  } catch {
    // Told below: whatever is wrong with it, it is not a token of ours.
  }
  throw new KubeError("Invalid", 400, `continue key is not valid: ${token.slice(0, 64)}`);
}
