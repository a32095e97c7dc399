/**
 * The NetworkPolicy of the relay pods. In: listeners from anywhere, since who may submit is settled by AUTH
 * and `trustedNetworks`; the status port from the operator and from namespaces that may scrape. Out: DNS,
 * receiving hosts and smart hosts. The relay calls nobody else, so that a pod taken over reaches little.
 */
import type { SmtpRelay } from "../../crds/kinds.ts";
import { containerPort, STATUS_PORT } from "../../relay/contract/endpoints.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { Environment } from "../world.ts";
import { METRICS_LABEL, ownedBy, podSelector, relayLabels } from "./labels.ts";
import { relayNames } from "./names.ts";

const DNS_PORT = 53;

export function networkPolicy(relay: SmtpRelay, environment: Environment): ApplyObject {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: {
      name: relayNames(relay.metadata.name).networkPolicy,
      namespace: relay.metadata.namespace,
      labels: relayLabels(relay.metadata.name, "relay"),
      ownerReferences: [ownedBy(relay)],
    },
    spec: {
      podSelector: { matchLabels: podSelector(relay.metadata.name) },
      policyTypes: ["Ingress", "Egress"],
      ingress: [
        { ports: relay.spec.listeners.map(({ port }) => tcp(containerPort(port))) },
        { ports: [tcp(STATUS_PORT)], ...statusClients(environment) },
      ],
      egress: [
        { ports: dnsPorts(environment).flatMap((port) => [{ protocol: "UDP", port }, tcp(port)]) },
        { ports: mailPorts(relay, environment).map(tcp) },
      ],
    },
  };
}

/** Without `from` a rule admits everybody: an operator outside the cluster has no pod to be told by. */
function statusClients({ operatorNamespace }: Environment): Record<string, unknown> {
  if (operatorNamespace === undefined || operatorNamespace === null) return {};
  return {
    from: [
      // The whole namespace: a chart may name the operator's pods as it likes.
      { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": operatorNamespace } } },
      { namespaceSelector: { matchLabels: { [METRICS_LABEL]: "allowed" } } },
    ],
  };
}

/** 53, and the ports of resolvers the operator was told to use. */
function dnsPorts({ dnsServers }: Environment): readonly number[] {
  const named = dnsServers.map((server) => Number(server.slice(server.lastIndexOf(":") + 1)));
  return sorted([DNS_PORT, ...named.filter((port) => Number.isInteger(port) && port > 0 && port < 65_536)]);
}

function mailPorts({ spec }: SmtpRelay, { deliveryPort }: Environment): readonly number[] {
  return sorted([deliveryPort, ...spec.routes.flatMap(({ to }) => to.smarthost?.port ?? [])]);
}

function sorted(ports: readonly number[]): readonly number[] {
  return [...new Set(ports)].toSorted((a, b) => a - b);
}

function tcp(port: number): { readonly protocol: "TCP"; readonly port: number } {
  return { protocol: "TCP", port };
}
