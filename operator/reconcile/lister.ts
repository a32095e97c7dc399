/**
 * Reads one list page by page into a sink. A first list takes whole objects. A list anew, when most is known, asks
 * for versions alone and fetches what differs: ten thousand objects are some kilobytes each to make, send, decrypt
 * and parse, only to be found unchanged, and whoever edited one of them waited for all before it. When more differs
 * than is worth fetching one by one, the rest is read whole, from the same moment: continue tokens of both lists
 * are the same.
 */
import type {
  KubeClient,
  KubeObject,
  ListOptions,
  ObjectList,
  ObjectVersion,
  ResourceType,
  VersionList,
} from "../adapters/kubeClient.ts";
import { type Clock, sleep } from "../../relay/kit/clock.ts";
import type { ListRank, ListTurns } from "./listTurns.ts";

/** Where a list goes. */
export interface ListSink {
  /** A part of the list, which shows the moment of this version. What a watch tells meanwhile is newer. */
  listed(objects: readonly KubeObject[], resourceVersion: string): void;
  /** The same, of versions alone. Returns those that are not known: they are told by `listed` before the end. */
  compared(versions: readonly ObjectVersion[], resourceVersion: string): readonly ObjectVersion[];
}

export interface ListerOptions {
  readonly client: KubeClient;
  readonly type: ResourceType;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly sink: ListSink;
  /** When a page may be asked for after the first, which opens the watch and waits for nobody. */
  readonly turns?: Pick<ListTurns, "begin" | "page">;
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
/** Versions are stepped through, not parsed: as many bytes take a tenth of the time. */
const VERSION_PAGE_BYTES = 4 * 1024 * 1024;
const FIRST_PAGE_SIZE = 1;
const SECOND_PAGE_SIZE = 32;
const PAGE_SIZE = { least: 4, most: 500 } as const;
const VERSION_PAGE_SIZE = { least: 500, most: 2000 } as const;
/** Read and indexed in one go. */
const OBJECTS_AT_A_TIME = 25;
const BREATH_AFTER_MS = 5;
const LIST_PAGE_SECONDS = 60;
/** To fetch one takes as long as to read ten of a page: up to here it is less than a fifth of reading 10,000. */
const MOST_FETCHED = 200;
/** Beside the pages, and well under the calls that a client has under way. */
const FETCHED_AT_A_TIME = 4;

type Page =
  | { readonly of: "objects"; readonly list: ObjectList }
  | { readonly of: "versions"; readonly list: VersionList };

interface Question {
  readonly of: Page["of"];
  readonly limit: number;
  readonly continueToken?: string;
}

export class Lister {
  readonly #options: ListerOptions;
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;
  #ended = () => {};
  /** To be fetched, and how many have been found to differ in all. */
  readonly #differing: ObjectVersion[] = [];
  #found = 0;
  readonly #fetchers: Promise<void>[] = [];
  #fetching = 0;

