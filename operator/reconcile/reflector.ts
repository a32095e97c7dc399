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
import {
  type KubeClient,
  KubeError,
  type KubeObject,
  type ObjectList,
  type ResourceType,
  type WatchEvent,
} from "../adapters/kubeClient.ts";
import { type Clock, sleep } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import type { ListRank, ListTurns } from "./listTurns.ts";

/** Where what is seen goes. */
export interface ReflectorSink {
  /** A list begins: what is known is doubted until `listed` tells of it. A list that failed begins anew. */
  begin(): void;
  /** A part of the list, which shows the moment of this version. What `put` and `remove` tell meanwhile is newer. */
  listed(objects: readonly KubeObject[], resourceVersion: string): void;
  /** That was all there is at this version. */
  end(resourceVersion: string): void;
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
  /** When a page may be asked for after the first, which opens the watch and waits for nobody. */
  readonly turns?: ListTurns;
  readonly rank?: ListRank;
  /** Lets the process do other things within a page; default: nothing. */
  readonly breathe?: () => Promise<void>;
}

/**
 * A page is parsed in one go, and meanwhile nothing else happens: half a megabyte takes some
 * milliseconds. How many objects that is shows with the first page, which is one object because edits are only
 * heard once it is here; runtime Secrets are fifty times as large as pods.
 */
const PAGE_BYTES = 512 * 1024;
const FIRST_PAGE_SIZE = 1;
const SECOND_PAGE_SIZE = 32;
const PAGE_SIZE = { least: 4, most: 500 } as const;
/** Read and indexed in one go. Those of a list anew are mostly known, and done in no time. */
const OBJECTS_AT_A_TIME = 25;
const BREATH_AFTER_MS = 5;
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
  sink.begin();
  const first = await listPage(options, signal, { limit: FIRST_PAGE_SIZE });
  sink.listed(first.items, first.resourceVersion);
  const heard: Position = { version: first.resourceVersion };
  if (first.continueToken === undefined) {
    position.version = first.resourceVersion;
    sink.end(first.resourceVersion);
    return await watchFrom(options, position, signal);
  }
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
    await listRest(options, signal, first);
  } catch (error) {
    stop.abort();
    await watching.catch(() => {});
    throw error;
  }
  listed = true;
  sink.end(first.resourceVersion);
  position.version = heard.version;
  if (heard.version !== null && heard.version !== first.resourceVersion) sink.progress(heard.version);
  return await watching;
}

async function listRest(options: ReflectorOptions, signal: AbortSignal, first: ObjectList): Promise<void> {
  const { clock, turns = everyTurn, rank = "made", sink } = options;
  const follow = (before: ObjectList, limit: number) => {
    const { continueToken } = before;
    if (continueToken === undefined) return null;
    const size = nextPageSize(before, limit);
    const page = turns.page(rank, async () => {
      signal.throwIfAborted();
      return await listPage(options, signal, { limit: size, continueToken });
    });
    page.catch(() => {});
    return { page, size };
  };
  const ended = turns.begin(rank);
  try {
    for (let next = follow(first, FIRST_PAGE_SIZE); next !== null;) {
      const page = await next.page;
      // The server makes the next one while this one is read.
      next = follow(page, next.size);
      let since = clock.now();
      for (let from = 0; from < page.items.length; from += OBJECTS_AT_A_TIME) {
        if (clock.now() - since >= BREATH_AFTER_MS) {
          await options.breathe?.();
          since = clock.now();
        }
        sink.listed(page.items.slice(from, from + OBJECTS_AT_A_TIME), page.resourceVersion);
      }
    }
  } finally {
    ended();
  }
}

const everyTurn: ListTurns = { begin: () => () => {}, page: (_rank, action) => action() };

/** So many that a page has about PAGE_BYTES, at most twice as many as before. */
function nextPageSize({ bytes, items }: ObjectList, limit: number): number {
  if (bytes === undefined) return PAGE_SIZE.most;
  const fitting = Math.floor((PAGE_BYTES * Math.max(1, items.length)) / Math.max(1, bytes));
  return Math.max(PAGE_SIZE.least, Math.min(PAGE_SIZE.most, Math.max(SECOND_PAGE_SIZE, 2 * limit), fitting));
}

async function listPage(
  options: ReflectorOptions,
  signal: AbortSignal,
  page: { readonly limit: number; readonly continueToken?: string },
): Promise<ObjectList> {
  const { client, type, namespace, labels } = options;
  return await inTime(
    options,
    signal,
    client.list(type, {
      ...page,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
    }),
  );
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
