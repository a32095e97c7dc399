/**
 * Follows one kind in one namespace (or in all): a paged list, and a watch from its version, for ever.
 *
 * - The watch opens with the first page, not after the last: all pages show the moment of the first one, and
 *   while ten thousand objects are listed, what someone edits is heard at once.
 * - A watch that ends is opened again from the last version heard; at once when it was well, since nobody
 *   listens meanwhile, and after a jittered, growing pause when it failed before. A watch that ends at once
 *   without a word counts as a failure, and so does a second 410, so that no answer of the server makes this a
 *   hot loop.
 * - Expired, or failing again and again, means to list anew; so does silence longer than a bookmark takes,
 *   because a dead connection tells nothing.
 */
import { KubeError, type KubeObject, type WatchEvent } from "../adapters/kubeClient.ts";
import { sleep } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import { Lister, type ListerOptions, type ListSink } from "./lister.ts";

/** Where what is seen goes. */
export interface ReflectorSink extends ListSink {
  /**
   * A list begins: what is known is doubted until `listed` or `compared` tells of it. A list that failed begins
   * anew. Returns how many objects are known.
   */
  begin(): number;
  /** That was all there is at this version. */
  end(resourceVersion: string): void;
  put(object: KubeObject): void;
  remove(object: KubeObject): void;
  /** Everything up to this version has been told. */
  progress(resourceVersion: string): void;
}

export interface ReflectorOptions extends ListerOptions {
  readonly random: Random;
  readonly log: Log;
  readonly sink: ReflectorSink;
}

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
  let position: Position = { version: null };
  let failures = 0;
  while (!signal.aborted) {
    let expired = false;
    const opened = clock.now();
    const wasWell = () => clock.now() - opened >= HEALTHY_AFTER_MS;
    try {
      const watched =
        position.version === null
          ? await listAndWatch(options, position, signal)
          : await watchFrom(options, position, signal);
      if (watched.silent) {
        log.warn("watch fell silent, listing anew", { kind: type.kind, seconds: SILENCE_SECONDS });
        position = { version: null };
      }
      if (wasWell()) {
        failures = 0;
        continue;
      }
      failures = watched.events > 0 ? 1 : failures + 1;
    } catch (error) {
      if (signal.aborted) return;
      failures = position.version !== null && wasWell() ? 0 : failures + 1;
      expired = error instanceof KubeError && error.reason === "Expired";
      if (expired || (failures > 0 && failures % RELIST_AFTER_FAILURES === 0)) position = { version: null };
      log[expired ? "info" : "warn"]("cannot follow a kind, will try again", {
        kind: type.kind,
        namespace,
        failures,
        error,
      });
    }
    // A watch that was well ends now and then, and so does history; what is edited until it is open again may be
    // in the list alone, and is heard late. That either happens again at once is what must not become a loop.
    if (failures === 0 || (expired && failures === 1)) continue;
    if (!signal.aborted) await sleep(clock, pauseMs(failures, options.random), signal);
  }
}

interface Position {
  /** Everything up to it has been told; null: nothing is known, a list is due. */
  version: string | null;
}

function pauseMs(failures: number, random: Random): number {
  const full = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(20, failures - 1));
  return Math.round(full * (0.5 + random.draw()));
}

/** Lists page by page, watching from the moment the pages show; then goes on watching. */
async function listAndWatch(
  options: ReflectorOptions,
  position: Position,
  signal: AbortSignal,
): Promise<Watched> {
  const { sink } = options;
  const lister = new Lister(options, signal);
  const first = await lister.first(sink.begin() > 0);
  const { resourceVersion } = first.list;
  const heard: Position = { version: resourceVersion };
  let listed = false;
  const stop = new AbortController();
  const beside: ReflectorOptions = {
    ...options,
    sink: {
      ...sink,
      // Not all up to it is known before the last page.
      progress: (version) => {
        if (!listed) return;
        position.version = version;
        sink.progress(version);
      },
    },
  };
  const watching = watchFrom(beside, heard, AbortSignal.any([signal, stop.signal]));
  watching.catch(() => {});
  try {
    await lister.rest(first);
  } catch (error) {
    stop.abort();
    await watching.catch(() => {});
    throw error;
  }
  listed = true;
  sink.end(resourceVersion);
  position.version = heard.version;
  if (heard.version !== null && heard.version !== resourceVersion) sink.progress(heard.version);
  return await watching;
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
