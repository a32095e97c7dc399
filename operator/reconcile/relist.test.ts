/** A list anew: versions are compared, what differs is fetched, and nothing newer is taken back by either. */
import { afterEach, expect, test } from "vitest";

import { silentLog } from "../../relay/kit/log.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import { FaultyKube } from "../../test/support/faultyKube.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { type KubeClient, KubeError } from "../adapters/kubeClient.ts";
import { createMemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { Informer } from "./informer.ts";
import { createListTurns } from "./listTurns.ts";

const secrets = { apiVersion: "v1", kind: "Secret", plural: "secrets" };
const expired = () => new KubeError("Expired", 410, "too old");
const opened: Informer<string>[] = [];
afterEach(async () => {
  for (const informer of opened.splice(0)) await informer.stop();
});

function promised(): [Promise<void>, () => void] {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((resolved) => (resolve = resolved));
  return [promise, resolve];
}

/** First pages of versions, others, fetches before they are answered, or with the answer. */
type Held = "lists" | "pages" | "questions" | "answers";

/** An informer that knows s100 … (`count`), by a watch that was well, and a server that can be held back. */
async function world(count: number) {
  const clock = new FakeClock();
  const cluster = createMemoryCluster({ clock, random: seededRandom(1) });
  const kube = new FaultyKube(cluster);
  const held: Record<Held, Promise<void>> = {
    lists: Promise.resolve(),
    pages: Promise.resolve(),
    questions: Promise.resolve(),
    answers: Promise.resolve(),
  };
  const hold = (what: Held) => {
    const [until, open] = promised();
    held[what] = until;
    return {
      /** Those to come are not held. */
      only: () => {
        held[what] = Promise.resolve();
      },
      release: async () => {
        open();
        await clock.advance(0);
      },
    };
  };
  const client: KubeClient = {
    get: (...words) => kube.get(...words),
    list: async (type, options) => {
      if (options?.name !== undefined) await held.questions;
      const page = await kube.list(type, options);
      if (options?.name !== undefined) await held.answers;
      return page;
    },
    listVersions: async (type, options) => {
      await (options?.continueToken === undefined ? held.lists : held.pages);
      return kube.listVersions(type, options);
    },
    watch: (...words) => kube.watch(...words),
    apply: (...words) => kube.apply(...words),
    applyStatus: (...words) => kube.applyStatus(...words),
    delete: (...words) => kube.delete(...words),
  };
  const turns = createListTurns(clock);
  const informer = new Informer<string>({
    client,
    turns,
    type: secrets,
    namespaces: null,
    clock,
    random: seededRandom(2),
    log: silentLog,
    shape: (object) => String((object["data"] as Record<string, string> | undefined)?.["a"]),
  });
  opened.push(informer);
  const put = (name: string, value = "MQ==") =>
    cluster.apply(
      { apiVersion: "v1", kind: "Secret", metadata: { name, namespace: "mail" }, data: { a: value } },
      "test",
    );
  const remove = (name: string) => cluster.delete(secrets, { namespace: "mail", name });
  for (let index = 100; index < 100 + count; index++) await put(`s${index}`);
  informer.start();
  await clock.advance(60_000);
  kube.calls.length = 0;
  const seen: string[] = [];
  informer.onChange(({ key, before, after }, first) => {
    const what = before === undefined ? "added" : after === undefined ? "removed" : "changed";
    seen.push(`${first ? "first " : ""}${what} ${key.name}`);
  });
  return {
    clock,
    cluster,
    kube,
    informer,
    turns,
    put,
    remove,
    seen,
    hold,
    /** Versions expire; what was done in between is in a list alone. */
    expire: async (meanwhile: () => Promise<unknown>) => {
      const { release } = hold("lists");
      kube.cutWatches(expired());
      await meanwhile();
      cluster.compact();
      await release();
    },
    value: (name: string) => informer.cache.get({ namespace: "mail", name })?.value,
    fetched: () =>
      kube.calls.filter(({ verb, name }) => verb === "list" && name !== "").map(({ name }) => name),
    /** Pages of whole objects. */
    pages: () => kube.calls.filter(({ verb, name }) => verb === "list" && name === "").length,
  };
}

test("what differs is fetched, by name, and nothing else is read", async () => {
  const { expire, fetched, kube, pages, put, remove, seen, value } = await world(60);
  await expire(async () => {
    await put("s130", "Mg==");
    await remove("s110");
    await put("t1");
    await remove("s120");
    await put("s120");
  });

  expect([pages(), kube.count("listVersions"), fetched()]).toEqual([0, 2, ["s120", "s130", "t1"]]);
  expect(seen).toEqual(["changed s120", "changed s130", "added t1", "removed s110"]);
  expect([value("s130"), value("s110")]).toEqual(["Mg==", undefined]);
});

test("an object made anew under its name takes the place of the former one", async () => {
  const { cluster, expire, informer, put, remove } = await world(10);
  await expire(async () => {
    await remove("s105");
    await put("s105");
  });

  const there = await cluster.get(secrets, { namespace: "mail", name: "s105" });
  expect(informer.peek({ namespace: "mail", name: "s105" })?.metadata.uid).toBe(there?.metadata.uid);
});

test("when much differs, the rest of the list is read whole, from the moment that its versions show", async () => {
  const { expire, fetched, informer, kube, pages, put, value } = await world(900);
  await expire(async () => {
    for (let index = 101; index < 900; index += 2) await put(`s${index}`, "Mg==");
  });

  // The page that differs so much is read again, from where it begins.
  expect([kube.count("listVersions"), pages() > 1, fetched()]).toEqual([2, true, []]);
  expect(informer.cache.size).toBe(900);
  expect([value("s100"), value("s101"), value("s899"), value("s999")]).toEqual([
    "MQ==",
    "Mg==",
    "Mg==",
    "MQ==",
  ]);
});

test("an answer made before a change and read after it takes nothing back", async () => {
  const { clock, expire, hold, put, value } = await world(60);
  const { release } = hold("answers");
  await expire(() => put("s130", "Mg=="));
  await put("s130", "Mw==");
  await clock.advance(0);
  expect(value("s130")).toBe("Mw==");
  await release();

  expect(value("s130")).toBe("Mw==");
});

test("an answer made before a write of ours and read after it takes nothing back", async () => {
  const { expire, hold, informer, kube, put, value } = await world(60);
  const { release } = hold("answers");
  kube.silence();
  await expire(() => put("s130", "Mg=="));
  informer.adopt(await put("s130", "Mw=="));
  await release();

  expect(value("s130")).toBe("Mw==");
});

test("an answer made before a deletion and read after it brings nothing back", async () => {
  const { clock, expire, hold, put, remove, value } = await world(60);
  const { release } = hold("answers");
  await expire(() => put("s130", "Mg=="));
  await remove("s130");
  await clock.advance(0);
  expect(value("s130")).toBeUndefined();
  await release();

  expect(value("s130")).toBeUndefined();
});

test("what is gone before it is fetched is the watch's to tell of", async () => {
  const { clock, expire, hold, kube, put, remove, seen, value } = await world(60);
  const { release } = hold("questions");
  await expire(() => put("s130", "Mg=="));
  await remove("s130");
  await release();
  await clock.advance(0);

  expect([value("s130"), seen, kube.count("listVersions")]).toEqual([undefined, ["removed s130"], 2]);
});

test("a list is not over before what differs is there", async () => {
  const { clock, expire, hold, informer, put, seen } = await world(60);
  const { release } = hold("answers");
  let version = "";
  await expire(async () => {
    version = (await put("s130", "Mg==")).metadata.resourceVersion ?? "";
  });
  await clock.advance(1000);
  expect([informer.hasSeen("mail", version), seen]).toEqual([false, []]);
  await release();

  expect([informer.hasSeen("mail", version), seen]).toEqual([true, ["changed s130"]]);
});

test("what was asked for a list that failed is not told to those after it", async () => {
  const { clock, expire, hold, kube, put, value } = await world(60);
  const { only, release } = hold("answers");
  const pages = hold("pages");
  kube.fail("listVersions", expired(), { times: 1, skip: 1 });
  await expire(() => put("s100", "Mg=="));
  // The first page differed, and the second has expired.
  only();
  await pages.release();
  expect([kube.count("listVersions"), value("s100")]).toEqual([4, "Mg=="]);
  await put("s100", "Mw==");
  await clock.advance(0);
  await release();

  expect(value("s100")).toBe("Mw==");
});

test("what the watch has told of already is not fetched", async () => {
  const { clock, expire, fetched, hold, put, value } = await world(60);
  const { release } = hold("pages");
  await expire(() => put("s130", "Mg=="));
  await put("s130", "Mw==");
  await clock.advance(0);
  await release();

  expect([fetched(), value("s130")]).toEqual([[], "Mw=="]);
});

test("versions that expire among their pages are asked for anew, at once", async () => {
  const { expire, fetched, kube, put, remove, value } = await world(60);
  kube.fail("listVersions", expired(), { times: 1, skip: 1 });
  await expire(async () => {
    await put("s130", "Mg==");
    await remove("s140");
  });

  expect([kube.count("listVersions"), fetched()]).toEqual([4, ["s130"]]);
  expect([value("s130"), value("s140")]).toEqual(["Mg==", undefined]);
});

test("a fetch that is refused begins the list anew, and is not given up", async () => {
  const { clock, expire, kube, put, value } = await world(60);
  kube.fail("list", new KubeError("TooManyRequests", 429, "slow down"), { times: 2 });
  await expire(() => put("s130", "Mg=="));
  expect(value("s130")).toBe("MQ==");
  await clock.advance(20_000);

  expect(value("s130")).toBe("Mg==");
});

test("it is a rush from before its first page to its last answer, also when it fails", async () => {
  const { clock, cluster, expire, hold, kube, put, turns } = await world(60);
  const first = hold("lists");
  kube.cutWatches(expired());
  await put("s130", "Mg==");
  cluster.compact();
  await clock.advance(0);
  expect(turns.rush).toBe(true);
  const { release } = hold("answers");
  await first.release();
  expect(turns.rush).toBe(true);
  await release();
  expect(turns.rush).toBe(false);

  await clock.advance(60_000);
  kube.fail("listVersions", new KubeError("Unavailable", 503, "not now"), { times: 1 });
  await expire(() => put("s131"));
  expect([kube.count("listVersions"), turns.rush]).toEqual([3, false]);
});
