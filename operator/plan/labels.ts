/** Labels and owner references of every child. */
import { API_VERSION, GROUP, type KindName } from "../../crds/group.ts";
import type { ResourceMeta } from "../../crds/kinds.ts";
import type { OwnerReference } from "../adapters/kubeClient.ts";

export const MANAGED_BY = "smtp-relay-operator";
export const RELAY_LABEL = `${GROUP}/relay`;
export const DOMAIN_LABEL = `${GROUP}/domain`;

/** On a namespace: its pods may read `/metrics` and `/report` of relay pods. */
export const METRICS_LABEL = `${GROUP}/metrics`;

export type Component = "relay" | "credentials" | "config" | "certificate" | "dkim";

/** Labels of a child of the SmtpRelay `relay`. */
export function relayLabels(relay: string, component: Component): Record<string, string> {
  return {
    "app.kubernetes.io/name": "smtp-relay",
    "app.kubernetes.io/instance": relay,
    "app.kubernetes.io/component": component,
    "app.kubernetes.io/managed-by": MANAGED_BY,
    [RELAY_LABEL]: relay,
  };
}

/** Labels of a child of the SendingDomain object `name`. */
export function domainLabels(name: string): Record<string, string> {
  return {
    "app.kubernetes.io/name": "smtp-relay",
    "app.kubernetes.io/instance": name,
    "app.kubernetes.io/component": "dkim",
    "app.kubernetes.io/managed-by": MANAGED_BY,
    [DOMAIN_LABEL]: name,
  };
}

/** What selects the pods of a relay; part of an immutable field, so it never changes. */
export function podSelector(relay: string): Record<string, string> {
  return {
    "app.kubernetes.io/name": "smtp-relay",
    "app.kubernetes.io/instance": relay,
    "app.kubernetes.io/component": "relay",
  };
}

/** The same as the text the scale subresource shows. */
export function podSelectorText(relay: string): string {
  return Object.entries(podSelector(relay))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

/** Makes garbage collection remove the child with its owner. Same namespace only. */
export function ownedBy(owner: { readonly kind: KindName; readonly metadata: ResourceMeta }): OwnerReference {
  return {
    apiVersion: API_VERSION,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}
