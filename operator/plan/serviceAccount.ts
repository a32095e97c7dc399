/**
 * The ServiceAccount of the relay pods: a name for what ties pull secrets, admission or an audit to one,
 * and nothing else. The relay calls no API, so the account is bound to nothing and neither it nor the pods
 * mount a token. What others put into it (`imagePullSecrets`) stays theirs.
 */
import type { SmtpRelay } from "../../crds/kinds.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import { ownedBy, relayLabels } from "./labels.ts";
import { relayNames } from "./names.ts";

/** Empty when the owner names another one: that one is theirs to make and to keep. */
export function serviceAccount(relay: SmtpRelay): readonly ApplyObject[] {
  if (relay.spec.podTemplate?.serviceAccountName !== undefined) return [];
  return [
    {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: {
        name: relayNames(relay.metadata.name).serviceAccount,
        namespace: relay.metadata.namespace,
        labels: relayLabels(relay.metadata.name, "relay"),
        ownerReferences: [ownedBy(relay)],
      },
      automountServiceAccountToken: false,
    },
  ];
}
