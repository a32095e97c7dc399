/** The resource types the operator reads and writes: one table, with their path segments. */
import { API_VERSION, type KindName, kinds } from "../crds/group.ts";
import type { ResourceType } from "./adapters/kubeClient.ts";

function custom(kind: KindName): ResourceType {
  return { apiVersion: API_VERSION, kind, plural: kinds[kind].plural };
}

export const resources = {
  smtpRelays: custom("SmtpRelay"),
  sendingDomains: custom("SendingDomain"),
  ipPools: custom("IpPool"),
  secrets: { apiVersion: "v1", kind: "Secret", plural: "secrets" },
  services: { apiVersion: "v1", kind: "Service", plural: "services" },
  pods: { apiVersion: "v1", kind: "Pod", plural: "pods" },
  serviceAccounts: { apiVersion: "v1", kind: "ServiceAccount", plural: "serviceaccounts" },
  statefulSets: { apiVersion: "apps/v1", kind: "StatefulSet", plural: "statefulsets" },
  disruptionBudgets: {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
  },
  networkPolicies: { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", plural: "networkpolicies" },
} as const satisfies Record<string, ResourceType>;
