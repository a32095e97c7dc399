/**
 * A KubeClient that fails on order, around a real one: calls answered with an error, watches cut, silent
 * or expired, and a log of every call made.
 *
 *   const kube = faultyKube(cluster);
 *   kube.fail("apply", new KubeError("TooManyRequests", 429, "slow down"), { times: 2, kind: "Secret" });
 */
import type {
  ApplyObject,
  KubeClient,
  KubeError,
  KubeObject,
  ListOptions,
  ObjectKey,
  ObjectList,
  ResourceType,
  VersionList,
  WatchEvent,
  WatchOptions,
} from "../../operator/adapters/kubeClient.ts";

export type KubeVerb = "get" | "list" | "listVersions" | "watch" | "apply" | "applyStatus" | "delete";

export interface KubeCall {
  readonly verb: KubeVerb;
  readonly kind: string;
  readonly name: string;
  /** What was sent by an apply. */
  readonly object?: ApplyObject;
}

interface Fault {
  readonly verb: KubeVerb | "write";
  readonly error: KubeError;
  readonly kind: string | undefined;
  /** Fail although the call was carried out: the answer is lost. */
  readonly after: boolean;
  left: number;
  /** Calls let through before it begins. */
  skip: number;
}

const writes: readonly KubeVerb[] = ["apply", "applyStatus", "delete"];

export class FaultyKube implements KubeClient {
  readonly calls: KubeCall[] = [];
  readonly #inner: KubeClient;
  readonly #faults: Fault[] = [];
  readonly #watches = new Set<(why: KubeError | null) => void>();
  #silent = false;

  constructor(inner: KubeClient) {
    this.#inner = inner;
  }

  /** Fails calls of a verb ("write": any write), `times` often or for ever, after `skip` good ones. */
  fail(
    verb: KubeVerb | "write",
    error: KubeError,
    options: {
      readonly times?: number;
      readonly skip?: number;
      readonly kind?: string;
      readonly after?: boolean;
    } = {},
  ): void {
    this.#faults.push({
      verb,
      error,
      kind: options.kind,
      after: options.after ?? false,
      left: options.times ?? Number.POSITIVE_INFINITY,
      skip: options.skip ?? 0,
    });
  }

  heal(): void {
    this.#faults.length = 0;
    this.#silent = false;
  }

  /** Ends every open watch, with the error or as if the server had closed it. */
  cutWatches(why: KubeError | null = null): void {
    for (const cut of this.#watches) cut(why);
  }

  /** From now on watches open, stay open and tell nothing. */
  silence(): void {
    this.#silent = true;
  }

  /** Writes made so far. */
  get writes(): readonly KubeCall[] {
    return this.calls.filter((call) => writes.includes(call.verb));
  }

  count(verb: KubeVerb, kind?: string): number {
    return this.calls.filter((call) => call.verb === verb && (kind === undefined || call.kind === kind))
      .length;
  }

  get(type: ResourceType, key: ObjectKey): Promise<KubeObject | null> {
    return this.#call({ verb: "get", kind: type.kind, name: key.name }, () => this.#inner.get(type, key));
  }

  list(type: ResourceType, options?: ListOptions): Promise<ObjectList> {
    const name = options?.name ?? "";
    return this.#call({ verb: "list", kind: type.kind, name }, () => this.#inner.list(type, options));
  }

  listVersions(type: ResourceType, options?: ListOptions): Promise<VersionList> {
    return this.#call({ verb: "listVersions", kind: type.kind, name: "" }, () =>
      this.#inner.listVersions(type, options),
    );
  }

  apply(object: ApplyObject, fieldManager: string): Promise<KubeObject> {
    const call = { verb: "apply", kind: object.kind, name: object.metadata.name, object } as const;
    return this.#call(call, () => this.#inner.apply(object, fieldManager));
  }

  applyStatus(object: ApplyObject, fieldManager: string): Promise<KubeObject> {
    const call = { verb: "applyStatus", kind: object.kind, name: object.metadata.name, object } as const;
    return this.#call(call, () => this.#inner.applyStatus(object, fieldManager));
  }

  delete(
    type: ResourceType,
    key: ObjectKey,
    precondition?: { readonly uid?: string; readonly resourceVersion?: string },
  ): Promise<boolean> {
    return this.#call({ verb: "delete", kind: type.kind, name: key.name }, () =>
      this.#inner.delete(type, key, precondition),
    );
  }

  async *watch(type: ResourceType, options: WatchOptions): AsyncGenerator<WatchEvent> {
    this.calls.push({ verb: "watch", kind: type.kind, name: "" });
    const fault = this.#fault("watch", type.kind);
    if (fault !== undefined) throw fault.error;
    const cut = new AbortController();
    let reason: KubeError | null = null;
    const onCut = (why: KubeError | null) => {
      reason = why;
      cut.abort();
    };
    this.#watches.add(onCut);
    try {
      const signal = AbortSignal.any([options.signal, cut.signal]);
      for await (const event of this.#inner.watch(type, { ...options, signal })) {
        if (!this.#silent) yield event;
      }
      if (reason !== null) throw reason as KubeError;
    } finally {
      this.#watches.delete(onCut);
    }
  }

  async #call<T>(call: KubeCall, run: () => Promise<T>): Promise<T> {
    this.calls.push(call);
    const fault = this.#fault(call.verb, call.kind);
    if (fault === undefined) return run();
    if (fault.after) await run();
    throw fault.error;
  }

  #fault(verb: KubeVerb, kind: string): Fault | undefined {
    const concerned = this.#faults.filter(
      (fault) =>
        fault.left > 0 &&
        (fault.verb === verb || (fault.verb === "write" && writes.includes(verb))) &&
        (fault.kind === undefined || fault.kind === kind),
    );
    let found: Fault | undefined;
    for (const fault of concerned) {
      if (fault.skip > 0) fault.skip -= 1;
      else found ??= fault;
    }
    if (found !== undefined) found.left -= 1;
    return found;
  }
}
