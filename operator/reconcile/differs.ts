/**
 * Whether an object in the cluster still is what we want, without asking the server: steady state writes
 * nothing. Two things make a difference:
 *
 * - what was wanted last time, kept as a hash in an annotation: shows fields we no longer send;
 * - a field we send that has another value: shows what others changed.
 *
 * Fields that the server or others add are theirs.
 */
import { createHash } from "node:crypto";

import { GROUP } from "../../crds/group.ts";
import type { ApplyObject, KubeObject } from "../adapters/kubeClient.ts";

export const APPLIED_HASH = `${GROUP}/applied-hash`;

/** The object as it is sent: with the hash of itself among its annotations. */
export function withHash(object: ApplyObject): ApplyObject {
  const hash = createHash("sha256").update(canonical(object)).digest("hex").slice(0, 32);
  return {
    ...object,
    metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, [APPLIED_HASH]: hash } },
  };
}

/** Whether `live` lacks or contradicts anything of `sent` (an object from `withHash`). */
export function differs(live: KubeObject | null | undefined, sent: ApplyObject): boolean {
  return live === null || live === undefined || !contains(live, sent);
}

function contains(live: unknown, sent: unknown): boolean {
  if (sent === null || sent === undefined) return true;
  if (Array.isArray(sent)) return Array.isArray(live) && containsItems(live, sent);
  if (typeof sent !== "object") return live === sent;
  // An empty object may be left out by the server.
  if (live === undefined || live === null) return Object.keys(sent).length === 0;
  if (typeof live !== "object" || Array.isArray(live)) return false;
  return Object.entries(sent).every(([name, value]) =>
    contains((live as Record<string, unknown>)[name], value),
  );
}

/** Lists are compared item by item; named items of a longer list by name, since others may add theirs. */
function containsItems(live: readonly unknown[], sent: readonly unknown[]): boolean {
  if (live.length === sent.length) return sent.every((item, index) => contains(live[index], item));
  const keyed = sent.every((item) => nameOf(item) !== undefined);
  return (
    live.length > sent.length &&
    keyed &&
    sent.every((item) => live.some((other) => nameOf(other) === nameOf(item) && contains(other, item)))
  );
}

function nameOf(item: unknown): unknown {
  if (typeof item !== "object" || item === null) return undefined;
  const { name, uid } = item as { name?: unknown; uid?: unknown };
  return uid ?? name;
}

/** JSON with sorted keys and without undefined, so that equal objects give equal text. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, field: unknown) =>
    typeof field === "object" && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : field,
  );
}
