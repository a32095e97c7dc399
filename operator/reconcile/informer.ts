/**
 * A cache of one kind that keeps itself current, for any number of readers: one reflector per namespace
 * watched, handlers told of every change, and a way to wait until what we wrote ourselves has come back.
 */
import type { KubeClient, KubeObject, ObjectKey, ResourceType } from "../adapters/kubeClient.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import { Cache, type CacheChange, type CacheOptions, keyText, parseKey } from "./cache.ts";
import type { ListRank, ListTurns } from "./listTurns.ts";
import { reflect, type ReflectorSink } from "./reflector.ts";
import type { SharedText } from "./sharedText.ts";
import { reached } from "./resourceVersion.ts";

export interface InformerOptions<T> extends CacheOptions<T> {
  readonly client: KubeClient;
  readonly type: ResourceType;
  /** Null: all namespaces, by one watch. */
  readonly namespaces: readonly string[] | null;
  readonly labels?: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Shared by all informers of a process. Only where what the client returns is nobody else's. */
  readonly texts?: SharedText;
  /** Shared by all informers of a process, with what this one is to the others. */
  readonly turns?: ListTurns;
  readonly rank?: ListRank;
  /** Lets the process do other things while a list is read. */
  readonly breathe?: () => Promise<void>;
}

/** `first`: part of the first list, not something that happened now. */
export type ChangeHandler<T> = (change: CacheChange<T>, first: boolean) => void;

/** An informer whatever it caches. */
export interface AnyInformer {
  readonly type: ResourceType;
  readonly synced: Promise<void>;
  /** Objects cached. */
  readonly size: number;
  start(): void;
  stop(): Promise<void>;
  /** The object as cached. */
  peek(key: ObjectKey): KubeObject | undefined;
  /** Whether everything up to this version of the namespace has been seen. */
  hasSeen(namespace: string, resourceVersion: string): boolean;
  /** Called whenever the cache moved on; the result ends that. */
  onProgress(listener: () => void): () => void;
  /** Takes in what a write of ours was answered, unless what came after it was told already. */
  adopt(object: KubeObject): void;
}

/** A list under way. */
interface Listing {
  /** The moment it shows; null before its first page. */
  at: string | null;
  /** The last version the watch beside it has told of. */
  heard: string | null;
  /** What it has not told of yet. */
  readonly unlisted: Set<string>;
  /** What is known better than the list shows it: from the watch, or by a write of ours (at which version). */
  readonly touched: Map<string, string | null>;
}

