/** Whether an object of ours has come to rest: its status speaks of what is asked for now, and all is well. */
import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import { condition } from "./crds.ts";

/** Whether status speaks of the generation there is. */
export function observed(object: KubeObject): boolean {
  const { observedGeneration } = (object["status"] ?? {}) as { observedGeneration?: number };
  return observedGeneration === object.metadata.generation;
}

const wanted: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  SmtpRelay: [
    ["Ready", "True"],
    ["Reconciling", "False"],
  ],
  SendingDomain: [["Ready", "True"]],
  IpPool: [["Ready", "True"]],
};

/** Null: it is ready and nothing is under way. */
export function notRight(kind: string, object: KubeObject | null): string | null {
  if (object === null) return `${kind} is not there`;
  const what = `${kind} ${object.metadata.namespace}/${object.metadata.name}`;
  const status = JSON.stringify(object["status"]);
  if (!observed(object)) return `${what} is not seen at generation ${object.metadata.generation}: ${status}`;
  const { replicas = 0 } = (object["spec"] ?? {}) as { replicas?: number };
  // Without pods there is nobody to apply it.
  const applied = kind === "SmtpRelay" && replicas > 0 ? ([["ConfigApplied", "True"]] as const) : [];
  const other = [...(wanted[kind] ?? []), ...applied].find(
    ([type, value]) => condition(object, type) !== value,
  );
  return other === undefined ? null : `${what}: ${other[0]} is not ${other[1]}: ${status}`;
}
