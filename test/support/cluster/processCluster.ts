/**
 * A cluster for faults that need no kubelet: a real API server, operators as processes behind proxies of their own
 * with the rights of config/rbac, relays as processes, and a world outside on loopback that publishes what objects
 * ask for. Everything is the product's but kubelet, controllers and network.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import { API_VERSION } from "../../../crds/group.ts";
import { containerPort } from "../../../relay/contract/endpoints.ts";
import { freePort } from "../peers/program.ts";
import { type ApiServer, startApiServer } from "./apiServer.ts";
import { applyCrds } from "./crds.ts";
import type { IdentityName } from "./identities.ts";
import { type OperatorPod, type OperatorPodOptions, startOperatorPod } from "./operatorPod.ts";
import { type DnsRecord, type Outside, startOutside } from "./outside.ts";
import { makeNamespace, type ProcessNode, startProcessNode } from "./processNode.ts";
import { accountOf, startTraffic, type Traffic } from "./traffic.ts";

export const OPERATOR_NAMESPACE = "smtp-relay-operator";
export const kindsOfOurs = ["SmtpRelay", "SendingDomain", "IpPool"] as const;

const HOST = "127.0.0.1";
const PUBLISH_EVERY_MS = 250;
const SUBMISSION = containerPort(587);

export interface ProcessCluster extends AsyncDisposable {
  readonly api: ApiServer;
  readonly node: ProcessNode;
  readonly outside: Outside;
  /** An operator whose requests come from this loopback address; taken down with the cluster. */
  startOperator(
    address: string,
    options?: Partial<Pick<OperatorPodOptions, "namespaces" | "lease">> & { identity?: IdentityName },
  ): Promise<OperatorPod>;
  makeNamespace(name: string): Promise<void>;
  read(kind: (typeof kindsOfOurs)[number], name: string, namespace: string): Promise<KubeObject | null>;
  /**
   * To the relay `mail` of the namespace, which must have made its credential. `authority`: PEM of who signed its
   * certificate, where that is not its own.
   */
  traffic(namespace: string, name: string, authority?: string): Promise<Traffic>;
}

/** The operator's own rights, as config/ gives them. */
export function operatorRights(): readonly KubeObject[] {
  const folder = join(import.meta.dirname, "../../../config/rbac");
  return readdirSync(folder)
    .filter((file) => file !== "kustomization.yaml")
    .map((file) => parse(readFileSync(join(folder, file), "utf8")) as KubeObject);
}

export async function startProcessCluster(): Promise<ProcessCluster> {
  const stack = new AsyncDisposableStack();
  try {
    const api = stack.use(await startApiServer({ audit: "contents" }));
    await applyCrds(api.admin);
    await makeNamespace(api.admin, OPERATOR_NAMESPACE);
    for (const object of operatorRights()) await api.admin.apply(object);
    const [dnsPort, smtpPort] = [await freePort(), await freePort()];
    const outside = stack.use(await startOutside({ host: HOST, dnsPort, smtpPort }));
    stack.defer(publishWhatIsAsked(api, outside));
    // Ends before the receiving server, which waits for connections to close.
    const node = stack.use(await startProcessNode(api));
    const lease = { namespace: OPERATOR_NAMESPACE, name: "smtp-relay-operator" };
    return {
      api,
      node,
      outside,
      async startOperator(address, options = {}) {
        const pod = await startOperatorPod({
          identity: "operator",
          namespaces: null,
          lease,
          ...options,
          api,
          address,
          dns: outside.dns.address,
          deliveryPort: smtpPort,
        });
        return stack.use(pod);
      },
      makeNamespace: async (name) => await makeNamespace(api.admin, name),
      read: async (kind, name, namespace) => await api.admin.get(API_VERSION, kind, name, namespace),
      async traffic(namespace, name, authority) {
        const account = await accountOf(api.admin, namespace);
        const domains = await api.admin.list(API_VERSION, "SendingDomain", namespace);
        const { domain = "" } = (domains[0]?.["spec"] ?? {}) as { domain?: string };
        return startTraffic({
          account: authority === undefined ? account : { ...account, certificate: authority },
          doors: () => node.addresses(namespace, "mail").map((host) => ({ host, port: SUBMISSION })),
          outside,
          from: `app@${domain}`,
          name,
        });
      },
      [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Plays the owner of all zones; the result ends it. While the API server is away, what was published stands. */
function publishWhatIsAsked(api: ApiServer, outside: Outside): () => Promise<void> {
  const stop = new AbortController();
  const publishing = (async () => {
    while (!stop.signal.aborted) {
      try {
        const said: DnsRecord[] = [];
        for (const kind of ["SendingDomain", "IpPool"]) {
          for (const { status } of (await api.admin.list(API_VERSION, kind)) as readonly {
            status?: { records?: DnsRecord[] };
          }[]) {
            said.push(...(status?.records ?? []));
          }
        }
        outside.publish(said);
      } catch {
        // Tried again.
      }
      await new Promise((resolve) => setTimeout(resolve, PUBLISH_EVERY_MS));
    }
  })();
  return async () => {
    stop.abort();
    await publishing;
  };
}
