/**
 * What a pod template asks of the machine, read from its JSON: files to mount, environment, ports and
 * probes. Pure. What local mode cannot give is refused by name rather than left out in silence; what has
 * no meaning without a container (image, security context, resources, affinity) is passed over.
 */
import { z } from "zod";

import { bootVariables, statusPaths } from "../../relay/contract/endpoints.ts";

const items = z.array(z.looseObject({ key: z.string(), path: z.string() })).optional();
const secretSource = z.looseObject({ secretName: z.string(), items, optional: z.boolean().optional() });
const probe = z.looseObject({
  httpGet: z.looseObject({ path: z.string().optional(), port: z.union([z.int(), z.string()]) }),
  failureThreshold: z.int().min(1).optional(),
});
const volume = z.looseObject({
  name: z.string(),
  secret: secretSource.optional(),
  emptyDir: z.looseObject({}).optional(),
  projected: z
    .looseObject({
      sources: z.array(
        z.looseObject({
          secret: z.looseObject({ name: z.string(), items, optional: z.boolean().optional() }).optional(),
        }),
      ),
    })
    .optional(),
});
const container = z.looseObject({
  name: z.string(),
  env: z
    .array(
      z.looseObject({
        name: z.string(),
        value: z.string().optional(),
        valueFrom: z
          .looseObject({ fieldRef: z.looseObject({ fieldPath: z.string() }).optional() })
          .optional(),
      }),
    )
    .default([]),
  ports: z.array(z.looseObject({ name: z.string().optional(), containerPort: z.int() })).default([]),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).default([]),
  readinessProbe: probe.optional(),
  livenessProbe: probe.optional(),
});
const statefulSetSpec = z.looseObject({
  replicas: z.int().min(0).default(1),
  podManagementPolicy: z.enum(["OrderedReady", "Parallel"]).default("OrderedReady"),
  template: z.looseObject({
    metadata: z
      .looseObject({
        labels: z.record(z.string(), z.string()).default({}),
        annotations: z.record(z.string(), z.string()).default({}),
      })
      .prefault({}),
    spec: z.looseObject({
      containers: z.array(container).length(1),
      volumes: z.array(volume).default([]),
      terminationGracePeriodSeconds: z.int().min(0).default(30),
    }),
  }),
  volumeClaimTemplates: z
    .array(z.looseObject({ metadata: z.looseObject({ name: z.string() }), spec: z.looseObject({}) }))
    .default([]),
});
export type StatefulSetSpec = z.output<typeof statefulSetSpec>;
export type PodTemplate = StatefulSetSpec["template"];

/** Throws when the spec asks for what cannot be played here, naming it. */
export function readStatefulSetSpec(spec: unknown): StatefulSetSpec {
  const parsed = statefulSetSpec.safeParse(spec);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(
    `Cannot run this StatefulSet in local mode: spec.${issue?.path.join(".")}: ${issue?.message}`,
  );
}

/** A Secret to be seen under `volume`; `items` null: every key under its own name. */
export interface SecretMount {
  readonly volume: string;
  readonly secretName: string;
  readonly items: readonly { readonly key: string; readonly path: string }[] | null;
  readonly optional: boolean;
}

/** Volumes of the template by what they are; claims come from the StatefulSet. */
export function secretMounts(template: PodTemplate): SecretMount[] {
  return template.spec.volumes.flatMap((one): SecretMount[] => {
    if (one.secret !== undefined) {
      const { secretName, items: chosen, optional } = one.secret;
      return [{ volume: one.name, secretName, items: chosen ?? null, optional: optional ?? false }];
    }
    if (one.projected !== undefined) {
      return one.projected.sources.map((source) => {
        if (source.secret === undefined)
          throw new Error(`volume ${one.name}: only Secrets are projected in local mode`);
        const { name, items: chosen, optional } = source.secret;
        return { volume: one.name, secretName: name, items: chosen ?? null, optional: optional ?? false };
      });
    }
    if (one.emptyDir !== undefined) return [];
    throw new Error(`volume ${one.name}: local mode gives Secrets, projected Secrets and emptyDir only`);
  });
}

export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly ip: string;
  readonly portShift: number;
  /** Folder on this machine for each volume's name. */
  readonly folders: ReadonlyMap<string, string>;
  readonly adminSocket: string;
}

/** The environment of the process: the template's, with paths of this machine, and where to listen. */
export function containerEnvironment(template: PodTemplate, facts: PodFacts): Record<string, string> {
  const [main] = template.spec.containers;
  const environment: Record<string, string> = {};
  for (const { name, value, valueFrom } of main?.env ?? []) {
    if (valueFrom === undefined) environment[name] = localPath(value ?? "", template, facts.folders);
    else if (valueFrom.fieldRef !== undefined)
      environment[name] = fieldOf(valueFrom.fieldRef.fieldPath, template, facts);
    else throw new Error(`env ${name}: local mode resolves value and fieldRef only`);
  }
  environment[bootVariables.bindAddress] = facts.ip;
  environment[bootVariables.portShift] = String(facts.portShift);
  environment[bootVariables.adminSocket] = facts.adminSocket;
  return environment;
}

export interface HttpProbe {
  readonly path: string;
  readonly port: number;
  readonly failureThreshold: number;
}

export function containerPorts(template: PodTemplate): number[] {
  return (template.spec.containers[0]?.ports ?? []).map(({ containerPort }) => containerPort);
}

/** Null: the template has none. Kubernetes' default of three failures. */
export function httpProbe(template: PodTemplate, kind: "readinessProbe" | "livenessProbe"): HttpProbe | null {
  const [main] = template.spec.containers;
  const found = main?.[kind];
  if (main === undefined || found === undefined) return null;
  const { path = statusPaths.health, port } = found.httpGet;
  const number =
    typeof port === "number" ? port : main.ports.find(({ name }) => name === port)?.containerPort;
  if (number === undefined) throw new Error(`${kind}: the container has no port named ${port}`);
  return { path, port: number, failureThreshold: found.failureThreshold ?? 3 };
}

function localPath(value: string, template: PodTemplate, folders: ReadonlyMap<string, string>): string {
  for (const { name, mountPath } of template.spec.containers[0]?.volumeMounts ?? []) {
    const folder = folders.get(name);
    if (folder === undefined) continue;
    if (value === mountPath) return folder;
    if (value.startsWith(`${mountPath}/`)) return `${folder}${value.slice(mountPath.length)}`;
  }
  return value;
}

function fieldOf(path: string, template: PodTemplate, facts: PodFacts): string {
  switch (path) {
    case "metadata.name":
      return facts.name;
    case "metadata.namespace":
      return facts.namespace;
    case "metadata.uid":
      return facts.uid;
    case "status.podIP":
    case "status.hostIP":
      return facts.ip;
    case "spec.nodeName":
      return "local";
    default: {
      const [, group, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? [];
      if (group === "labels") return template.metadata.labels[key ?? ""] ?? "";
      if (group === "annotations") return template.metadata.annotations[key ?? ""] ?? "";
      throw new Error(`fieldRef ${path} is not known in local mode`);
    }
  }
}
