/**
 * The chart's values: one zod schema, from which values.yaml, values.schema.json and the README's table come
 * (charts/generate.ts). Defaults and descriptions stand here and nowhere else. Unknown keys are refused, so
 * that a misspelt value is an error and not a surprise.
 */
import { z } from "zod";

const stringMap = z.record(z.string(), z.string());
/** Parts of a pod that Kubernetes itself describes better than we could. */
const anyObject = z.record(z.string(), z.unknown());

// "100m", "0.5", "512Mi": what Kubernetes calls a quantity. Numbers are what YAML makes of `cpu: 1`.
const quantity = z.union([
  z.string().regex(/^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/),
  z.number().positive(),
]);
const quantities = z
  .strictObject({
    cpu: quantity.optional(),
    memory: quantity.optional(),
    "ephemeral-storage": quantity.optional(),
  })
  .describe("By resource.");

/** RFC 1123 label, as names of namespaces are. */
const label = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/)
  .max(63);
const port = z.int().min(1).max(65_535);
const flag = (on: boolean, text: string) => z.boolean().default(on).describe(text);

export const chartValues = z.strictObject({
  nameOverride: z.string().max(63).default("").describe("Replaces the chart's name in names of objects."),
  fullnameOverride: z.string().max(52).default("").describe("Replaces the whole name of objects."),
  replicas: z
    .int()
    .min(1)
    .max(2)
    .default(1)
    .describe(
      "Operator pods. One leads; a second stands by and takes over within seconds. Mail needs neither.",
    ),
  image: z
    .strictObject({
      repository: z.string().min(1).default("smtp-relay-operator").describe("Image of operator and relays."),
      tag: z.string().max(128).default("").describe("Default: the chart's appVersion."),
      digest: z
        .string()
        .regex(/^(sha256:[0-9a-f]{64})?$/)
        .default("")
        .describe("`sha256:…`; wins over the tag."),
      pullPolicy: z
        .enum(["Always", "IfNotPresent", "Never"])
        .default("IfNotPresent")
        .describe("Of the operator."),
    })
    .prefault({})
    .describe("The one image both programs are in."),
  imagePullSecrets: z
    .array(z.strictObject({ name: z.string().min(1) }))
    .max(10)
    .default([])
    .describe("Secrets for a private registry, of the operator's pods."),
  relayImage: z
    .string()
    .default("")
    .describe("Image of relay pods, whole reference. Default: the operator's own."),
  watchNamespaces: z
    .array(label)
    .max(100)
    .default([])
    .describe(
      "Namespaces to serve. Empty: all, by a ClusterRole. Otherwise a Role in each of them, and nothing cluster-wide but the aggregated roles.",
    ),
  logLevel: z
    .enum(["debug", "info", "warn", "error"])
    .default("info")
    .describe("Least level that is logged."),
  crds: z
    .strictObject({
      enabled: flag(
        true,
        "Install and upgrade the CRDs with the chart. Off where something else brings them.",
      ),
      keep: flag(true, "Keep the CRDs, and with them every relay, domain and pool, on uninstall."),
    })
    .prefault({})
    .describe("The API of the three kinds."),
  rbac: z
    .strictObject({
      create: flag(true, "Make the operator's roles and bindings."),
      aggregateRoles: flag(true, "Let the built-in view, edit and admin roles reach the three kinds."),
    })
    .prefault({})
    .describe("Rights."),
  serviceAccount: z
    .strictObject({
      create: flag(true, "Make the operator's ServiceAccount."),
      name: z.string().max(253).default("").describe("Default: the full name; `default` when none is made."),
      annotations: stringMap.default({}).describe("Of the ServiceAccount."),
    })
    .prefault({})
    .describe("Who the operator is."),
  resources: z
    .strictObject({ requests: quantities.optional(), limits: quantities.optional() })
    .default({ requests: { cpu: "200m", memory: "384Mi" }, limits: { memory: "512Mi" } })
    .describe(
      "Of the operator, as measured with 10,000 domains, 500 relays and 500 pools: at most 331 MiB, three tenths of a core at rest, one core for half a minute at a start (docs/operator-scale.md). Idle: 190 MiB. No CPU limit: throttling only delays.",
    ),
  podLabels: stringMap.default({}).describe("More labels of the operator's pods."),
  podAnnotations: stringMap.default({}).describe("Annotations of the operator's pods."),
  priorityClassName: z.string().max(253).default("").describe("Of the operator's pods."),
  nodeSelector: stringMap.default({}).describe("Nodes the operator may run on."),
  tolerations: z.array(anyObject).max(50).default([]).describe("Taints the operator bears."),
  affinity: anyObject.default({}).describe("Default: two replicas prefer two nodes."),
  podDisruptionBudget: z
    .strictObject({
      enabled: flag(true, "Made only with two replicas: with one it would only hold up drains."),
    })
    .prefault({})
    .describe("Keeps one operator through voluntary disruptions."),
  networkPolicy: z
    .strictObject({
      enabled: flag(false, "Deny the operator's pods all traffic but what it needs."),
      apiServerPorts: z
        .array(port)
        .min(1)
        .max(10)
        .default([443, 6443])
        .describe(
          "Ports of the API server as pods reach it after translation; k3s and kubeadm 6443, others 443.",
        ),
      metricsFrom: z
        .array(anyObject)
        .max(20)
        .default([])
        .describe("Peers (`namespaceSelector`, `podSelector`, `ipBlock`) that may scrape. Empty: all pods."),
    })
    .prefault({})
    .describe("Needs a network plug-in that enforces policies."),
  monitoring: z
    .strictObject({
      labels: stringMap
        .default({})
        .describe("More labels of the monitoring objects, for a Prometheus that selects by label."),
      interval: z
        .string()
        .regex(/^[1-9][0-9]*(s|m)$/)
        .default("30s")
        .describe("Scrape interval."),
      serviceMonitor: z
        .strictObject({ enabled: flag(false, "Scrape the operator.") })
        .prefault({})
        .describe("Needs the Prometheus operator's CRDs."),
      podMonitor: z
        .strictObject({ enabled: flag(false, "Scrape relay pods in all namespaces served.") })
        .prefault({})
        .describe("Needs the Prometheus operator's CRDs."),
      prometheusRule: z
        .strictObject({
          enabled: flag(false, "Alerts, one for each runbook in docs/runbooks."),
          runbookUrl: z
            .string()
            .regex(/^https?:\/\/[^\s]*[^/\s]$/)
            .default("https://smtprelay.dev/runbooks")
            .describe("Where your copy of docs/runbooks is served; `/NAME.md` is appended."),
        })
        .prefault({})
        .describe("Needs the Prometheus operator's CRDs."),
      dashboard: z
        .strictObject({
          enabled: flag(false, "A ConfigMap with a Grafana dashboard."),
          labels: stringMap.default({ grafana_dashboard: "1" }).describe("What Grafana's sidecar looks for."),
          annotations: stringMap.default({}).describe("Of the ConfigMap, for example Grafana's folder."),
        })
        .prefault({})
        .describe("Needs Grafana's sidecar, or an import by hand."),
    })
    .prefault({})
    .describe("All off by default: they need CRDs of other projects."),
  global: anyObject.optional().describe("Helm hands this to subcharts; not read here."),
});

