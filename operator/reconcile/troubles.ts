/**
 * How many objects are not ready or wait for a person, by kind, namespace and reason: for metrics, which must not
 * look through ten thousand objects at every scrape. Kept up as changes come by the watches.
 */
import type { CacheChange } from "./cache.ts";
import type { Caches } from "./caches.ts";

export interface Trouble {
  readonly kind: string;
  readonly namespace: string;
  /** Ready that is not True, or Stalled that is. */
  readonly condition: "NotReady" | "Stalled";
  readonly reason: string;
  readonly objects: number;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
}

/** Begins to count; the result says how many there are now. */
export function countTroubles(
  caches: Pick<Caches, "relays" | "domains" | "pools">,
): () => readonly Trouble[] {
  const counts = new Map<string, Trouble>();
  const count = (change: CacheChange<unknown>) => {
    for (const [cached, by] of [
      [change.before, -1],
      [change.after, 1],
    ] as const) {
      if (cached === undefined) continue;
      const { kind, metadata, status } = cached.object as typeof cached.object & {
        status?: { conditions?: readonly Condition[] };
      };
      for (const { type, status: value, reason } of status?.conditions ?? []) {
        const condition =
          type === "Ready" && value !== "True"
            ? "NotReady"
            : type === "Stalled" && value === "True"
              ? type
              : null;
        if (condition === null) continue;
        const namespace = metadata.namespace ?? "";
        const key = [kind, namespace, condition, reason].join("\n");
        const objects = (counts.get(key)?.objects ?? 0) + by;
        if (objects === 0) counts.delete(key);
        else counts.set(key, { kind, namespace, condition, reason, objects });
      }
    }
  };
  for (const informer of [caches.relays, caches.domains, caches.pools]) informer.onChange(count);
  return () => [...counts.values()];
}
