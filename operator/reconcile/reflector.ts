/**
 * Follows one kind in one namespace (or in all): a paged list, then a watch from its version, for ever.
 *
 * - A watch that ends is opened again from the last version heard.
 * - Any failure is followed by a jittered, growing pause; a watch that ends at once without a word counts
 *   as one, and so does a 410, so that no answer of the server makes this a hot loop.
 * - Expired, or failing again and again, means to list anew; so does silence longer than a bookmark takes,
 *   because a dead connection tells nothing.
 */
import {
  type KubeClient,
  KubeError,
  type KubeObject,
  type ResourceType,
  type WatchEvent,
} from "../adapters/kubeClient.ts";
import { type Clock, sleep } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";

/** Where what is seen goes. */
export interface ReflectorSink {
  /** All there is now, at this version. */
  replace(objects: readonly KubeObject[], resourceVersion: string): void;
  put(object: KubeObject): void;
  remove(object: KubeObject): void;
  /** Everything up to this version has been told. */
  progress(resourceVersion: string): void;
}

export interface ReflectorOptions {
  readonly client: KubeClient;
  readonly type: ResourceType;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly sink: ReflectorSink;
}

/** Paging bounds how long one answer blocks the event loop. */
const PAGE_SIZE = 500;
const LIST_PAGE_SECONDS = 60;
/** Bookmarks come about once a minute. */
const SILENCE_SECONDS = 150;
/** A watch that lives this long has recovered whatever was wrong before. */
const HEALTHY_AFTER_MS = 10_000;
const FIRST_PAUSE_MS = 800;
const LONGEST_PAUSE_MS = 30_000;
/** Failures in a row after which the version itself is doubted. */
const RELIST_AFTER_FAILURES = 5;

/** Runs until the signal aborts. Never rejects. */
export async function reflect(options: ReflectorOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, type, namespace } = options;
  // Kept through failures: to go back to an older version would show the past once more.
  const position: Position = { version: null };
  let failures = 0;
  while (!signal.aborted) {
    try {
      position.version ??= await listAll(options, signal);
      const opened = clock.now();
      const watched = await watchFrom(options, position, signal);
      if (watched.silent) {
        log.warn("watch fell silent, listing anew", { kind: type.kind, seconds: SILENCE_SECONDS });
        position.version = null;
      }
      if (clock.now() - opened >= HEALTHY_AFTER_MS) {
        failures = 0;
        continue;
      }
      failures = watched.events > 0 ? 1 : failures + 1;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      const expired = error instanceof KubeError && error.reason === "Expired";
      if (expired || failures % RELIST_AFTER_FAILURES === 0) position.version = null;
      log[expired ? "info" : "warn"]("cannot follow a kind, will try again", {
        kind: type.kind,
        namespace,
        failures,
        error,
      });
    }
    if (!signal.aborted) await sleep(clock, pauseMs(failures, options.random), signal);
  }
}

interface Position {
  /** Everything up to it has been told; null: nothing is known, a list is due. */
  version: string | null;
}

function pauseMs(failures: number, random: Random): number {
  const full = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(20, Math.max(0, failures - 1)));
  return Math.round(full * (0.5 + random.draw()));
}

async function listAll(options: ReflectorOptions, signal: AbortSignal): Promise<string> {
  const { client, type, namespace, labels, sink } = options;
  const objects: KubeObject[] = [];
  let continueToken: string | undefined;
  let resourceVersion: string;
  do {
    const page = await inTime(
      options,
      signal,
      client.list(type, {
        limit: PAGE_SIZE,
        ...(namespace === undefined ? {} : { namespace }),
        ...(labels === undefined ? {} : { labels }),
        ...(continueToken === undefined ? {} : { continueToken }),
      }),
    );
    for (const object of page.items) objects.push(object);
    ({ continueToken, resourceVersion } = { continueToken: undefined, ...page });
  } while (continueToken !== undefined);
  sink.replace(objects, resourceVersion);
  return resourceVersion;
}

async function inTime<T>(options: ReflectorOptions, signal: AbortSignal, call: Promise<T>): Promise<T> {
  const answered = new AbortController();
  const late = sleep(
    options.clock,
    LIST_PAGE_SECONDS * 1000,
    AbortSignal.any([answered.signal, signal]),
  ).then(() => {
    throw new Error(`Cannot list ${options.type.plural}: no answer within ${LIST_PAGE_SECONDS} s`);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    answered.abort();
    late.catch(() => {});
  }
}

interface Watched {
  readonly events: number;
  readonly silent: boolean;
}

async function watchFrom(
  options: ReflectorOptions,
  position: Position,
  signal: AbortSignal,
): Promise<Watched> {
  const { client, type, namespace, labels, clock, sink } = options;
  const stop = new AbortController();
  const end = AbortSignal.any([stop.signal, signal]);
  const ended = new Promise<"ended">((resolve) => {
    end.addEventListener("abort", () => resolve("ended"), { once: true });
  });
  let events = 0;
  let silent = false;
  const armSilence = () =>
    clock.after(SILENCE_SECONDS * 1000, () => {
      silent = true;
      stop.abort();
    });
  let cancelSilence = armSilence();
  const stream = client.watch(type, {
    resourceVersion: position.version ?? "",
    signal: end,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
  });
  const iterator = stream[Symbol.asyncIterator]();
  try {
    while (!end.aborted) {
      // A stream that ignores the abort must not keep us.
      const next = await Promise.race([iterator.next(), ended]);
      if (next === "ended" || next.done === true) break;
      cancelSilence();
      cancelSilence = armSilence();
      take(next.value, sink, position);
      events += 1;
    }
  } finally {
    cancelSilence();
    stop.abort();
    iterator.return?.()?.catch(() => {});
  }
  return { events, silent };
}

function take(event: WatchEvent, sink: ReflectorSink, position: Position): void {
  if (event.type === "DELETED") sink.remove(event.object);
  else if (event.type !== "BOOKMARK") sink.put(event.object);
  const version = event.type === "BOOKMARK" ? event.resourceVersion : event.object.metadata.resourceVersion;
  if (version === undefined) return;
  position.version = version;
  sink.progress(version);
}
