/**
 * The Kubernetes API in memory: a faithful KubeClient for local mode and for tests. One contract suite
 * (test/contract/kube) holds it to what a real API server does: server-side apply with owned fields,
 * resourceVersion, generation, status subresource, watch with 410, finalizers, garbage collection.
 *
 * Beyond the port it offers what the one who plays the machine behind it needs: a hook that judges
 * objects, a hook that makes writes durable, a snapshot, and two faults a real server has as well
 * (streams that end, history that is compacted).
 *
 * Namespaces exist by being named. Pods are deleted at once like other objects: who plays the kubelet
 * puts a finalizer on its pods.
 */
import type { Clock } from "../../../relay/kit/clock.ts";
import type { Random } from "../../../relay/kit/random.ts";
import {
  type ApplyObject,
  type KubeClient,
  KubeError,
  type KubeObject,
  type ListOptions,
  type ObjectKey,
  type ObjectList,
  type ResourceType,
  type VersionList,
  type WatchEvent,
  type WatchOptions,
} from "../kubeClient.ts";
import { jsonEqual, type JsonObject } from "./fieldSet.ts";
import { GarbageCollector } from "./garbageCollector.ts";
import {
  asJson,
  dropEmptyMetadata,
  hasFinalizers,
  inServerOrder,
  kindId,
  objectId,
  sameSpec,
  setOrDelete,
  splitIdentity,
  versionOf,
} from "./objects.ts";
import { readPage } from "./page.ts";
import { defaultTypes, type ServedType } from "./resourceTypes.ts";
import { type Owners, serverSideApply } from "./serverSideApply.ts";
import { type ClusterSnapshot, Store, type StoredObject } from "./store.ts";
import { LARGEST_OBJECT_BYTES, metadataProblems } from "./validation.ts";
import { watchStore } from "./watch.ts";

export type { ClusterSnapshot, StoredObject } from "./store.ts";

/** A write about to be made. */
export type ClusterWrite =
  | { readonly type: "put"; readonly revision: number; readonly stored: StoredObject }
  | { readonly type: "remove"; readonly revision: number; readonly object: KubeObject };

export interface MemoryClusterOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Kinds served beside the built-in table (resourceTypes.ts). */
  readonly types?: readonly ServedType[];
  /** What is wrong with an object about to be stored, with the stored one before it; refused with 422. */
  readonly admit?: (object: KubeObject, old: KubeObject | null) => readonly string[];
  /**
   * Called with every write before anyone can see it; when it throws, nothing changed and the caller
   * hears Unavailable. Synchronous, so that writes keep their order.
   */
  readonly persist?: (write: ClusterWrite) => void;
  /** The cluster as `snapshot()` or the sum of `persist` calls left it. */
  readonly restored?: ClusterSnapshot;
  /** Events kept for each kind, for watches and pages; default 4096. */
  readonly historyLimit?: number;
  /** Default 60, as the API server does it. */
  readonly bookmarkSeconds?: number;
}

export interface MemoryCluster extends KubeClient {
  snapshot(): ClusterSnapshot;
  /** Ends every open watch as a restarting server does. */
  closeWatches(): void;
  /** Forgets the history of changes: older watches and continue tokens expire. */
  compact(): void;
}

/** What the server sets; sent values are ignored, but for a resourceVersion, which is a precondition. */
const serverMetadata = [
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
] as const;

export function createMemoryCluster(options: MemoryClusterOptions): MemoryCluster {
  return new Cluster(options);
}

class Cluster implements MemoryCluster {
  readonly #options: MemoryClusterOptions;
  readonly #types: ReadonlyMap<string, ServedType>;
  readonly #store: Store;
  readonly #collector: GarbageCollector;
  #closing = new AbortController();

