/**
 * Read your own writes: a reconcile begins only when the caches have seen what this process wrote before.
 * Without that a stale cache makes it repeat what is done or, worse, grant what was just given away.
 *
 * What a write was answered is the object itself, and goes into its cache at once: nobody waits for the watch to
 * tell it, which while everything is listed anew may take seconds. What is left to wait for are deletions.
 */
import type { KubeObject, ObjectKey, ResourceType } from "../adapters/kubeClient.ts";
import { type Clock, sleep } from "../../relay/kit/clock.ts";
import type { AnyInformer } from "./informer.ts";
import { reached } from "./resourceVersion.ts";

/** A watch is seconds behind at worst; who waits longer than this has lost it and should try later. */
const PATIENCE_SECONDS = 10;

/** What was written, for who asks whether it concerns them. */
export interface Written {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

interface Pending {
  readonly written: Written;
  readonly informer: AnyInformer;
  readonly seen: () => boolean;
}

export class OwnWrites {
  readonly #clock: Clock;
  readonly #informers = new Map<string, AnyInformer>();
  readonly #pending = new Map<string, Pending>();

  constructor(options: { readonly clock: Clock; readonly informers: readonly AnyInformer[] }) {
    this.#clock = options.clock;
    for (const informer of options.informers) this.#informers.set(kindOf(informer.type), informer);
  }

  /** Notes what a write returned. */
  wrote(object: KubeObject): void {
    const informer = this.#informers.get(kindOf(object));
    const { namespace = "", name, resourceVersion = "" } = object.metadata;
    if (informer === undefined) return;
    const key = { namespace, name };
    informer.adopt(object);
    // The object may be there before all that came before it is: while everything is listed anew.
    const isThere = () =>
      reached(informer.peek(key)?.metadata.resourceVersion ?? "", resourceVersion) ||
      informer.hasSeen(namespace, resourceVersion);
    this.#note(informer, key, isThere);
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

  /**
   * Resolves when all writes noted so far that `concern` the caller have come back: what another pass wrote to
   * objects this one does not read must not hold it up. Rejects when they do not in time.
   */
  async caughtUp(concern: (written: Written) => boolean = () => true): Promise<void> {
    const waiting: Pending[] = [];
    for (const [key, pending] of this.#pending) {
      if (pending.seen()) this.#pending.delete(key);
      else if (concern(pending.written)) waiting.push(pending);
    }
    if (waiting.length === 0) return;
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
  }

  #note(informer: AnyInformer, key: ObjectKey, seen: () => boolean): void {
    if (seen()) return;
    const { namespace, name } = key;
    const { kind } = informer.type;
    this.#pending.set(`${kindOf(informer.type)}\n${namespace}\n${name}`, {
      written: { kind, namespace, name },
      informer,
      seen,
    });
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
