/** One page of a list of the in-memory cluster: of the moment its first page showed, as long as that is kept. */
import type { ListOptions, ObjectList } from "../kubeClient.ts";
import { makeToken, parseToken } from "./objects.ts";
import type { Store } from "./store.ts";
import { expired, selects } from "./watch.ts";

/** The items are the stored objects themselves. */
export function readPage(store: Store, kind: string, options: ListOptions): ObjectList {
  const page = options.continueToken === undefined ? null : parseToken(options.continueToken);
  const revision = page?.revision ?? store.revision;
  const objects = store.at(kind, revision);
  if (objects === null) throw expired(revision);
  const ids = [...objects.keys()].filter((id) => page === null || id > page.after).toSorted();
  const items = [];
  let last = "";
  for (const id of ids) {
    const object = objects.get(id)?.object;
    if (object === undefined || !selects(object, options)) continue;
    if (options.limit !== undefined && items.length >= options.limit) {
      return { items, resourceVersion: String(revision), continueToken: makeToken(revision, last) };
    }
    items.push(object);
    last = id;
  }
  return { items, resourceVersion: String(revision) };
}
