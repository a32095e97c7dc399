/**
 * Server-side apply (KEP-555, structured-merge-diff), always with force, as a pure function: the object
 * as it is, who owns which fields, and what a manager sends now → the object and owners after it.
 *
 * 1. What is sent is merged over what is there; keyed lists merge item by item.
 * 2. Fields whose value this changes leave their other owners (force takes over).
 * 3. Fields the manager sent last time and does not send now are removed, unless someone else owns
 *    them or something under them.
 */
import {
  childOf,
  childPath,
  elements,
  type FieldSet,
  fieldsOf,
  isLeaf,
  isObject,
  itemElement,
  type Json,
  jsonEqual,
  type JsonObject,
} from "./fieldSet.ts";
import type { ListTypes } from "./listTypes.ts";

/** Field sets by manager. */
export type Owners = Readonly<Record<string, FieldSet>>;

export interface Applied {
  readonly object: JsonObject;
  readonly owners: Owners;
}

/** `live` is null when the object does not exist. Nothing passed in is changed. */
export function serverSideApply(
  live: JsonObject | null,
  owners: Owners,
  sent: JsonObject,
  manager: string,
  rules: ListTypes,
): Applied {
  const merged = live === null ? structuredClone(sent) : (merge(live, sent, "", rules) as JsonObject);
  const sentFields = fieldsOf(sent, "", rules);
  const next: Record<string, FieldSet> = {};
  for (const [name, fields] of Object.entries(owners)) {
    if (name === manager) continue;
    const kept = withoutChanged(fields, live ?? undefined, merged, "", rules);
    if (kept !== null) next[name] = kept;
  }
  const dropped = owners[manager];
  if (dropped !== undefined) {
    prune(merged, dropped, [sentFields, ...Object.values(next)], "", rules);
  }
  next[manager] = sentFields;
  return { object: merged, owners: next };
}

function merge(live: Json | undefined, sent: Json, path: string, rules: ListTypes): Json {
  const rule = rules[path];
  if (isObject(sent) && isObject(live) && rule?.kind !== "atomic") {
    const result = structuredClone(live);
    for (const [name, value] of Object.entries(sent)) {
      result[name] = merge(live[name], value, path === "" ? name : `${path}.${name}`, rules);
    }
    return result;
  }
  if (Array.isArray(sent) && Array.isArray(live) && (rule?.kind === "map" || rule?.kind === "set")) {
    return mergeItems(live, sent, path, rules);
  }
  return structuredClone(sent);
}

/** Items sent keep their order; items only others know stay behind the item they followed. */
function mergeItems(live: Json[], sent: Json[], path: string, rules: ListTypes): Json[] {
  const liveByElement = new Map(live.map((item) => [itemElement(item, path, rules), item]));
  const sentElements = sent.map((item) => itemElement(item, path, rules));
  const sentSet = new Set(sentElements);
  const followers = new Map<string, Json[]>();
  let before = "";
  for (const [element, item] of liveByElement) {
    if (sentSet.has(element)) before = element;
    else followers.set(before, [...(followers.get(before) ?? []), item]);
  }
  const result = structuredClone(followers.get("") ?? []);
  for (const [index, item] of sent.entries()) {
    const element = sentElements[index] ?? "";
    result.push(merge(liveByElement.get(element), item, `${path}[]`, rules));
    result.push(...structuredClone(followers.get(element) ?? []));
  }
  return result;
}

/** Fields whose value did not change; null when none is left. */
function withoutChanged(
  fields: FieldSet,
  before: Json | undefined,
  after: Json | undefined,
  path: string,
  rules: ListTypes,
): FieldSet | null {
  if (isLeaf(fields)) {
    // An item of a keyed list and an object sent empty are owned as such, however their fields change.
    const isItem = Object.hasOwn(fields, ".");
    const isFrame = isObject(before) && isObject(after) && rules[path]?.kind !== "atomic";
    return isItem || isFrame || jsonEqual(before, after) ? fields : null;
  }
  const kept: FieldSet = Object.hasOwn(fields, ".") ? { ".": {} } : {};
  let any = Object.hasOwn(fields, ".");
  for (const [element, child] of elements(fields)) {
    const left = withoutChanged(
      child,
      childOf(before, element, path, rules),
      childOf(after, element, path, rules),
      childPath(path, element),
      rules,
    );
    if (left === null) continue;
    kept[element] = left;
    any = true;
  }
  return any ? kept : null;
}

/** Removes from `value` what `dropped` names and none of `keep` does, in place. */
function prune(
  value: Json | undefined,
  dropped: FieldSet,
  keep: readonly FieldSet[],
  path: string,
  rules: ListTypes,
): void {
  for (const [element, child] of elements(dropped)) {
    const keepers = keep.flatMap((fields) => fields[element] ?? []);
    if (keepers.length === 0) {
      remove(value, element, path, rules);
      continue;
    }
    const inner = childPath(path, element);
    // Who owns an atomic value keeps all of it; who owns an object sent empty, only its frame.
    if (rules[inner]?.kind === "atomic") continue;
    prune(childOf(value, element, path, rules), child, keepers, inner, rules);
  }
}

function remove(value: Json | undefined, element: string, path: string, rules: ListTypes): void {
  if (element.startsWith("f:")) {
    if (isObject(value)) delete value[element.slice(2)];
  } else if (Array.isArray(value)) {
    const index = value.findIndex((item) => itemElement(item, path, rules) === element);
    if (index >= 0) value.splice(index, 1);
  }
}
