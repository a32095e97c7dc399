/**
 * All writes of the reconcilers go through here: only what differs from the cache is sent, and every
 * answer is noted, so that the next reconcile waits for its own writes.
 */
import {
  type ApplyObject,
  type KubeClient,
  KubeError,
  type KubeObject,
  type ObjectKey,
  type ResourceType,
} from "../adapters/kubeClient.ts";
import type { Log } from "../../relay/kit/log.ts";
import { differs, withHash } from "./differs.ts";
import type { AnyInformer } from "./informer.ts";
import type { OwnWrites } from "./ownWrites.ts";

export interface StatusWrite {
  readonly type: ResourceType;
  readonly object: KubeObject;
  readonly next: object;
}

export class Writer {
  readonly #client: KubeClient;
  readonly #manager: string;
  readonly #ownWrites: OwnWrites;
  readonly #informers: ReadonlyMap<string, AnyInformer>;
  readonly #log: Log;

  constructor(options: {
    readonly client: KubeClient;
    /** Field manager of every write. */
    readonly manager: string;
    readonly ownWrites: OwnWrites;
    readonly informers: readonly AnyInformer[];
    readonly log: Log;
  }) {
    this.#client = options.client;
    this.#manager = options.manager;
    this.#ownWrites = options.ownWrites;
    this.#informers = new Map(options.informers.map((informer) => [kindOf(informer.type), informer]));
    this.#log = options.log;
  }

  /** Applies those of the objects that are not as wanted, in order; the first failure ends it. */
  async apply(objects: readonly ApplyObject[]): Promise<void> {
    for (const object of objects) {
      const sent = withHash(object);
      if (differs(this.#cached(sent), sent)) await this.applyAlways(sent);
    }
  }

  async applyAlways(object: ApplyObject): Promise<KubeObject> {
    const written = await this.#client.apply(object, this.#manager);
    this.#ownWrites.wrote(written);
    const { namespace, name } = object.metadata;
    this.#log.info("applied", {
      kind: object.kind,
      namespace,
      name,
      version: written.metadata.resourceVersion,
    });
    return written;
  }

  /** Deletes what is there; only the very object the cache knows, not a newer one of that name. */
  async delete(deletes: readonly { readonly type: ResourceType; readonly key: ObjectKey }[]): Promise<void> {
    for (const { type, key } of deletes) {
      const cached = this.#informers.get(kindOf(type))?.peek(key);
      if (cached === undefined || cached.metadata.deletionTimestamp !== undefined) continue;
      const { uid } = cached.metadata;
      const found = await this.#client.delete(type, key, uid === undefined ? {} : { uid });
      this.#ownWrites.deleted(type, key, uid);
      if (found) this.#log.info("deleted", { kind: type.kind, ...key });
    }
  }

  /** Writes the status unless it is what the object has already. An object gone meanwhile needs none. */
  async status({ type, object, next }: StatusWrite): Promise<void> {
    if (sameJson(object["status"], next)) return;
    const { namespace = "", name } = object.metadata;
    const { apiVersion, kind } = type;
    try {
      const sent = { apiVersion, kind, metadata: { namespace, name }, status: next };
      this.#ownWrites.wrote(await this.#client.applyStatus(sent, this.#manager));
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === "NotFound")) throw error;
    }
  }

  #cached(object: ApplyObject): KubeObject | undefined {
    return this.#informers.get(kindOf(object))?.peek(object.metadata);
  }
}

function kindOf(type: { readonly apiVersion: string; readonly kind: string }): string {
  return `${type.apiVersion}/${type.kind}`;
}

/** Equal as JSON; fields left out and undefined are the same, their order does not count. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => sameJson(item, b[index]))
    );
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].every((key) =>
    sameJson(left[key], right[key]),
  );
}
