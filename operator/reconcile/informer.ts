/**
 * A cache of one kind that keeps itself current, for any number of readers: one reflector per namespace
 * watched, handlers told of every change, and a way to wait until what we wrote ourselves has come back.
 */
import type { KubeClient, KubeObject, ObjectKey, ResourceType } from "../adapters/kubeClient.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import { Cache, type CacheChange, type CacheOptions, keyText, parseKey } from "./cache.ts";
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
    const seen = this.#seen.get(this.#options.namespaces === null ? "" : namespace);
    return seen !== undefined && reached(seen, resourceVersion);
  }

  onProgress(listener: () => void): () => void {
    this.#progressListeners.add(listener);
    return () => this.#progressListeners.delete(listener);
  }

  #scopes(): readonly string[] {
    return this.#options.namespaces ?? [""];
  }

  #sink(scope: string): ReflectorSink {
    /** What a list under way has not told of yet, and what the watch beside it knows better. */
    let listing: { readonly unlisted: Set<string>; readonly touched: Set<string> } | null = null;
    const isFirst = () => !this.#seen.has(scope);
    return {
      begin: () => {
        const keys = this.cache.keys(scope === "" ? undefined : scope).map(keyText);
        listing = { unlisted: new Set(keys), touched: new Set() };
      },
      listed: (objects) => {
        const first = isFirst();
        for (const object of objects) {
          const key = keyText(object.metadata);
          listing?.unlisted.delete(key);
          // The list shows a moment that the watch has left behind.
          if (listing?.touched.has(key) !== true) this.#tell(this.cache.put(this.#ours(object)), first);
        }
        this.#wake();
      },
      end: (resourceVersion) => {
        const first = isFirst();
        for (const key of listing?.unlisted ?? []) {
          if (listing?.touched.has(key) !== true) this.#tell(this.cache.remove(parseKey(key)), first);
        }
        listing = null;
        this.#progress(scope, resourceVersion);
        if (this.#scopes().every((each) => this.#seen.has(each))) this.#resolveSynced();
      },
      put: (object) => {
        listing?.touched.add(keyText(object.metadata));
        this.#tell(this.cache.put(this.#ours(object)), false);
        if (listing !== null) this.#wake();
      },
      remove: ({ metadata }) => {
        listing?.touched.add(keyText(metadata));
        this.#tell(this.cache.remove({ namespace: metadata.namespace ?? "", name: metadata.name }), false);
      },
      progress: (resourceVersion) => this.#progress(scope, resourceVersion),
    };
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
