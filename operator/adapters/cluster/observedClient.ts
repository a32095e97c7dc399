/**
 * A KubeClient that notes when each kind last gave a sign of life, around another one: a list, an event or a
 * bookmark. A watch that died silently shows as an age that grows, in readiness and in metrics.
 */
import type { Clock } from "../../../relay/kit/clock.ts";
import type {
  ApplyObject,
  KubeClient,
  KubeObject,
  ListOptions,
  ObjectKey,
  ObjectList,
  ResourceType,
  VersionList,
  WatchEvent,
  WatchOptions,
} from "../kubeClient.ts";

export interface Follows {
  readonly kind: string;
  /** "" for all namespaces. */
  readonly namespace: string;
}

export type FollowOutcome = "succeeded" | "failed";

export interface ObservedClientOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly onList?: (what: Follows, outcome: FollowOutcome) => void;
  readonly onWatch?: (what: Follows, outcome: FollowOutcome) => void;
}

export class ObservedClient implements KubeClient {
  readonly #options: ObservedClientOptions;
  readonly #signs = new Map<string, { readonly what: Follows; at: number }>();

  constructor(options: ObservedClientOptions) {
    this.#options = options;
  }

  /** Seconds since each kind followed last gave a sign of life. */
  ages(): readonly (Follows & { readonly seconds: number })[] {
    const now = this.#options.clock.now();
    return [...this.#signs.values()].map(({ what, at }) => ({
      ...what,
      seconds: Math.max(0, now - at) / 1000,
    }));
  }

  get(type: ResourceType, key: ObjectKey): Promise<KubeObject | null> {
    return this.#options.client.get(type, key);
  }

  list(type: ResourceType, options: ListOptions = {}): Promise<ObjectList> {
    // One object of a list is no sign of life of all.
    if (options.name !== undefined) return this.#options.client.list(type, options);
    return this.#listed(follows(type, options.namespace), this.#options.client.list(type, options));
  }

  listVersions(type: ResourceType, options: ListOptions = {}): Promise<VersionList> {
    return this.#listed(follows(type, options.namespace), this.#options.client.listVersions(type, options));
  }

  async #listed<T>(what: Follows, list: Promise<T>): Promise<T> {
    try {
      const page = await list;
      this.#sign(what);
      this.#options.onList?.(what, "succeeded");
      return page;
    } catch (error) {
      this.#options.onList?.(what, "failed");
      throw error;
    }
  }

  async *watch(type: ResourceType, options: WatchOptions): AsyncGenerator<WatchEvent> {
    const what = follows(type, options.namespace);
    try {
      for await (const event of this.#options.client.watch(type, options)) {
        this.#sign(what);
        yield event;
      }
      this.#options.onWatch?.(what, "succeeded");
    } catch (error) {
      this.#options.onWatch?.(what, "failed");
      throw error;
    }
  }

  apply(object: ApplyObject, fieldManager: string): Promise<KubeObject> {
    return this.#options.client.apply(object, fieldManager);
  }

  applyStatus(object: ApplyObject, fieldManager: string): Promise<KubeObject> {
    return this.#options.client.applyStatus(object, fieldManager);
  }

  delete(
    type: ResourceType,
    key: ObjectKey,
    precondition?: { readonly uid?: string; readonly resourceVersion?: string },
  ): Promise<boolean> {
    return this.#options.client.delete(type, key, precondition);
  }

  #sign(what: Follows): void {
    const key = `${what.kind}/${what.namespace}`;
    const at = this.#options.clock.now();
    const known = this.#signs.get(key);
    if (known === undefined) this.#signs.set(key, { what, at });
    else known.at = at;
  }
}

function follows(type: ResourceType, namespace: string | undefined): Follows {
  return { kind: type.kind, namespace: namespace ?? "" };
}
