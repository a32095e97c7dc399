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
  /**
   * Pods the configuration speaks of: those kept and those that still exist. A pod that was let go stays
   * listed until it is gone; to drop it earlier would make a new revision, which it has not loaded, and by
   * which it would count as not proven empty again.
   */
  readonly listed: number;
  /** Names of the listed pods with an ordinal the spec no longer asks for. */
  readonly draining: readonly string[];
}

export function replicasOf(world: RelayWorld): Replicas {
  const { relay } = world;
  const { statefulSet, pod: podName } = relayNames(relay.metadata.name);
  const asked = relay.spec.replicas;
  const surplus = world.pods.flatMap((pod) => {
    const ordinal = podOrdinal(statefulSet, pod.name);
    return ordinal !== null && ordinal >= asked ? [{ ordinal, pod }] : [];
  });
  const held = surplus.filter(({ ordinal, pod }) => !isEmpty(pod, world) && !isEnding(ordinal, pod, world));
  const kept = Math.max(asked, ...held.map(({ ordinal }) => ordinal + 1));
  const listed = Math.max(kept, ...surplus.map(({ ordinal }) => ordinal + 1));
  const draining = Array.from({ length: listed - asked }, (_, index) => podName(asked + index));
  return { kept, listed, draining };
}

/** It was let go before and falls silent because it stops: to keep it now would start it again. */
function isEnding(ordinal: number, pod: PodView, { statefulSet }: RelayWorld): boolean {
  const { replicas } = (statefulSet?.["spec"] ?? {}) as { replicas?: number };
  return replicas !== undefined && ordinal >= replicas && pod.answer.kind === "silent";
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
