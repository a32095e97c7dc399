/**
 * Puts on an object what of its spec could not be read, after its reconciler or, where there never was a reading
 * to work with, in its place.
 */
import type { ObjectKey, ResourceType } from "../adapters/kubeClient.ts";
import { type AnyStatus, withMisread } from "../status/misread.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { Pass } from "./controller.ts";
import type { Informer } from "./informer.ts";
import { misreadOf, type Typed } from "./typed.ts";

type Reconcile = (key: ObjectKey) => Promise<Pass | "gone">;

export function tellingMisreads<T extends Typed>(
  objects: Informer<T | null>,
  type: ResourceType,
  clock: Clock,
  reconcile: Reconcile,
): Reconcile {
  return async (key) => {
    const cached = objects.cache.get(key);
    const pass = await reconcile(key);
    const misread = cached === undefined ? undefined : misreadOf(cached);
    if (cached === undefined || misread === undefined) return pass;
    const { metadata } = cached.object;
    const status = (cached.object["status"] ?? {}) as AnyStatus;
    const before = { conditions: status.conditions, generation: metadata.generation ?? 0 };
    if (pass !== "gone") {
      const next = withMisread(pass.status.next, misread, before, clock.now());
      return { ...pass, status: { ...pass.status, next } };
    }
    if (cached.value !== null || metadata.deletionTimestamp !== undefined) return pass;
    return {
      result: { kind: "stalled", reason: "SpecUnreadable" },
      // All that stands there already goes along: what an apply of ours leaves out, it takes away.
      status: { type, object: cached.object, next: withMisread(status, misread, before, clock.now()) },
    };
  };
}
