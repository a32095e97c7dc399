/** How a reconcile ended, and when to come back. Errors are thrown and retried with backoff. */
export type ReconcileResult =
  /** All is as it should be until something changes. */
  | { readonly kind: "settled" }
  /** Look again after this time: a date in a schedule, a probe, a report. */
  | { readonly kind: "again"; readonly afterSeconds: number }
  /** Something outside is missing; a watch on it or the time brings us back. */
  | { readonly kind: "waiting"; readonly reason: string; readonly afterSeconds: number }
  /** A person must act; only a change of the object brings us back. */
  | { readonly kind: "stalled"; readonly reason: string };

/** The same, but no later than this. */
export function notAfter(result: ReconcileResult, seconds: number): ReconcileResult {
  if (result.kind === "settled" || result.kind === "stalled") return result;
  return { ...result, afterSeconds: Math.min(result.afterSeconds, seconds) };
}
