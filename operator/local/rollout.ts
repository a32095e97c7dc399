/**
 * What a StatefulSet asks for next, as its controller in a cluster decides it. Pure.
 *
 * Pods leave from the highest ordinal down, one at a time; a new template reaches them in the same order,
 * the next only when all are ready, except that a pod which is not ready anyway is replaced first: a bad
 * template must not stand in the way of the good one after it.
 */

export interface PodState {
  readonly ordinal: number;
  /** Hash of the template it was made from. */
  readonly revision: string;
  readonly ready: boolean;
  readonly stopping: boolean;
}

export interface Wanted {
  readonly replicas: number;
  readonly revision: string;
  /** Parallel: pods come without waiting for each other. */
  readonly podManagementPolicy: "OrderedReady" | "Parallel";
}

export type RolloutStep =
  | { readonly kind: "create"; readonly ordinals: readonly number[] }
  | { readonly kind: "stop"; readonly ordinal: number }
  | { readonly kind: "wait" };

export function nextRolloutStep(wanted: Wanted, pods: readonly PodState[]): RolloutStep {
  if (pods.some((pod) => pod.stopping)) return { kind: "wait" };
  const surplus = highest(pods.filter((pod) => pod.ordinal >= wanted.replicas));
  if (surplus !== null) return { kind: "stop", ordinal: surplus };

  const present = new Map(pods.map((pod) => [pod.ordinal, pod]));
  const missing = Array.from({ length: wanted.replicas }, (_, ordinal) => ordinal).filter(
    (n) => !present.has(n),
  );
  const first = missing[0];
  if (first !== undefined) {
    if (wanted.podManagementPolicy === "Parallel") return { kind: "create", ordinals: missing };
    const before = pods.filter((pod) => pod.ordinal < first);
    if (before.every((pod) => pod.ready)) return { kind: "create", ordinals: [first] };
  }
  const outdated = pods.filter((pod) => pod.revision !== wanted.revision);
  const broken = highest(outdated.filter((pod) => !pod.ready));
  if (broken !== null) return { kind: "stop", ordinal: broken };
  const next = highest(outdated);
  if (next !== null && missing.length === 0 && pods.every((pod) => pod.ready))
    return { kind: "stop", ordinal: next };
  return { kind: "wait" };
}

function highest(pods: readonly PodState[]): number | null {
  return pods.length === 0 ? null : Math.max(...pods.map((pod) => pod.ordinal));
}
