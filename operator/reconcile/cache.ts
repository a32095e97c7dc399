/**
 * Objects of one kind as last seen, with indexes. What is kept is what `shape` makes of an object (trimmed,
 * parsed); it is shared with every reader, who must not change it.
 */
import type { KubeObject, ObjectKey } from "../adapters/kubeClient.ts";

/** One object as cached. */
export interface Cached<T> {
  readonly key: string;
  readonly object: KubeObject;
  /** What `shape` made of it. */
  readonly value: T;
}

/** Names the index entries an object belongs under. */
export type Index<T> = (cached: Cached<T>) => readonly string[];

export interface CacheChange<T> {
  readonly key: ObjectKey;
  readonly before: Cached<T> | undefined;
  readonly after: Cached<T> | undefined;
}

export function keyText(key: { readonly namespace?: string; readonly name: string }): string {
  return `${key.namespace ?? ""}/${key.name}`;
}

export function parseKey(text: string): ObjectKey {
  const slash = text.indexOf("/");
  return { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}

export interface CacheOptions<T> {
  readonly shape: (object: KubeObject, before: Cached<T> | undefined) => T;
  /** What is kept of the object beside its value; default: all of it. */
  readonly keep?: (object: KubeObject, value: T) => KubeObject;
  readonly indexes?: Readonly<Record<string, Index<T>>>;
}

export class Cache<T> {
  readonly #shape: CacheOptions<T>["shape"];
  readonly #keep: (object: KubeObject, value: T) => KubeObject;
  readonly #indexes: Readonly<Record<string, Index<T>>>;
  readonly #objects = new Map<string, Cached<T>>();
  /** Most entries have one object, and ten thousand maps of one are megabytes. */
  readonly #entries = new Map<string, Cached<T> | Map<string, Cached<T>>>();
  #all: readonly T[] | undefined;

  constructor(options: CacheOptions<T>) {
    this.#shape = options.shape;
    this.#keep = options.keep ?? ((object) => object);
    this.#indexes = options.indexes ?? {};
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: ObjectKey): Cached<T> | undefined {
    return this.#objects.get(keyText(key));
  }

  /** Every value; the same array until something changes. */
  all(): readonly T[] {
    this.#all ??= [...this.#objects.values()].map((cached) => cached.value);
    return this.#all;
  }

  /** Objects under an entry of an index, in no particular order. */
  by(index: string, entry: string): readonly Cached<T>[] {
    const found = this.#entries.get(`${index}\n${entry}`);
    if (found === undefined) return [];
    return found instanceof Map ? [...found.values()] : [found];
  }

  /** Whether it is the one already there, at this version. */
  has({ metadata }: Pick<KubeObject, "metadata">): boolean {
    const known = this.#objects.get(keyText(metadata))?.object.metadata;
    return known?.uid === metadata.uid && known?.resourceVersion === metadata.resourceVersion;
  }

  /** Takes the object in; returns null when it is the one already there. */
  put(object: KubeObject): CacheChange<T> | null {
    if (this.has(object)) return null;
    const key = keyText(object.metadata);
    const before = this.#objects.get(key);
    const value = this.#shape(object, before);
    const after = { key, object: this.#keep(object, value), value };
    this.#unindex(before);
    this.#objects.set(key, after);
    this.#eachEntry(after, (name) => {
      const entry = this.#entries.get(name);
      if (entry === undefined) this.#entries.set(name, after);
      else if (entry instanceof Map) entry.set(key, after);
      else this.#entries.set(name, new Map([entry, after].map((cached) => [cached.key, cached])));
    });
    this.#all = undefined;
    return { key: parseKey(key), before, after };
  }

  remove(key: ObjectKey): CacheChange<T> | null {
    const before = this.#objects.get(keyText(key));
    if (before === undefined) return null;
    this.#unindex(before);
    this.#objects.delete(before.key);
    this.#all = undefined;
    return { key, before, after: undefined };
  }

  /** Keys of a namespace; of all when left out. */
  keys(namespace?: string): ObjectKey[] {
    return [...this.#objects.keys()]
      .map(parseKey)
      .filter((key) => namespace === undefined || key.namespace === namespace);
  }

  #unindex(cached: Cached<T> | undefined): void {
    if (cached === undefined) return;
    this.#eachEntry(cached, (name) => {
      const entry = this.#entries.get(name);
      if (entry instanceof Map) entry.delete(cached.key);
      if (!(entry instanceof Map) || entry.size === 0) this.#entries.delete(name);
    });
  }

  #eachEntry(cached: Cached<T>, visit: (name: string) => void): void {
    for (const [index, entriesOf] of Object.entries(this.#indexes)) {
      for (const entry of new Set(entriesOf(cached))) visit(`${index}\n${entry}`);
    }
  }
}
