/** The two Services: a headless one that names the pods, and the one applications connect to. */
import { containerPort, STATUS_PORT } from "../../relay/contract/endpoints.ts";
import type { SmtpRelay } from "../../crds/kinds.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import { ownedBy, podSelector, relayLabels } from "./labels.ts";
import { relayNames } from "./names.ts";

export function podService(relay: SmtpRelay): ApplyObject {
  return service(relay, relayNames(relay.metadata.name).podService, {
    clusterIP: "None",
    // The operator asks pods for reports before they are ready, most of all when they are not.
    publishNotReadyAddresses: true,
    ports: [{ name: "status", port: STATUS_PORT, targetPort: STATUS_PORT, protocol: "TCP" }],
  });
}

export function clientService(relay: SmtpRelay): ApplyObject {
  return service(relay, relayNames(relay.metadata.name).clientService, {
    type: "ClusterIP",
    ports: relay.spec.listeners.map(({ name, port }) => ({
      name,
      port,
      targetPort: containerPort(port),
      protocol: "TCP",
    })),
  });
}

function service(relay: SmtpRelay, name: string, spec: Record<string, unknown>): ApplyObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name,
      namespace: relay.metadata.namespace,
      labels: relayLabels(relay.metadata.name, "relay"),
      ownerReferences: [ownedBy(relay)],
    },
    spec: { ...spec, selector: podSelector(relay.metadata.name) },
  };
}
