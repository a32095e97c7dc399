/**
 * What is worth an Event: that an object became ready, or why it no longer is. Read off the status as it
 * comes back by the watch, so that an Event tells what is written, once, whoever wrote it. The note is the
 * condition's message, which holds no personal data.
 */
import type { KubeObject } from "../adapters/kubeClient.ts";
import type { CacheChange } from "./cache.ts";
import type { Caches } from "./caches.ts";

export interface EventFact {
  /** The object it is about. */
  readonly regarding: KubeObject;
  readonly type: "Normal" | "Warning";
  /** CamelCase, from the table of conditions. */
  readonly reason: string;
  /** What was done or seen, in one CamelCase word. */
  readonly action: string;
  readonly note: string;
}

export interface EventRecorder {
  /** Never throws and never waits: what cannot be told is dropped. */
  record(fact: EventFact): void;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** Tells the recorder of every object whose readiness changed from now on. */
export function tellReadiness(caches: Caches, recorder: EventRecorder): void {
  const tell = (change: CacheChange<unknown>, first: boolean): void => {
    const object = change.after?.object;
    // What is there when we begin is no news.
    if (first || object === undefined) return;
    const now = readiness(object);
    const before = change.before === undefined ? undefined : readiness(change.before.object);
    if (now === undefined || (now.status === before?.status && now.reason === before.reason)) return;
    recorder.record({
      regarding: object,
      // Unknown is where most begin; of a spec that cannot be read a person must hear.
      type: now.status === "False" || now.reason === "SpecUnreadable" ? "Warning" : "Normal",
      reason: now.reason,
      action: "CheckReadiness",
      note: now.message,
    });
  };
  caches.relays.onChange(tell);
  caches.domains.onChange(tell);
  caches.pools.onChange(tell);
}

function readiness(object: KubeObject): Condition | undefined {
  const { conditions = [] } = (object["status"] ?? {}) as { readonly conditions?: readonly Condition[] };
  return conditions.find(({ type }) => type === "Ready");
}
