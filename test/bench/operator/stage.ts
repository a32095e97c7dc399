/**
 * The stage: a real API server with the population on it, name servers that answer for every domain, the fleet,
 * and the operator's rights as the chart grants them. It is settled by a first operator, which makes what users
 * do not: certificates, passwords, configurations, workloads and every status.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

import { API_VERSION, kinds } from "../../../crds/group.ts";
import { type ClusterClient, createClusterClient } from "../../../operator/adapters/cluster/clusterClient.ts";
import type { ApplyObject, KubeObject, ResourceType } from "../../../operator/adapters/kubeClient.ts";
import { createLimiter } from "../../../operator/adapters/limiter.ts";
import { DOMAIN_MANAGER } from "../../../operator/reconcile/sendingDomain.ts";
import { systemClock } from "../../../relay/kit/clock.ts";
import { systemRandom } from "../../../relay/kit/random.ts";
import { type ApiServer, startApiServer } from "../../support/cluster/apiServer.ts";
import type { AuditEvent } from "../../support/cluster/audit.ts";
import { applyCrds, condition } from "../../support/cluster/crds.ts";
import { type Door, openDoor } from "./door.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { AuditTail } from "./observed.ts";
import { giveServiceAccount } from "./place.ts";
import { type Population, populate, type Sizes } from "./population.ts";
import { serveZones } from "./zones.ts";

const root = join(import.meta.dirname, "../../..");
export const OPERATOR = { namespace: "smtp-relay-operator", name: "smtp-relay-operator" } as const;
export const customTypes: readonly ResourceType[] = (["SmtpRelay", "SendingDomain", "IpPool"] as const).map(
  (kind) => ({ apiVersion: API_VERSION, kind, plural: kinds[kind].plural }),
);
const AT_A_TIME = 16;

export type Say = (line: string) => void;

export interface Stage extends AsyncDisposable {
  readonly api: ApiServer;
  readonly apiPort: number;
  readonly door: Door;
  readonly fleet: Fleet;
  /** As administrator. */
  readonly client: ClusterClient;
  readonly population: Population;
  /** Writes of the operator since the last call, as "VERB RESOURCE NAMESPACE/NAME"; its lease apart. */
  operatorWrites(): { readonly writes: readonly string[]; readonly lease: number };
  /** How many objects are not Ready, by kind. */
  notReady(): Promise<ReadonlyMap<string, number>>;
}

export async function setStage(sizes: Sizes, say: Say): Promise<Stage> {
  const stack = new AsyncDisposableStack();
  try {
    const api = stack.use(await startApiServer({ audit: "writes", operator: OPERATOR }));
    await applyCrds(api.admin);
    const client = createClusterClient({
      access: {
        server: new URL(api.url),
        credentials: async () => ({
          headers: { authorization: `Bearer ${api.identities.admin.token}` },
          tls: { ca: api.ca },
        }),
        refused: () => {},
      },
      clock: systemClock,
      random: systemRandom,
      concurrency: AT_A_TIME,
    });
    stack.defer(() => client.close());
    await giveServiceAccount({
      token: api.identities.operator.token,
      ca: api.ca,
      namespace: OPERATOR.namespace,
    });
    await applyRights(api);
    const population = populate(sizes);
    const dns = stack.use(await serveZones(population.zones));
    say(`name server: ${population.zones.size} zones (process ${dns.program.child.pid})`);
    await seed(api, client, population, say);
    const fleet = stack.use(await startFleet(client));
    const door = stack.use(await openDoor(api));
    const tail = new AuditTail(join(api.directory, "audit.log"));
    tail.read();
    const kept = stack.move();
    return {
      api,
      apiPort: Number(new URL(api.url).port),
      door,
      fleet,
      client,
      population,
      operatorWrites() {
        const ours = tail.read().filter(({ user }) => user.username === api.identities.operator.user);
        const writes = ours.filter(({ objectRef }) => objectRef?.resource !== "leases");
        return { writes: writes.map(nameOf), lease: ours.length - writes.length };
      },
      async notReady() {
        const counts = new Map<string, number>();
        for (const type of customTypes) {
          const objects = await listAll(client, type);
          const open = objects.filter((object) => condition(object, "Ready") !== "True");
          if (open.length > 0) counts.set(`${type.kind} (such as ${open[0]?.metadata.name})`, open.length);
        }
        return counts;
      },
      [Symbol.asyncDispose]: () => kept.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** ServiceAccount, roles and bindings, as `kubectl apply -k config` makes them. */
async function applyRights(api: ApiServer): Promise<void> {
  await api.admin.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: OPERATOR.namespace } });
  const folder = join(root, "config/rbac");
  for (const file of readdirSync(folder).filter((name) => name !== "kustomization.yaml")) {
    const object = parse(readFileSync(join(folder, file), "utf8")) as KubeObject;
    const clusterWide = object.kind.startsWith("Cluster");
    await api.admin.apply(
      clusterWide ? object : { ...object, metadata: { ...object.metadata, namespace: OPERATOR.namespace } },
    );
  }
}

async function seed(api: ApiServer, client: ClusterClient, population: Population, say: Say): Promise<void> {
  for (const namespace of population.namespaces) {
    await api.admin.apply(namespace);
    // The controller manager's part: pods are refused without it.
    await api.admin.apply({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "default", namespace: namespace.metadata.name },
    });
  }
  const { pools, relays, domains, keySecrets, domainStatuses } = population;
  await applyAll(say, pools, (object) => client.apply(object, "kubectl"));
  await applyAll(say, relays, (object) => client.apply(object, "kubectl"));
  await applyAll(say, keySecrets, (object) => client.apply(object, DOMAIN_MANAGER));
  await applyAll(say, domains, (object) => client.apply(object, "kubectl"));
  await applyAll(say, domainStatuses, (object) => client.applyStatus(object, DOMAIN_MANAGER));
}

async function applyAll(
  say: Say,
  objects: readonly (ApplyObject | KubeObject)[],
  apply: (object: ApplyObject) => Promise<KubeObject>,
): Promise<void> {
  const limit = createLimiter(AT_A_TIME);
  const started = performance.now();
  await Promise.all(objects.map((object) => limit(() => apply(object as ApplyObject))));
  const seconds = (performance.now() - started) / 1000;
  say(`applied ${objects.length} ${objects[0]?.kind ?? ""} in ${seconds.toFixed(0)} s`);
}

async function listAll(client: ClusterClient, type: ResourceType): Promise<KubeObject[]> {
  const objects: KubeObject[] = [];
  let continueToken: string | undefined;
  do {
    const page = await client.list(type, {
      limit: 500,
      ...(continueToken === undefined ? {} : { continueToken }),
    });
    objects.push(...page.items);
    ({ continueToken } = { continueToken: undefined, ...page });
  } while (continueToken !== undefined);
  return objects;
}

function nameOf({ verb, objectRef }: AuditEvent): string {
  const { resource = "", subresource, namespace = "", name = "" } = objectRef ?? {};
  return `${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`} ${namespace}/${name}`;
}
