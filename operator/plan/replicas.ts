/**
 * How many pods a relay keeps, and which of them are on their way out (promise 6: a pod leaves with an empty
 * spool).
 *
 * On scale-down the surplus pod stays until its own report shows that it follows the configuration that
 * makes it drain and that its queue is empty. A pod that does not answer stays. StatefulSets end the highest
 * ordinal first, so one that holds mail keeps those below it as well.
 */
import type { PodView, RelayWorld } from "../world.ts";
import { podOrdinal, relayNames } from "./names.ts";

export interface Replicas {
  /** Pods the StatefulSet keeps. */
  readonly kept: number;
  /** Names of the kept pods with an ordinal the spec no longer asks for. */
  readonly draining: readonly string[];
}

export function replicasOf(world: RelayWorld): Replicas {
  const { relay } = world;
  const { statefulSet, pod: podName } = relayNames(relay.metadata.name);
  const surplus = world.pods.flatMap((pod) => {
    const ordinal = podOrdinal(statefulSet, pod.name);
    return ordinal !== null && ordinal >= relay.spec.replicas && !isEmpty(pod, world) ? [ordinal] : [];
  });
  const kept = Math.max(relay.spec.replicas, ...surplus.map((ordinal) => ordinal + 1));
  const draining = Array.from({ length: kept - relay.spec.replicas }, (_, index) =>
    podName(relay.spec.replicas + index),
  );
  return { kept, draining };
}

/** Whether it is proven that nothing is left in it and that nothing more is taken. */
function isEmpty(pod: PodView, { publishedConfig }: RelayWorld): boolean {
  if (pod.answer.kind === "silent") return false;
  const { report } = pod.answer;
  const drains = publishedConfig?.pods.find(({ name }) => name === pod.name)?.state !== "Active";
  return (
    publishedConfig !== null &&
    drains &&
    report.appliedRevision === publishedConfig.revision &&
    report.queue.messages === 0
  );
}
