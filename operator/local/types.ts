/** The built-in kinds local mode plays a part for. */
import type { ResourceType } from "../adapters/kubeClient.ts";

export const secretType: ResourceType = { apiVersion: "v1", kind: "Secret", plural: "secrets" };
export const podType: ResourceType = { apiVersion: "v1", kind: "Pod", plural: "pods" };
export const serviceType: ResourceType = { apiVersion: "v1", kind: "Service", plural: "services" };
export const statefulSetType: ResourceType = {
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  plural: "statefulsets",
};