export class Informer<T> implements AnyInformer {
  readonly type: ResourceType;
  readonly cache: Cache<T>;
  /** Resolves when every namespace has been listed once. */
  readonly synced: Promise<void>;
  readonly #options: InformerOptions<T>;
  readonly #handlers: ChangeHandler<T>[] = [];
  readonly #progressListeners = new Set<() => void>();
  /** By namespace watched ("" for all): the version up to which all is known. */
  readonly #seen = new Map<string, string>();
  /** By namespace watched. */
  readonly #listings = new Map<string, Listing>();
  readonly #stop = new AbortController();
  #resolveSynced: () => void = () => {};
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.type = options.type;
    this.cache = new Cache(options);
    this.synced = new Promise((resolve) => {
      this.#resolveSynced = resolve;
    });
  }

  /** Handlers run in the order given, before anyone waiting for progress. One that throws is logged. */
  onChange(handler: ChangeHandler<T>): void {
    this.#handlers.push(handler);
  }

  start(): void {
    this.#running = Promise.all(
      this.#scopes().map((scope) =>
        reflect(
          {
            ...this.#options,
            sink: this.#sink(scope),
            ...(scope === "" ? {} : { namespace: scope }),
          },
          this.#stop.signal,
        ),
      ),
    );
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  get size(): number {
    return this.cache.size;
  }

  peek(key: ObjectKey): KubeObject | undefined {
    return this.cache.get(key)?.object;
  }

  hasSeen(namespace: string, resourceVersion: string): boolean {
    const seen = this.#seen.get(this.#scopeOf(namespace));
    return seen !== undefined && reached(seen, resourceVersion);
  }

  adopt(object: KubeObject): void {
    const { namespace = "", resourceVersion, labels } = object.metadata;
    const scope = this.#scopeOf(namespace);
    const wanted = Object.entries(this.#options.labels ?? {});
    if (resourceVersion === undefined || !this.#seen.has(scope)) return;
    if (wanted.some(([name, value]) => labels?.[name] !== value)) return;
    // Had it changed or gone since, that would have been told, and must not be taken back.
    if (this.hasSeen(namespace, resourceVersion)) return;
    const known = this.cache.get({ namespace, name: object.metadata.name })?.object.metadata;
    if (known !== undefined && reached(known.resourceVersion ?? "", resourceVersion)) return;
    const listing = this.#listings.get(scope);
    if (listing !== undefined) {
      if (listing.heard !== null && reached(listing.heard, resourceVersion)) return;
      const key = keyText(object.metadata);
      // A list that shows a later moment has the last word: that it is there, or not any more.
      if (listing.at !== null && reached(listing.at, resourceVersion)) listing.unlisted.add(key);
      else listing.touched.set(key, resourceVersion);
    }
    this.#tell(this.cache.put(this.#ours(object)), false);
    this.#wake();
  }

  #scopeOf(namespace: string): string {
    return this.#options.namespaces === null ? "" : namespace;
  }

  onProgress(listener: () => void): () => void {
    this.#progressListeners.add(listener);
    return () => this.#progressListeners.delete(listener);
  }

  #scopes(): readonly string[] {
    return this.#options.namespaces ?? [""];
  }

  #sink(scope: string): ReflectorSink {
    const isFirst = () => !this.#seen.has(scope);
    return {
      begin: () => {
        const keys = this.cache.keys(scope === "" ? undefined : scope).map(keyText);
        this.#listings.set(scope, { at: null, heard: null, unlisted: new Set(keys), touched: new Map() });
        return keys.length;
      },
      compared: (versions, resourceVersion) => {
        const listing = this.#listings.get(scope);
        if (listing !== undefined) shows(listing, resourceVersion);
        return versions.filter((version) => {
          const key = keyText(version);
          listing?.unlisted.delete(key);
          return listing?.touched.has(key) !== true && !this.cache.has({ metadata: version });
        });
      },
      listed: (objects, resourceVersion) => {
        const first = isFirst();
        const listing = this.#listings.get(scope);
        if (listing !== undefined) shows(listing, resourceVersion);
        for (const object of objects) {
          const key = keyText(object.metadata);
          listing?.unlisted.delete(key);
          // The list shows a moment that has been left behind.
          if (listing?.touched.has(key) !== true) this.#put(object, first);
        }
        this.#wake();
      },
      end: (resourceVersion) => {
        const first = isFirst();
        const listing = this.#listings.get(scope);
        for (const key of listing?.unlisted ?? []) {
          if (listing?.touched.has(key) !== true) this.#tell(this.cache.remove(parseKey(key)), first);
        }
        this.#listings.delete(scope);
        this.#progress(scope, resourceVersion);
        if (this.#scopes().every((each) => this.#seen.has(each))) this.#resolveSynced();
      },
      put: (object) => {
        if (this.#isPast(object)) return;
        this.#heard(scope, object);
        this.#put(object, false);
        if (this.#listings.has(scope)) this.#wake();
      },
      remove: (object) => {
        if (this.#isPast(object)) return;
        this.#heard(scope, object);
        const { namespace = "", name } = object.metadata;
        this.#tell(this.cache.remove({ namespace, name }), false);
      },
      progress: (resourceVersion) => this.#progress(scope, resourceVersion),
    };
  }

  /** Whether the watch tells what a list or a write of ours has left behind. */
  #isPast({ metadata }: KubeObject): boolean {
    const known = this.cache.get({ namespace: metadata.namespace ?? "", name: metadata.name });
    const [at, told] = [known?.object.metadata.resourceVersion, metadata.resourceVersion];
    return at !== undefined && told !== undefined && at !== told && reached(at, told);
  }

  #heard(scope: string, { metadata }: KubeObject): void {
    const listing = this.#listings.get(scope);
    if (listing === undefined) return;
    listing.touched.set(keyText(metadata), null);
    listing.heard = metadata.resourceVersion ?? listing.heard;
  }

  #put(object: KubeObject, first: boolean): void {
    // Most of a list anew is known: nothing to be read.
    if (this.cache.has(object)) return;
    this.#tell(this.cache.put(this.#ours(object)), first);
  }

  /** As it is kept: without what is of no use, texts shared with other objects. */
  #ours(object: KubeObject): KubeObject {
    const { texts } = this.#options;
    const kept = trimmed(object);
    return texts === undefined ? kept : texts.within(kept);
  }

  #progress(scope: string, resourceVersion: string): void {
    this.#seen.set(scope, resourceVersion);
    this.#wake();
  }

  #wake(): void {
    for (const listener of this.#progressListeners) listener();
  }

  #tell(change: CacheChange<T> | null, first: boolean): void {
    if (change === null) return;
    for (const handler of this.#handlers) {
      try {
        handler(change, first);
      } catch (error) {
        this.#options.log.error("a handler of changes failed", {
          kind: this.type.kind,
          key: change.key.name,
          error,
        });
      }
    }
  }
}

/** Notes which moment a list shows: what was written before it, it has. */
function shows(listing: Listing, resourceVersion: string): void {
  if (listing.at !== null) return;
  listing.at = resourceVersion;
  for (const [key, written] of listing.touched) {
    if (written === null || !reached(resourceVersion, written)) continue;
    listing.touched.delete(key);
    listing.unlisted.add(key);
  }
}

/** Without what is large and of no use here. */
function trimmed(object: KubeObject): KubeObject {
  const { managedFields: _managedFields, ...metadata } = object.metadata as KubeObject["metadata"] & {
    managedFields?: unknown;
  };
  if (metadata.annotations?.[KUBECTL_COPY] === undefined) return { ...object, metadata };
  const { [KUBECTL_COPY]: _copy, ...annotations } = metadata.annotations;
  return { ...object, metadata: { ...metadata, annotations } };
}

/** kubectl's copy of the whole manifest. */
const KUBECTL_COPY = "kubectl.kubernetes.io/last-applied-configuration";