  constructor(options: ListerOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = AbortSignal.any([signal, this.#failed.signal]);
  }

  /** The first page, told. `known`: something is known, which is worth comparing. */
  async first(known: boolean): Promise<Page> {
    const { turns = everyTurn, rank = "made" } = this.#options;
    this.#ended = turns.begin(rank);
    try {
      const page = await this.#ask({ of: known ? "versions" : "objects", limit: FIRST_PAGE_SIZE });
      await this.#tell(page);
      return page;
    } catch (error) {
      this.#ended();
      throw error;
    }
  }

  /** All that follows, told, which has to be asked for; resolves when everything that differed has been fetched as well. */
  async rest(first: Page): Promise<void> {
    try {
      let asked = this.#follow(first, FIRST_PAGE_SIZE);
      while (asked !== null) {
        const { question } = asked;
        const page = await asked.page;
        // The server makes the next one while this one is read.
        asked = this.#follow(page, question.limit);
        if (await this.#tell(page)) continue;
        asked = this.#turn({ ...question, of: "objects", limit: SECOND_PAGE_SIZE });
      }
      await Promise.all(this.#fetchers);
    } catch (error) {
      // What is still under way must not be told to the list that comes after this one.
      this.#failed.abort();
      throw error;
    } finally {
      this.#ended();
    }
  }

  /** Asks for what comes after a page; null: nothing does. */
  #follow({ of, list }: Page, limit: number) {
    const { continueToken } = list;
    if (continueToken === undefined) return null;
    return this.#turn({ of, limit: nextPageSize(of, list, limit), continueToken });
  }

  #turn(question: Question) {
    const { turns = everyTurn, rank = "made" } = this.#options;
    const page = turns.page(rank, async () => {
      this.#signal.throwIfAborted();
      return await this.#ask(question);
    });
    page.catch(() => {});
    return { question, page };
  }

  async #ask({ of, ...page }: Question): Promise<Page> {
    const { client, type } = this.#options;
    const options = { ...this.#scope(), ...page };
    return of === "objects"
      ? { of, list: await this.#inTime(client.list(type, options)) }
      : { of, list: await this.#inTime(client.listVersions(type, options)) };
  }

  /** False: more differs than is worth fetching; the page must be read whole. */
  async #tell({ of, list }: Page): Promise<boolean> {
    const { clock, sink } = this.#options;
    if (of === "versions") {
      const differing = sink.compared(list.items, list.resourceVersion);
      if (this.#found + differing.length > MOST_FETCHED) return false;
      this.#found += differing.length;
      this.#differing.push(...differing);
      // Each takes one at once.
      while (this.#fetching < FETCHED_AT_A_TIME && this.#differing.length > 0) {
        const fetcher = this.#fetchAll();
        fetcher.catch(() => {});
        this.#fetchers.push(fetcher);
      }
      return true;
    }
    let since = clock.now();
    for (let from = 0; from < list.items.length; from += OBJECTS_AT_A_TIME) {
      if (clock.now() - since >= BREATH_AFTER_MS) {
        await this.#options.breathe?.();
        since = clock.now();
      }
      sink.listed(list.items.slice(from, from + OBJECTS_AT_A_TIME), list.resourceVersion);
    }
    return true;
  }

  /** One of a few that share what differs. */
  async #fetchAll(): Promise<void> {
    this.#fetching += 1;
    try {
      for (let next = this.#differing.shift(); next !== undefined; next = this.#differing.shift()) {
        await this.#fetch(next);
      }
    } finally {
      this.#fetching -= 1;
    }
  }

  /** As it is now, which is what the list shows or later. One that is gone since is the watch's to tell of. */
  async #fetch({ namespace, name }: ObjectVersion): Promise<void> {
    const { client, sink, type } = this.#options;
    this.#signal.throwIfAborted();
    const { items, resourceVersion } = await this.#inTime(
      client.list(type, { ...this.#scope(), namespace, name }),
    );
    this.#signal.throwIfAborted();
    sink.listed(items, resourceVersion);
  }

  #scope(): ListOptions {
    const { namespace, labels } = this.#options;
    return {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
    };
  }

  async #inTime<T>(call: Promise<T>): Promise<T> {
    const answered = new AbortController();
    const late = sleep(
      this.#options.clock,
      LIST_PAGE_SECONDS * 1000,
      AbortSignal.any([answered.signal, this.#signal]),
    ).then(() => {
      this.#signal.throwIfAborted();
      throw new Error(`Cannot list ${this.#options.type.plural}: no answer within ${LIST_PAGE_SECONDS} s`);
    });
    try {
      return await Promise.race([call, late]);
    } finally {
      answered.abort();
      late.catch(() => {});
    }
  }
}

const everyTurn: Pick<ListTurns, "begin" | "page"> = {
  begin: () => () => {},
  page: (_rank, action) => action(),
};

/** So many that a page has about as many bytes as it should, of objects at most twice as many as before. */
function nextPageSize(of: Page["of"], { bytes, items }: Page["list"], limit: number): number {
  const { least, most } = of === "objects" ? PAGE_SIZE : VERSION_PAGE_SIZE;
  if (bytes === undefined) return most;
  const wanted = of === "objects" ? PAGE_BYTES : VERSION_PAGE_BYTES;
  const fitting = Math.floor((wanted * Math.max(1, items.length)) / Math.max(1, bytes));
  const growing = of === "objects" ? Math.max(SECOND_PAGE_SIZE, 2 * limit) : most;
  return Math.max(least, Math.min(most, growing, fitting));
}