export type ChartValues = z.infer<typeof chartValues>;

export interface ValueLine {
  /** "image.tag" */
  readonly path: string;
  readonly depth: number;
  readonly key: string;
  readonly description: string;
  /** False: a group of further lines. */
  readonly leaf: boolean;
  readonly defaultValue: unknown;
}

interface JsonSchema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
}

/** The schema as Helm reads it. */
export function valuesSchema(): Record<string, unknown> {
  return z.toJSONSchema(chartValues, { io: "input", target: "draft-7" });
}

/** Every value in order, groups before what they hold. `global` and what has no default is left out. */
export function valueLines(): readonly ValueLine[] {
  return [...linesOf(valuesSchema(), chartValues.parse({}), [])];
}

function* linesOf(schema: JsonSchema, defaults: object, path: readonly string[]): Generator<ValueLine> {
  const byKey = defaults as Readonly<Record<string, unknown>>;
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const defaultValue = byKey[key];
    if (defaultValue === undefined) continue;
    const here = [...path, key];
    // `resources` is told as one value, as people write it.
    const leaf = property.properties === undefined || key === "resources";
    const { description = "" } = property;
    yield { path: here.join("."), depth: path.length, key, description, leaf, defaultValue };
    if (!leaf) yield* linesOf(property, defaultValue as object, here);
  }
}
