/**
 * The kinds the in-memory cluster serves, with what the API server knows of each: path segment, whether
 * status is a subresource, whether `generation` is counted, what may not change, and how lists merge.
 */
import { z } from "zod";

import { API_VERSION, type KindName, kinds } from "../../../crds/group.ts";
import { ipPoolSpec, ipPoolStatus } from "../../../crds/ipPool.ts";
import { sendingDomainSpec, sendingDomainStatus } from "../../../crds/sendingDomain.ts";
import { smtpRelaySpec, smtpRelayStatus } from "../../../crds/smtpRelay.ts";
import type { KubeObject, ResourceType } from "../kubeClient.ts";
import { jsonEqual, type JsonObject } from "./fieldSet.ts";
import { builtInListTypes, type ListTypes, listTypesOfSchema, metadataListTypes } from "./listTypes.ts";

export interface ServedType extends ResourceType {
  /** Writes of the object ignore status and writes of status ignore the rest. */
  readonly statusSubresource: boolean;
  /** metadata.generation counts changes of anything but metadata and status. */
  readonly countsGeneration: boolean;
  readonly listTypes: ListTypes;
  /** Names are labels (RFC 1035, RFC 1123) or subdomains. */
  readonly names: "subdomain" | "label1035";
  /** Fills in what the API server does when the object is made. */
  readonly defaults?: (object: KubeObject) => void;
  /** Says what about the change is forbidden; null when it is allowed. */
  readonly forbidsChange?: (object: JsonObject, old: JsonObject) => string | null;
}

export interface TypeOptions {
  readonly statusSubresource?: boolean;
  readonly countsGeneration?: boolean;
  readonly listTypes?: ListTypes;
}

/** A kind to serve beside the ones below; with the status subresource unless said otherwise. */
export function servedType(type: ResourceType, options: TypeOptions = {}): ServedType {
  return {
    ...type,
    statusSubresource: options.statusSubresource ?? true,
    countsGeneration: options.countsGeneration ?? true,
    listTypes: { ...metadataListTypes, ...options.listTypes },
    names: "subdomain",
  };
}

function builtIn(
  apiVersion: string,
  kind: string,
  plural: string,
  rest: Partial<Omit<ServedType, keyof ResourceType>> = {},
): ServedType {
  return {
    ...servedType({ apiVersion, kind, plural }, { statusSubresource: false, countsGeneration: false }),
    listTypes: { ...metadataListTypes, ...builtInListTypes[kind] },
    ...rest,
  };
}

function custom(kind: KindName, spec: z.ZodType, status: z.ZodType): ServedType {
  const listTypes = {
    ...listTypesOfSchema(z.toJSONSchema(spec, { io: "input" }), "spec"),
    ...listTypesOfSchema(z.toJSONSchema(status, { io: "input" }), "status"),
  };
  return servedType({ apiVersion: API_VERSION, kind, plural: kinds[kind].plural }, { listTypes });
}

/** Fields of a StatefulSet's spec that the API server lets change. */
const changeableOfStatefulSet = new Set([
  "replicas",
  "ordinals",
  "template",
  "updateStrategy",
  "revisionHistoryLimit",
  "persistentVolumeClaimRetentionPolicy",
  "minReadySeconds",
]);

function specFieldsChanged(object: JsonObject, old: JsonObject): string[] {
  const spec = (object["spec"] ?? {}) as JsonObject;
  const before = (old["spec"] ?? {}) as JsonObject;
  return [...new Set([...Object.keys(spec), ...Object.keys(before)])].filter(
    (field) => !jsonEqual(spec[field], before[field]),
  );
}

/** Everything the operator and local mode touch. */
export function defaultTypes(): ServedType[] {
  return [
    custom("SmtpRelay", smtpRelaySpec, smtpRelayStatus),
    custom("SendingDomain", sendingDomainSpec, sendingDomainStatus),
    custom("IpPool", ipPoolSpec, ipPoolStatus),
    builtIn("v1", "Secret", "secrets", {
      defaults: (object) => void (object["type"] ??= "Opaque"),
      forbidsChange: (object, old) =>
        object["type"] === old["type"] ? null : "type: Invalid value: field is immutable",
    }),
    builtIn("v1", "ConfigMap", "configmaps"),
    builtIn("v1", "Service", "services", { statusSubresource: true, names: "label1035" }),
    builtIn("v1", "ServiceAccount", "serviceaccounts"),
    builtIn("v1", "Pod", "pods", { statusSubresource: true, countsGeneration: true }),
    builtIn("v1", "PersistentVolumeClaim", "persistentvolumeclaims", { statusSubresource: true }),
    builtIn("apps/v1", "StatefulSet", "statefulsets", {
      statusSubresource: true,
      countsGeneration: true,
      forbidsChange: (object, old) => {
        const forbidden = specFieldsChanged(object, old).filter(
          (field) => !changeableOfStatefulSet.has(field),
        );
        return forbidden.length === 0
          ? null
          : `spec: Forbidden: updates to statefulset spec for fields other than ${[...changeableOfStatefulSet].join(", ")} are forbidden (changed: ${forbidden.join(", ")})`;
      },
    }),
    builtIn("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", {
      statusSubresource: true,
      countsGeneration: true,
    }),
    builtIn("coordination.k8s.io/v1", "Lease", "leases"),
    builtIn("events.k8s.io/v1", "Event", "events"),
    builtIn("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", { countsGeneration: true }),
  ];
}
