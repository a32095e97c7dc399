/** What a controller tells of its work, for metrics: who listens must be quick and not throw. */

export interface ReconcileObserver {
  /** A watch asks for this key. */
  added(controller: string, key: string): void;
  started(controller: string, key: string): void;
  finished(controller: string, key: string, result: "success" | "requeue_after" | "error"): void;
}
