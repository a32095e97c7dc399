/**
 * The CustomResourceDefinition of each kind as a plain object: structural schema, CEL rules at their
 * places, subresources, printer columns and field selectors. Pure; generate.ts writes it as YAML.
 *
 * It never goes through a typed client, which would drop defaults, enums and every x-kubernetes mark.
 */
import { celRules, type CelRule } from "./celRules.ts";
import { API_VERSION, CATEGORY, GROUP, type KindName, kinds, VERSION } from "./group.ts";
import { kindSchemas } from "./schemas.ts";
import type { ObjectSchema, StructuralSchema } from "./schemaTypes.ts";
import { structuralSchema } from "./structuralSchema.ts";

export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly description?: string;
  /** 1: only with -o wide. */
  readonly priority?: 1;
}

export interface CustomResourceDefinition {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: "Namespaced";
    readonly names: {
      readonly kind: KindName;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly [CrdVersion];
  };
}

interface CrdVersion {
  readonly name: string;
  readonly served: true;
  readonly storage: true;
  readonly additionalPrinterColumns: readonly PrinterColumn[];
  readonly selectableFields?: readonly { readonly jsonPath: string }[];
  readonly subresources: {
    readonly status: Readonly<Record<string, never>>;
    readonly scale?: {
      readonly specReplicasPath: string;
      readonly statusReplicasPath: string;
      readonly labelSelectorPath: string;
    };
  };
  readonly schema: { readonly openAPIV3Schema: ObjectSchema };
}

function ofReady(field: "status" | "reason" | "message"): string {
  return `.status.conditions[?(@.type=="Ready")].${field}`;
}

const ready: PrinterColumn = { name: "Ready", type: "string", jsonPath: ofReady("status") };
/** Reason and message for -o wide; age stands last, where eyes look for it. */
const tail: readonly PrinterColumn[] = [
  { name: "Reason", type: "string", jsonPath: ofReady("reason"), priority: 1 },
  { name: "Message", type: "string", jsonPath: ofReady("message"), priority: 1 },
  { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
];

function column(name: string, jsonPath: string, description: string): PrinterColumn {
  return { name, type: "string", jsonPath, description };
}

const columns: Readonly<Record<KindName, readonly PrinterColumn[]>> = {
  SmtpRelay: [
    column("Replicas", ".status.ready", "Ready pods and wanted pods."),
    { ...column("Queued", ".status.queue.messages", "Messages that wait, over all pods."), type: "integer" },
    column("Oldest", ".status.queue.oldest", "Age of the oldest message that waits."),
  ],
  SendingDomain: [
    column("Domain", ".spec.domain", "The domain that sends."),
    column("Selector", ".status.selectors", "DKIM selectors that sign now."),
    column("DNS", ".status.dns", "The domain's records as a whole."),
    column("Next-Rotation", ".status.nextRotation", "Day on which the next DKIM keys are made."),
  ],
  IpPool: [
    column("Addresses", ".status.ready", "Addresses that may send and addresses in all."),
    column("Warming", ".status.warming", "Least advanced stage of the ramp."),
    column("Today", ".status.today", "Use and limit of this UTC day."),
    column("Reputation", ".status.reputation", "Worst rating of the addresses."),
  ],
};

const selectable: Readonly<Record<KindName, readonly string[]>> = {
  SmtpRelay: [".spec.poolRef.name"],
  SendingDomain: [".spec.relayRef.name", ".spec.domain"],
  IpPool: [],
};

const scale = {
  specReplicasPath: ".spec.replicas",
  statusReplicasPath: ".status.replicas",
  // Without it an autoscaler cannot find the pods.
  labelSelectorPath: ".status.selector",
};

/** The CRD of `kind`. Throws when a schema or the place of a rule is not as the API server needs it. */
export function customResourceDefinition(kind: KindName): CustomResourceDefinition {
  const names = kinds[kind];
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${names.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: {
        kind,
        listKind: `${kind}List`,
        plural: names.plural,
        singular: names.singular,
        shortNames: names.shortNames,
        categories: [CATEGORY],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: [ready, ...columns[kind], ...tail],
          ...(selectable[kind].length > 0 && {
            selectableFields: selectable[kind].map((jsonPath) => ({ jsonPath })),
          }),
          subresources: { status: {}, ...(kind === "SmtpRelay" && { scale }) },
          schema: { openAPIV3Schema: resourceSchema(kind) },
        },
      ],
    },
  };
}

/** Schema of the whole object, rules included. */
export function resourceSchema(kind: KindName): ObjectSchema {
  const { about, spec, status } = kindSchemas[kind];
  const bare: ObjectSchema = {
    type: "object",
    description: about,
    required: ["spec"],
    properties: {
      apiVersion: { type: "string", description: `Always ${API_VERSION}.` },
      kind: { type: "string", description: `Always ${kind}.` },
      // Declared so that rules can name the field; its form is the API server's own business.
      metadata: { type: "object", properties: { name: { type: "string" } } },
      spec: { ...structuralSchema(spec, "spec"), description: "What is wanted." },
      status: { ...structuralSchema(status, "status"), description: "What the operator found. Read only." },
    },
  };
  const rules = celRules.filter((rule) => rule.kind === kind);
  return rules.reduce((schema, rule) => withRule(schema, steps(rule.path), rule), bare);
}

/** "spec.listeners[]" → ["spec", "listeners", "[]"]. */
function steps(path: string): string[] {
  return path
    .replaceAll("[]", ".[]")
    .split(".")
    .filter((step) => step !== "");
}

function withRule<S extends StructuralSchema>(schema: S, path: readonly string[], rule: CelRule): S {
  const [step, ...rest] = path;
  if (step === undefined) {
    requireField(schema, rule);
    const { message, fieldPath } = rule;
    const validation = { rule: rule.rule, message, ...(fieldPath !== undefined && { fieldPath }) };
    return {
      ...schema,
      "x-kubernetes-validations": [...(schema["x-kubernetes-validations"] ?? []), validation],
    };
  }
  if (step === "[]" && schema.type === "array") {
    return { ...schema, items: withRule(schema.items, rest, rule) };
  }
  const property = schema.type === "object" ? schema.properties?.[step] : undefined;
  if (schema.type !== "object" || property === undefined) {
    throw new Error(`Cannot place the rule "${rule.rule}": ${rule.kind} has no ${rule.path}.`);
  }
  return { ...schema, properties: { ...schema.properties, [step]: withRule(property, rest, rule) } };
}

function requireField(schema: StructuralSchema, rule: CelRule): void {
  let at: StructuralSchema | undefined = schema;
  for (const step of steps(rule.fieldPath ?? "")) {
    at = at?.type === "object" ? at.properties?.[step] : undefined;
  }
  if (at === undefined) {
    throw new Error(`Cannot place the rule "${rule.rule}": there is no ${rule.path}${rule.fieldPath ?? ""}.`);
  }
}
