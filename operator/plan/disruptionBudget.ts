/**
 * The PodDisruptionBudget: drains of nodes take one relay pod at a time. It stands for a single replica too,
 * where it holds nobody up: a pod that is evicted takes its queue along on its volume.
 */
import type { SmtpRelay } from "../../crds/kinds.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import { ownedBy, podSelector, relayLabels } from "./labels.ts";
import { relayNames } from "./names.ts";

export function disruptionBudget(relay: SmtpRelay): ApplyObject {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: {
      name: relayNames(relay.metadata.name).disruptionBudget,
      namespace: relay.metadata.namespace,
      labels: relayLabels(relay.metadata.name, "relay"),
      ownerReferences: [ownedBy(relay)],
    },
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: podSelector(relay.metadata.name) },
      // A pod that is not ready serves nobody; it must not keep a node from being drained.
      unhealthyPodEvictionPolicy: "AlwaysAllow",
    },
  };
}
