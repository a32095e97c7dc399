/** Reading and writing the entries of Secrets, which travel in base64. */
import type { SmtpRelay } from "../../crds/kinds.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { SecretObject } from "../world.ts";
import { type Component, MANAGED_BY, ownedBy, RELAY_LABEL, relayLabels } from "./labels.ts";

/** The entry as text; null when it is missing or empty. */
export function secretText(secret: SecretObject | undefined | null, entry: string): string | null {
  const data = secret?.data?.[entry];
  return data === undefined || data === "" ? null : Buffer.from(data, "base64").toString("utf8");
}

export function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/**
 * Whether the Secret was made for this relay, or for one of its name that is gone. Labels tell, since what
 * outlives its relay has no owner.
 */
export function madeFor(relay: SmtpRelay, secret: SecretObject): boolean {
  const { labels = {} } = secret.metadata;
  return labels["app.kubernetes.io/managed-by"] === MANAGED_BY && labels[RELAY_LABEL] === relay.metadata.name;
}

/** What to say of a Secret that has the name of one of ours. */
export function foreign(secretName: string): string {
  return `Secret ${secretName} exists and was not made for this relay; it is left alone`;
}

/** A Secret that outlives the relay unless the owner says otherwise: applications hold what is in it. */
export function keptSecret(...arguments_: Parameters<typeof relaySecret>): ApplyObject {
  const secret = relaySecret(...arguments_);
  if (arguments_[0].spec.auth.deletionPolicy === "Delete") return secret;
  const { ownerReferences: _, ...metadata } = secret.metadata;
  return { ...secret, metadata };
}

/** A Secret that goes with the relay. `entries` are base64 already. */
export function relaySecret(
  relay: SmtpRelay,
  name: string,
  component: Component,
  entries: Readonly<Record<string, string>>,
  options: { readonly type?: string; readonly annotations?: Readonly<Record<string, string>> } = {},
): ApplyObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name,
      namespace: relay.metadata.namespace,
      labels: relayLabels(relay.metadata.name, component),
      ...(options.annotations === undefined ? {} : { annotations: { ...options.annotations } }),
      ownerReferences: [ownedBy(relay)],
    },
    type: options.type ?? "Opaque",
    data: Object.fromEntries(Object.entries(entries).toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
}
