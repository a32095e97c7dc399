/**
 * The user's first steps on a throw-away cluster: the operator by Helm, the quickstart's manifests, and the records
 * its objects ask for in the zones of the outside world.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parseAllDocuments } from "yaml";

import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import { sleep, systemClock } from "../../../relay/kit/clock.ts";
import type { Cluster } from "./cluster.ts";
import type { DnsRecord, Outside } from "./outside.ts";
import { PRODUCT_IMAGE } from "./productImage.ts";

export const OPERATOR = "smtp-relay-operator";
export const OPERATOR_NAMESPACE = "smtp-relay-system";

const tree = join(import.meta.dirname, "../../..");
const folder = join(tree, "examples/quickstart");

/** The example, unchanged but for addresses: loopback is no place to send from in a cluster. */
export const exampleManifests = readdirSync(folder)
  .filter((file) => file.endsWith(".yaml"))
  .map((file) => readFileSync(join(folder, file), "utf8"))
  .join("\n---\n")
  .replace("127.0.0.11", "192.0.2.10")
  .replace("127.0.0.12", "192.0.2.11");

export type ExampleObject = KubeObject & { readonly spec: object };

/** The same as objects of a namespace, with `changes` to the spec of each kind. */
export function exampleObjects(
  namespace: string,
  changes: Readonly<Record<string, object>> = {},
): ExampleObject[] {
  return parseAllDocuments(exampleManifests).map((document) => {
    const object = document.toJSON() as ExampleObject;
    const { kind, metadata, spec } = object;
    return { ...object, metadata: { ...metadata, namespace }, spec: { ...spec, ...changes[kind] } };
  });
}

/**
 * Installs the chart with the image of the working tree, or brings it to another tag of it; the image must be on the node.
 * Back when the operator is ready.
 */
export async function installOperator(
  cluster: Cluster,
  options: { readonly tag?: string } = {},
): Promise<void> {
  const { repository, tag } = { ...PRODUCT_IMAGE, ...options };
  await cluster.helm([
    ...["upgrade", "--install", OPERATOR, join(tree, "charts/smtp-relay-operator")],
    ...["-n", OPERATOR_NAMESPACE, "--create-namespace"],
    ...["--set", `image.repository=${repository},image.tag=${tag}`, "--wait", "--timeout=90s"],
  ]);
}

interface Named {
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: { readonly clusterIP?: string };
  readonly status?: { readonly records?: DnsRecord[] };
}

/**
 * Does what all objects ask of the owner of their zones, and names the Services: the cluster has no name server of
 * its own, and pods ask the outside's. False while an object has not said it yet, or none is there.
 */
export async function publishRecords(cluster: Cluster, outside: Outside): Promise<boolean> {
  const { items } = JSON.parse(
    await cluster.kubectl(["get", "sendingdomains,ippools,services", "--all-namespaces", "-o", "json"]),
  ) as { items: Named[] };
  const said = items.filter(({ kind }) => kind !== "Service").map(({ status }) => status?.records ?? []);
  const services = items.flatMap(({ kind, metadata, spec }): DnsRecord[] =>
    kind === "Service" && spec.clusterIP !== undefined && spec.clusterIP !== "None"
      ? [{ type: "A", name: `${metadata.name}.${metadata.namespace}.svc`, expected: spec.clusterIP }]
      : [],
  );
  outside.publish([...said.flat(), ...services]);
  return said.length > 0 && said.every((records) => records.length > 0);
}

const PUBLISH_EVERY_MS = 500;

/** The same again and again, as owners of zones automate it; the result ends that. */
export function keepPublishing(cluster: Cluster, outside: Outside): () => Promise<void> {
  const ending = new AbortController();
  const publish = async () => {
    while (!ending.signal.aborted) {
      // While it cannot be read, what was published stands.
      await publishRecords(cluster, outside).catch(() => false);
      await sleep(systemClock, PUBLISH_EVERY_MS, ending.signal);
    }
  };
  const publishing = publish();
  return async () => {
    ending.abort();
    await publishing;
  };
}