  constructor(options: MemoryClusterOptions) {
    this.#options = options;
    this.#types = new Map([...defaultTypes(), ...(options.types ?? [])].map((type) => [kindId(type), type]));
    this.#store = new Store(options.historyLimit ?? 4096);
    this.#collector = new GarbageCollector(this.#store, options.clock, ({ kind, id, uid }) => {
      const stored = this.#store.get(kind, id);
      if (stored?.object.metadata.uid === uid) this.#delete(kind, stored);
    });
    if (options.restored !== undefined) {
      this.#store.restore(options.restored, (object) => ({
        kind: kindId(object),
        id: objectId(object.metadata),
      }));
      this.#collector.schedule();
    }
  }

  async get(type: ResourceType, key: ObjectKey): Promise<KubeObject | null> {
    const stored = this.#store.get(kindId(this.#served(type)), objectId(key));
    return stored === undefined ? null : structuredClone(stored.object);
  }

  async list(type: ResourceType, options: ListOptions = {}): Promise<ObjectList> {
    const page = readPage(this.#store, kindId(this.#served(type)), options);
    return { ...page, items: page.items.map((object) => structuredClone(object)) };
  }

  async listVersions(type: ResourceType, options: ListOptions = {}): Promise<VersionList> {
    const page = readPage(this.#store, kindId(this.#served(type)), options);
    return { ...page, items: page.items.map(versionOf) };
  }

  watch(type: ResourceType, options: WatchOptions): AsyncIterable<WatchEvent> {
    const context = {
      store: this.#store,
      clock: this.#options.clock,
      kind: kindId(this.#served(type)),
      bookmarkSeconds: this.#options.bookmarkSeconds ?? 60,
      closing: this.#closing.signal,
    };
    return watchStore(context, options);
  }

  async apply(sent: ApplyObject, fieldManager: string): Promise<KubeObject> {
    const type = this.#served(sent);
    const stored = this.#store.get(kindId(type), objectId(sent.metadata));
    this.#expectVersion(type, sent, stored);
    const config = asJson(sent);
    const metadata = config["metadata"] as JsonObject;
    for (const field of serverMetadata) delete metadata[field];
    if (type.statusSubresource) delete config["status"];
    const identity = splitIdentity(config);
    const before = stored === undefined ? null : splitIdentity(asJson(stored.object)).fields;
    const result = serverSideApply(
      before,
      stored?.owners ?? {},
      identity.fields,
      fieldManager,
      type.listTypes,
    );
    const object = { ...identity.identity, ...result.object } as unknown as KubeObject;
    object.metadata = { ...object.metadata, name: sent.metadata.name, namespace: sent.metadata.namespace };
    return this.#write(type, stored, object, {
      owners: result.owners,
      statusOwners: stored?.statusOwners ?? {},
    });
  }

  async applyStatus(sent: ApplyObject, fieldManager: string): Promise<KubeObject> {
    const type = this.#served(sent);
    const stored = this.#store.get(kindId(type), objectId(sent.metadata));
    if (stored === undefined || !type.statusSubresource) {
      throw new KubeError("NotFound", 404, `${type.plural} "${sent.metadata.name}" not found`);
    }
    this.#expectVersion(type, sent, stored);
    const status = asJson(sent)["status"];
    const before = asJson(stored.object);
    const result = serverSideApply(
      before,
      stored.statusOwners,
      status === undefined ? {} : { status },
      fieldManager,
      type.listTypes,
    );
    const object = result.object as unknown as KubeObject;
    return this.#write(type, stored, object, { owners: stored.owners, statusOwners: result.owners });
  }

  async delete(
    type: ResourceType,
    key: ObjectKey,
    precondition: { readonly uid?: string; readonly resourceVersion?: string } = {},
  ): Promise<boolean> {
    const kind = kindId(this.#served(type));
    const stored = this.#store.get(kind, objectId(key));
    if (stored === undefined) return false;
    for (const field of ["uid", "resourceVersion"] as const) {
      const found = stored.object.metadata[field];
      if (precondition[field] !== undefined && precondition[field] !== found) {
        throw new KubeError(
          "Conflict",
          409,
          `Operation cannot be fulfilled on ${type.plural} "${key.name}": the ${field} in the precondition (${precondition[field]}) does not match the one stored (${found})`,
        );
      }
    }
    this.#delete(kind, stored);
    return true;
  }

  snapshot(): ClusterSnapshot {
    return this.#store.snapshot();
  }

  closeWatches(): void {
    this.#closing.abort();
    this.#closing = new AbortController();
  }

  compact(): void {
    this.#store.compact();
  }

  #served(type: { readonly apiVersion: string; readonly kind: string }): ServedType {
    const served = this.#types.get(kindId(type));
    if (served !== undefined) return served;
    throw new KubeError(
      "NotFound",
      404,
      `the server could not find the requested resource (${kindId(type)})`,
    );
  }

  /** An apply that names a version is refused when the object is at another one. */
  #expectVersion(type: ServedType, sent: ApplyObject, stored: StoredObject | undefined): void {
    const { resourceVersion, name } = sent.metadata;
    const found = stored?.object.metadata.resourceVersion;
    if (resourceVersion === undefined || found === undefined || resourceVersion === found) return;
    throw new KubeError(
      "Conflict",
      409,
      `Operation cannot be fulfilled on ${type.plural} "${name}": the object has been modified; please apply your changes to the latest version and try again`,
    );
  }

  /** Fills in what the server sets, judges, and stores; an apply that changes nothing writes nothing. */
  #write(
    type: ServedType,
    stored: StoredObject | undefined,
    object: KubeObject,
    owners: { readonly owners: Owners; readonly statusOwners: Owners },
  ): KubeObject {
    const kind = kindId(type);
    const old = stored?.object ?? null;
    dropEmptyMetadata(object);
    if (old === null) {
      object.metadata.uid = this.#newUid();
      object.metadata.creationTimestamp = this.#now();
      if (type.countsGeneration) object.metadata.generation = 1;
      type.defaults?.(object);
    } else {
      for (const field of serverMetadata) setOrDelete(object.metadata, field, old.metadata[field]);
      if (type.countsGeneration && !sameSpec(type, object, old)) {
        object.metadata.generation = (old.metadata.generation ?? 0) + 1;
      }
    }
    this.#judge(type, object, old);
    if (
      stored !== undefined &&
      jsonEqual(asJson(object), asJson(stored.object)) &&
      jsonEqual(asJson(owners), asJson({ owners: stored.owners, statusOwners: stored.statusOwners }))
    ) {
      return structuredClone(stored.object);
    }
    const finished = object.metadata.deletionTimestamp !== undefined && !hasFinalizers(object);
    const written = this.#commit(kind, { object: inServerOrder(object), ...owners }, finished);
    if (finished || object.metadata.ownerReferences !== undefined) this.#collector.schedule();
    return structuredClone(written);
  }

  #judge(type: ServedType, object: KubeObject, old: KubeObject | null): void {
    const problems = metadataProblems(type, object);
    if (old !== null) {
      const forbidden = type.forbidsChange?.(asJson(object), asJson(old)) ?? null;
      if (forbidden !== null) problems.push(forbidden);
    }
    if (object.metadata.deletionTimestamp !== undefined) {
      const known = new Set(old?.metadata.finalizers);
      const added = (object.metadata.finalizers ?? []).filter((name) => !known.has(name));
      if (added.length > 0) {
        problems.push(
          `metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
        );
      }
    }
    if (problems.length === 0) problems.push(...(this.#options.admit?.(object, old) ?? []));
    if (problems.length > 0) {
      throw new KubeError(
        "Invalid",
        422,
        `${type.kind} "${object.metadata.name}" is invalid: ${problems.slice(0, 20).join("; ")}`,
      );
    }
    if (Buffer.byteLength(JSON.stringify(object)) > LARGEST_OBJECT_BYTES) {
      throw new KubeError("Invalid", 413, `Request entity too large: limit is ${LARGEST_OBJECT_BYTES}`);
    }
  }

  #delete(kind: string, stored: StoredObject): void {
    if (hasFinalizers(stored.object) && stored.object.metadata.deletionTimestamp !== undefined) return;
    const object = structuredClone(stored.object);
    const finished = !hasFinalizers(object);
    if (!finished) {
      object.metadata.deletionTimestamp = this.#now();
      if (object.metadata.generation !== undefined) object.metadata.generation += 1;
    }
    this.#commit(kind, { ...stored, object }, finished);
    if (finished) this.#collector.schedule();
  }

  #commit(kind: string, next: StoredObject, remove: boolean): KubeObject {
    const revision = this.#store.revision + 1;
    try {
      next.object.metadata.resourceVersion = String(revision);
      this.#options.persist?.(
        remove
          ? { type: "remove", revision, object: structuredClone(next.object) }
          : { type: "put", revision, stored: structuredClone(next) },
      );
    } catch (cause) {
      throw new KubeError("Unavailable", 500, `Cannot store ${kind} "${next.object.metadata.name}"`, {
        cause,
      });
    }
    return this.#store.commit(kind, objectId(next.object.metadata), next, remove);
  }

  #now(): string {
    return `${new Date(this.#options.clock.now()).toISOString().slice(0, 19)}Z`;
  }

  #newUid(): string {
    const bytes = Buffer.from(this.#options.random.bytes(16));
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }
}
