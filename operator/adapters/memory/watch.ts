/**
 * One watch over the in-memory cluster: a cursor in the history, moved at the reader's pace. A reader that
 * falls behind what is kept hears Expired, as one whose version is too old does; nothing is buffered for it.
 */
import { type Clock } from "../../../relay/kit/clock.ts";
import { KubeError, type KubeObject, type WatchEvent, type WatchOptions } from "../kubeClient.ts";
import { type Change, FIRST_REVISION, type Store } from "./store.ts";

export interface WatchContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly kind: string;
  /** Quiet time after which a bookmark tells the reader how far it is. */
  readonly bookmarkSeconds: number;
  /** Ends the stream from the server's side, as time-outs and restarts do. */
  readonly closing: AbortSignal;
}

export async function* watchStore(context: WatchContext, options: WatchOptions): AsyncGenerator<WatchEvent> {
  const { store, clock, kind } = context;
  let cursor = Number(options.resourceVersion);
  if (!Number.isSafeInteger(cursor) || cursor < 0) {
    throw new KubeError("Invalid", 400, `Invalid resource version "${options.resourceVersion}"`);
  }
  const ended = () => options.signal.aborted || context.closing.aborted;
  while (!ended()) {
    const changes = store.since(kind, cursor);
    if (changes === null) throw expired(cursor);
    for (const change of changes) {
      cursor = change.revision;
      const event = eventFor(change, options);
      if (event === null) continue;
      yield event;
      if (ended()) return;
    }
    if (changes.length > 0) continue;
    const woken = await nextWake(store, clock, context, options.signal);
    if (woken === "quiet" && !ended()) {
      cursor = Math.max(cursor, store.revision);
      yield { type: "BOOKMARK", resourceVersion: String(cursor) };
    }
  }
}

export function expired(revision: number): KubeError {
  return new KubeError("Expired", 410, `too old resource version: ${revision} (${FIRST_REVISION})`);
}

function nextWake(
  store: Store,
  clock: Clock,
  context: WatchContext,
  signal: AbortSignal,
): Promise<"changed" | "quiet" | "ended"> {
  return new Promise((resolve) => {
    const finish = (why: "changed" | "quiet" | "ended") => {
      cancelTimer();
      cancelListener();
      signal.removeEventListener("abort", onEnd);
      context.closing.removeEventListener("abort", onEnd);
      resolve(why);
    };
    const onEnd = () => finish("ended");
    const cancelTimer = clock.after(context.bookmarkSeconds * 1000, () => finish("quiet"));
    const cancelListener = store.onCommit(() => finish("changed"));
    signal.addEventListener("abort", onEnd, { once: true });
    context.closing.addEventListener("abort", onEnd, { once: true });
  });
}

/** The change as a reader with this selection sees it: objects enter and leave the selection. */
function eventFor(change: Change, options: WatchOptions): WatchEvent | null {
  const before = change.previous !== null && selects(change.previous.object, options);
  const after = change.type !== "DELETED" && selects(change.object, options);
  if (!before && !after) return null;
  const type = before && after ? "MODIFIED" : after ? "ADDED" : "DELETED";
  return { type, object: structuredClone(change.object) };
}

/** Whether namespace, name and labels are those asked for. */
export function selects(
  object: KubeObject,
  options: {
    readonly namespace?: string;
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>>;
  },
): boolean {
  if (options.name !== undefined && object.metadata.name !== options.name) return false;
  if (options.namespace !== undefined && object.metadata.namespace !== options.namespace) return false;
  return Object.entries(options.labels ?? {}).every(
    ([key, value]) => object.metadata.labels?.[key] === value,
  );
}
