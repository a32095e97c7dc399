/**
 * Read your own writes: a reconcile begins only when the caches have seen what this process wrote before.
 * Without that a stale cache makes it repeat what is done or, worse, grant what was just given away.
 */
import type { KubeObject, ObjectKey, ResourceType } from "../adapters/kubeClient.ts";
import { type Clock, sleep } from "../../relay/kit/clock.ts";
import type { AnyInformer } from "./informer.ts";

/** A watch is seconds behind at worst; who waits longer than this has lost it and should try later. */
const PATIENCE_SECONDS = 10;

export class OwnWrites {
  readonly #clock: Clock;
  readonly #informers = new Map<string, AnyInformer>();
  readonly #pending = new Map<string, { readonly informer: AnyInformer; readonly seen: () => boolean }>();

  constructor(options: { readonly clock: Clock; readonly informers: readonly AnyInformer[] }) {
    this.#clock = options.clock;
    for (const informer of options.informers) this.#informers.set(kindOf(informer.type), informer);
  }

  /** Notes what a write returned. */
  wrote(object: KubeObject): void {
    const informer = this.#informers.get(kindOf(object));
    const { namespace = "", name, resourceVersion = "" } = object.metadata;
    if (informer === undefined) return;
    this.#note(informer, { namespace, name }, () => informer.hasSeen(namespace, resourceVersion));
  }

  /** Notes that the object with this uid was deleted. */
  deleted(type: ResourceType, key: ObjectKey, uid: string | undefined): void {
    const informer = this.#informers.get(kindOf(type));
    if (informer === undefined) return;
    this.#note(informer, key, () => {
      const found = informer.peek(key);
      return (
        found === undefined || found.metadata.uid !== uid || found.metadata.deletionTimestamp !== undefined
      );
    });
  }

  /** Resolves when all writes noted so far have come back. Rejects when they do not in time. */
  async caughtUp(): Promise<void> {
    const waiting = [...this.#pending.values()];
    const done = new AbortController();
    const late = sleep(this.#clock, PATIENCE_SECONDS * 1000, done.signal);
    try {
      for (const { informer, seen } of waiting) {
        while (!seen()) {
          if ((await Promise.race([progress(informer), late.then(() => "late")])) === "late") {
            throw new Error(
              `Cannot go on: the cache of ${informer.type.plural} has not seen our own write for ${PATIENCE_SECONDS} s`,
            );
          }
        }
      }
    } finally {
      done.abort();
    }
    for (const [key, { seen }] of this.#pending) if (seen()) this.#pending.delete(key);
  }

  #note(informer: AnyInformer, key: ObjectKey, seen: () => boolean): void {
    if (seen()) return;
    this.#pending.set(`${kindOf(informer.type)}\n${key.namespace}\n${key.name}`, { informer, seen });
  }
}

function kindOf(type: { readonly apiVersion: string; readonly kind: string }): string {
  return `${type.apiVersion}/${type.kind}`;
}

function progress(informer: AnyInformer): Promise<"progress"> {
  return new Promise((resolve) => {
    const cancel = informer.onProgress(() => {
      cancel();
      resolve("progress");
    });
  });
}
