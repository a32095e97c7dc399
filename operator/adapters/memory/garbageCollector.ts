/**
 * Deletes objects whose owners are gone (background deletion), soon after but not within the call that
 * took the owner away. An owner counts as there when kind, name, namespace and uid all agree; one that
 * never existed is gone as well. An object with several owners lives as long as one of them.
 */
import type { Clock } from "../../../relay/kit/clock.ts";
import type { KubeObject, OwnerReference } from "../kubeClient.ts";
import type { Store } from "./store.ts";

const RETRY_MS = 1000;

export interface Orphan {
  readonly kind: string;
  readonly id: string;
  readonly uid: string;
}

export class GarbageCollector {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #collect: (orphan: Orphan) => void;
  #scheduled = false;

  /** `collect` deletes the object, finalizers permitting. */
  constructor(store: Store, clock: Clock, collect: (orphan: Orphan) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#collect = collect;
  }

  /** To be called when an object is gone or names an owner; many calls make one pass. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.after(0, () => {
      this.#scheduled = false;
      this.#run();
    });
  }

  #run(): void {
    const present = new Set<string>();
    const owned: { kind: string; id: string; object: KubeObject }[] = [];
    for (const { kind, id, stored } of this.#store.all()) {
      const { object } = stored;
      present.add(identity(object.metadata.namespace, object, object.metadata.uid));
      if ((object.metadata.ownerReferences?.length ?? 0) > 0) owned.push({ kind, id, object });
    }
    for (const { kind, id, object } of owned) {
      const owners = object.metadata.ownerReferences ?? [];
      const { namespace, deletionTimestamp, uid } = object.metadata;
      const alive = owners.some((owner) => present.has(identity(namespace, ownerAsObject(owner), owner.uid)));
      if (alive || deletionTimestamp !== undefined || uid === undefined) continue;
      try {
        this.#collect({ kind, id, uid });
      } catch {
        // The write could not be stored; nothing else would bring us back to this object.
        this.#clock.after(RETRY_MS, () => this.schedule());
      }
    }
  }
}

function ownerAsObject(owner: OwnerReference): KubeObject {
  return { apiVersion: owner.apiVersion, kind: owner.kind, metadata: { name: owner.name } };
}

function identity(namespace: string | undefined, object: KubeObject, uid: string | undefined): string {
  return [namespace, object.apiVersion, object.kind, object.metadata.name, uid].join("\n");
}
