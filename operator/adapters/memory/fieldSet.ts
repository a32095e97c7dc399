/**
 * FieldSet: which fields of an object a manager owns, in the form of Kubernetes' FieldsV1: nested objects
 * whose keys are path elements, `{}` for an owned leaf, `"."` where an inner element is owned itself.
 *
 *   f:NAME a field · k:{"name":"a"} a list item by key · v:"x" a member of a set
 *
 * Pure. The rules that say how lists are told apart come from listTypes.ts.
 */
import type { ListTypes } from "./listTypes.ts";

export interface FieldSet {
  [element: string]: FieldSet;
}

export type Json = null | boolean | number | string | Json[] | { [field: string]: Json };
export type JsonObject = { [field: string]: Json };

const SELF = ".";

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields that `value` names, at `path`. */
export function fieldsOf(value: Json, path: string, rules: ListTypes): FieldSet {
  const rule = rules[path];
  if (isObject(value) && rule?.kind !== "atomic") {
    const fields: FieldSet = {};
    for (const [name, child] of Object.entries(value)) {
      fields[`f:${name}`] = fieldsOf(child, path === "" ? name : `${path}.${name}`, rules);
    }
    return fields;
  }
  if (Array.isArray(value) && (rule?.kind === "map" || rule?.kind === "set")) {
    const fields: FieldSet = {};
    for (const item of value) {
      fields[itemElement(item, path, rules)] = {
        [SELF]: {},
        ...(rule.kind === "map" ? fieldsOf(item, `${path}[]`, rules) : {}),
      };
    }
    return fields;
  }
  return {};
}

/** Path element of a list item. Items of a keyed list without a key field compare by null. */
export function itemElement(item: Json, path: string, rules: ListTypes): string {
  const rule = rules[path];
  if (rule?.kind === "map" && isObject(item)) {
    const key = rule.keys.map((name) => [name, item[name] ?? rule.defaults?.[name] ?? null]);
    return `k:${JSON.stringify(Object.fromEntries(key))}`;
  }
  return `v:${JSON.stringify(item)}`;
}

/** A leaf owns all that is under it. */
export function isLeaf(fields: FieldSet): boolean {
  for (const element in fields) if (element !== SELF) return false;
  return true;
}

export function isEmpty(fields: FieldSet): boolean {
  for (const _ in fields) return false;
  return true;
}

/** Child elements, without the mark of the element itself. */
export function elements(fields: FieldSet): [string, FieldSet][] {
  return Object.entries(fields).filter(([element]) => element !== SELF);
}

/** The value at a child element of `value`. */
export function childOf(
  value: Json | undefined,
  element: string,
  path: string,
  rules: ListTypes,
): Json | undefined {
  if (element.startsWith("f:")) return isObject(value) ? value[element.slice(2)] : undefined;
  if (!Array.isArray(value)) return undefined;
  return value.find((item) => itemElement(item, path, rules) === element);
}

/** Path of a child element, as listTypes.ts writes it. */
export function childPath(path: string, element: string): string {
  if (!element.startsWith("f:")) return `${path}[]`;
  return path === "" ? element.slice(2) : `${path}.${element.slice(2)}`;
}

/** Deep equality of JSON values; the order of fields does not matter. */
export function jsonEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => jsonEqual(item, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && jsonEqual(a[name], b[name]))
  );
}
