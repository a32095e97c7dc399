/**
 * How server-side apply merges lists and objects: by key, as a set, or as one value. The API server reads
 * this from a type's schema; here it is a table from path to rule.
 *
 * A path names fields with dots and list items with `[]`: "spec.template.spec.containers[].ports".
 * A list without a rule is atomic, an object without one is merged field by field, as in structural schemas.
 */

export type MergeRule =
  /** Items are told apart by these fields; `defaults` stand in for key fields left out. */
  | {
      readonly kind: "map";
      readonly keys: readonly string[];
      readonly defaults?: Readonly<Record<string, string | number>>;
    }
  | { readonly kind: "set" }
  /** One value: whoever applies it replaces all of it. Also for objects such as selectors. */
  | { readonly kind: "atomic" };

export type ListTypes = Readonly<Record<string, MergeRule>>;

const by = (...keys: string[]): MergeRule => ({ kind: "map", keys });
const atomic: MergeRule = { kind: "atomic" };
const set: MergeRule = { kind: "set" };
const portsBy = (key: string): MergeRule => ({
  kind: "map",
  keys: [key, "protocol"],
  defaults: { protocol: "TCP" },
});

/** Metadata is merged alike in every kind. */
export const metadataListTypes: ListTypes = {
  "metadata.finalizers": set,
  "metadata.ownerReferences": by("uid"),
  "metadata.ownerReferences[]": atomic,
};

function prefixed(prefix: string, rules: ListTypes): ListTypes {
  return Object.fromEntries(Object.entries(rules).map(([path, rule]) => [`${prefix}.${path}`, rule]));
}

const container: ListTypes = {
  env: by("name"),
  "env[].valueFrom.secretKeyRef": atomic,
  "env[].valueFrom.fieldRef": atomic,
  ports: portsBy("containerPort"),
  volumeMounts: by("mountPath"),
  volumeDevices: by("devicePath"),
};

const podSpec: ListTypes = {
  containers: by("name"),
  ...prefixed("containers[]", container),
  initContainers: by("name"),
  ...prefixed("initContainers[]", container),
  volumes: by("name"),
  imagePullSecrets: by("name"),
  hostAliases: by("ip"),
  readinessGates: atomic,
  topologySpreadConstraints: by("topologyKey", "whenUnsatisfiable"),
  "topologySpreadConstraints[].labelSelector": atomic,
  nodeSelector: atomic,
};

const conditionsByType: ListTypes = { "status.conditions": by("type") };

/** By kind; kinds of other groups give theirs when they are registered. */
export const builtInListTypes: Readonly<Record<string, ListTypes>> = {
  Pod: {
    ...prefixed("spec", podSpec),
    ...conditionsByType,
    "status.podIPs": by("ip"),
    "status.containerStatuses": atomic,
  },
  StatefulSet: {
    ...prefixed("spec.template.spec", podSpec),
    "spec.selector": atomic,
    "spec.volumeClaimTemplates": atomic,
    ...conditionsByType,
  },
  Service: { "spec.ports": portsBy("port"), "spec.selector": atomic, ...conditionsByType },
  PodDisruptionBudget: { "spec.selector": atomic, ...conditionsByType },
  NetworkPolicy: {
    "spec.podSelector": atomic,
    "spec.ingress": atomic,
    "spec.egress": atomic,
    "spec.policyTypes": atomic,
  },
  ServiceAccount: { secrets: by("name"), imagePullSecrets: atomic },
};

/**
 * Rules of a JSON schema that carries `x-kubernetes-list-type` marks, as our CRDs do. `schema` describes the
 * value at `path` ("spec" or "status").
 */
export function listTypesOfSchema(schema: unknown, path: string): ListTypes {
  const rules: Record<string, MergeRule> = {};
  collect(schema, path, rules);
  return rules;
}

function collect(schema: unknown, path: string, rules: Record<string, MergeRule>): void {
  if (!isRecord(schema)) return;
  switch (schema["x-kubernetes-list-type"]) {
    case "map":
      rules[path] = { kind: "map", keys: stringList(schema["x-kubernetes-list-map-keys"]) };
      break;
    case "set":
      rules[path] = set;
      break;
    case "atomic":
      rules[path] = atomic;
      break;
    default:
      if (schema["x-kubernetes-map-type"] === "atomic") rules[path] = atomic;
  }
  collect(schema["items"], `${path}[]`, rules);
  if (isRecord(schema["properties"])) {
    for (const [name, property] of Object.entries(schema["properties"])) {
      collect(property, `${path}.${name}`, rules);
    }
  }
}

function stringList(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
