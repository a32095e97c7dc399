/** Reading and writing the entries of Secrets, which travel in base64. */
import type { SmtpRelay } from "../../crds/kinds.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { SecretObject } from "../world.ts";
import { type Component, ownedBy, relayLabels } from "./labels.ts";

/** The entry as text; null when it is missing or empty. */
export function secretText(secret: SecretObject | undefined | null, entry: string): string | null {
  const data = secret?.data?.[entry];
  return data === undefined || data === "" ? null : Buffer.from(data, "base64").toString("utf8");
}

export function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** A Secret owned by the relay. `entries` are base64 already. */
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
