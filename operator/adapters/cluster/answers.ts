/** What the API server answered, as the port has it. An answer that is something else is a KubeError. */
import {
  KubeError,
  type KubeObject,
  type ObjectList,
  type ObjectVersion,
  type ResourceType,
  type VersionList,
} from "../kubeClient.ts";
import { PROTOBUF, readVersions } from "./protobuf.ts";

const METADATA_LIST = "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/**
 * Metadata alone, best as protobuf; a server that cannot make these (an aggregated one, a proxy with a store of
 * its own) sends whole objects, and their metadata is read.
 */
export const ACCEPT_VERSIONS = `${PROTOBUF};${METADATA_LIST}, application/json;${METADATA_LIST}, application/json`;

export function asObject(value: unknown, purpose: string): KubeObject {
  if (isRecord(value) && isRecord(value["metadata"]) && typeof value["kind"] === "string") {
    return value as KubeObject;
  }
  throw strange(purpose, "an object of Kubernetes");
}

export function asList(value: unknown, type: ResourceType, purpose: string): ObjectList {
  const { items, ...rest } = readList(value, purpose);
  const { apiVersion, kind } = type;
  // Items of a list do not say their type.
  return { ...rest, items: (items as KubeObject[]).map((item) => ({ ...item, apiVersion, kind })) };
}

/** `value`: bytes of protobuf, or a list in JSON of whatever has metadata. */
export function asVersions(value: unknown, purpose: string): VersionList {
  if (value instanceof Uint8Array) {
    try {
      return readVersions(value);
    } catch (cause) {
      throw strange(purpose, `a list of versions: ${(cause as Error).message}`, cause);
    }
  }
  const { items, ...rest } = readList(value, purpose);
  return { ...rest, items: items.map((item) => versionIn(item, purpose)) };
}

function versionIn(item: unknown, purpose: string): ObjectVersion {
  const metadata = isRecord(item) && isRecord(item["metadata"]) ? item["metadata"] : {};
  const { namespace = "", name, uid = "", resourceVersion } = metadata as Partial<ObjectVersion>;
  if (name === undefined || resourceVersion === undefined) throw strange(purpose, "a list of versions");
  return { namespace, name, uid, resourceVersion };
}

function readList(
  value: unknown,
  purpose: string,
): Omit<ObjectList, "items"> & { readonly items: unknown[] } {
  const metadata = isRecord(value) ? value["metadata"] : undefined;
  const items = isRecord(value) ? (value["items"] ?? []) : undefined;
  if (!isRecord(metadata) || typeof metadata["resourceVersion"] !== "string" || !Array.isArray(items)) {
    throw strange(purpose, "a list of Kubernetes");
  }
  const continueToken = metadata["continue"];
  return {
    items,
    resourceVersion: metadata["resourceVersion"],
    ...(typeof continueToken === "string" && continueToken !== "" ? { continueToken } : {}),
  };
}

function strange(purpose: string, what: string, cause?: unknown): KubeError {
  return new KubeError("Unknown", 200, `Cannot ${purpose}: the answer is not ${what}`, { cause });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
