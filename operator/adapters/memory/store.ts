/**
 * The objects of the in-memory cluster with a bounded history of their changes, as etcd and the API
 * server's watch cache keep them together: one revision counter for all kinds, per kind the objects and
 * the newest events. A page of a list or a watch that needs older events than are kept has expired.
 */
import type { KubeObject } from "../kubeClient.ts";
import type { Owners } from "./serverSideApply.ts";

/** One object with who owns which of its fields, by manager; the status subresource apart. */
export interface StoredObject {
  readonly object: KubeObject;
  readonly owners: Owners;
  readonly statusOwners: Owners;
}

/** All of a cluster, as plain JSON. */
export interface ClusterSnapshot {
  readonly revision: number;
  readonly objects: readonly StoredObject[];
}

export interface Change {
  readonly revision: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly id: string;
  /** After the change; of a deletion, the last state with the revision of the deletion. */
  readonly object: KubeObject;
  /** Before the change. */
  readonly previous: StoredObject | null;
}

interface KindStore {
  readonly objects: Map<string, StoredObject>;
  readonly history: Change[];
  /** Changes after this revision are all in `history`. */
  floor: number;
}

/** Revisions start here, so that "1" is older than anything kept, as on a server that has run a while. */
export const FIRST_REVISION = 1000;

export class Store {
  readonly #kinds = new Map<string, KindStore>();
  readonly #historyLimit: number;
  readonly #listeners = new Set<() => void>();
  #revision = FIRST_REVISION;
  /** Nothing is known of changes before this one. */
  #origin = FIRST_REVISION;

  /** `historyLimit`: events kept per kind. */
  constructor(historyLimit: number) {
    this.#historyLimit = historyLimit;
  }

  get revision(): number {
    return this.#revision;
  }

  get(kind: string, id: string): StoredObject | undefined {
    return this.#kind(kind).objects.get(id);
  }

  /** Objects of a kind as they were at `revision`; null when that is too long ago. */
  at(kind: string, revision: number): ReadonlyMap<string, StoredObject> | null {
    const store = this.#kind(kind);
    if (revision >= this.#revision) return store.objects;
    if (revision < store.floor) return null;
    const objects = new Map(store.objects);
    for (const change of store.history.toReversed()) {
      if (change.revision <= revision) break;
      if (change.previous === null) objects.delete(change.id);
      else objects.set(change.id, change.previous);
    }
    return objects;
  }

  /** Changes of a kind after `revision`, in order; null when some of them are no longer kept. */
  since(kind: string, revision: number): Change[] | null {
    const store = this.#kind(kind);
    if (revision < store.floor) return null;
    let from = store.history.length;
    while (from > 0 && (store.history[from - 1]?.revision ?? 0) > revision) from -= 1;
    return store.history.slice(from);
  }

  /** Writes (or with `deleted` removes) an object under the next revision, which it puts on the object. */
  commit(kind: string, id: string, next: StoredObject, deleted = false): KubeObject {
    const store = this.#kind(kind);
    const previous = store.objects.get(id) ?? null;
    this.#revision += 1;
    next.object.metadata.resourceVersion = String(this.#revision);
    if (deleted) store.objects.delete(id);
    else store.objects.set(id, next);
    const type = deleted ? "DELETED" : previous === null ? "ADDED" : "MODIFIED";
    store.history.push({ revision: this.#revision, type, id, object: next.object, previous });
    while (store.history.length > this.#historyLimit) {
      store.floor = store.history.shift()?.revision ?? store.floor;
    }
    for (const listener of this.#listeners) listener();
    return next.object;
  }

  /** Called after each commit; the result ends that. */
  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Every stored object of every kind. */
  *all(): Iterable<{ readonly kind: string; readonly id: string; readonly stored: StoredObject }> {
    for (const [kind, store] of this.#kinds) {
      for (const [id, stored] of store.objects) yield { kind, id, stored };
    }
  }

  /** Forgets all history, as a compaction does: older watches and pages expire. */
  compact(): void {
    for (const store of this.#kinds.values()) {
      store.history.length = 0;
      store.floor = this.#revision;
    }
  }

  snapshot(): ClusterSnapshot {
    return structuredClone({
      revision: this.#revision,
      objects: [...this.all()].map(({ stored }) => stored),
    });
  }

  /** Fills an empty store. `place` names the kind and id of an object. */
  restore(
    snapshot: ClusterSnapshot,
    place: (object: KubeObject) => { readonly kind: string; readonly id: string },
  ): void {
    this.#revision = Math.max(FIRST_REVISION, snapshot.revision);
    this.#origin = this.#revision;
    for (const stored of structuredClone(snapshot.objects)) {
      const { kind, id } = place(stored.object);
      this.#kind(kind).objects.set(id, stored);
    }
  }

  #kind(kind: string): KindStore {
    let store = this.#kinds.get(kind);
    if (store === undefined) {
      store = { objects: new Map(), history: [], floor: this.#origin };
      this.#kinds.set(kind, store);
    }
    return store;
  }
}
