import { afterEach, expect, test } from "vitest";

import { silentLog } from "../../relay/kit/log.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import { FaultyKube } from "../../test/support/faultyKube.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { type KubeClient, KubeError } from "../adapters/kubeClient.ts";
import { createMemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { Informer } from "./informer.ts";

const secrets = { apiVersion: "v1", kind: "Secret", plural: "secrets" };
const minutes = 60_000;
const opened: Informer<string>[] = [];
afterEach(async () => {
  for (const informer of opened.splice(0)) await informer.stop();
});

/** `gate`: further pages of a list wait for it. */
function world(options: { namespaces?: readonly string[] | null; gate?: () => Promise<void> } = {}) {
  const clock = new FakeClock();
  const cluster = createMemoryCluster({ clock, random: seededRandom(1) });
  const kube = new FaultyKube(cluster);
  const { gate = async () => {} } = options;
  const client: KubeClient = {
    get: (...words) => kube.get(...words),
    list: async (type, page) => {
      if (page?.continueToken !== undefined) await gate();
      return kube.list(type, page);
    },
    listVersions: async (type, page) => {
      if (page?.continueToken !== undefined) await gate();
      return kube.listVersions(type, page);
    },
    watch: (...words) => kube.watch(...words),
    apply: (...words) => kube.apply(...words),
    applyStatus: (...words) => kube.applyStatus(...words),
    delete: (...words) => kube.delete(...words),
  };
  const informer = new Informer<string>({
    client,
    type: secrets,
    namespaces: options.namespaces ?? null,
    clock,
    random: seededRandom(2),
    log: silentLog,
    shape: (object) => String((object["data"] as Record<string, string> | undefined)?.["a"]),
    indexes: { value: ({ value }) => [value] },
  });
  opened.push(informer);
  const seen: string[] = [];
  informer.onChange(({ key, before, after }, first) => {
    const what = before === undefined ? "added" : after === undefined ? "removed" : "changed";
    seen.push(`${first ? "first " : ""}${what} ${key.name}`);
  });
  const put = (name: string, value = "MQ==", namespace = "mail") =>
    cluster.apply(
      { apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, data: { a: value } },
      "test",
    );
  const remove = (name: string) => cluster.delete(secrets, { namespace: "mail", name });
  const names = () =>
    informer.cache
      .keys()
      .map((key) => key.name)
      .toSorted();
  return { clock, cluster, kube, informer, seen, put, remove, names };
}

test("an informer tells the first list as such, then every change in order", async () => {
  const { clock, cluster, informer, seen, put } = world();
  await put("one");
  informer.start();
  await clock.advance(0);
  await informer.synced;
  await put("two");
  await put("one", "Mg==");
  await cluster.delete(secrets, { namespace: "mail", name: "two" });
  await clock.advance(0);

  expect(seen).toEqual(["first added one", "added two", "changed one", "removed two"]);
});

test("a long list is read in pages", async () => {
  const { clock, kube, informer, put } = world();
  for (let index = 0; index < 1201; index++) await put(`s${index}`);
  informer.start();
  await clock.advance(0);

  expect(informer.cache.size).toBe(1201);
  // The first page is small: how large objects are is not known yet.
  expect(kube.count("list")).toBe(4);
});

test("what changes while a long list is read is told at once, and the list does not undo it", async () => {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { clock, cluster, informer, seen, put, names } = world({ gate: () => opened });
  for (let index = 100; index < 300; index++) await put(`s${index}`);
  informer.start();
  await clock.advance(0);
  // Nobody listens before the first page: it is one object.
  expect(names()).toEqual(["s100"]);
  await put("s299", "Mg==");
  await put("s300");
  await cluster.delete(secrets, { namespace: "mail", name: "s298" });
  await cluster.delete(secrets, { namespace: "mail", name: "s100" });
  await clock.advance(0);
  expect(seen.filter((line) => !line.startsWith("first"))).toEqual([
    "added s299",
    "added s300",
    "removed s100",
  ]);
  let synced = false;
  void informer.synced.then(() => (synced = true));
  await clock.advance(0);
  expect([synced, informer.hasSeen("mail", "1")]).toEqual([false, false]);

  open();
  await clock.advance(0);
  expect(synced).toBe(true);
  expect(names()).toHaveLength(199);
  expect(names()).not.toContain("s298");
  expect(informer.cache.get({ namespace: "mail", name: "s299" })?.value).toBe("Mg==");
});

test("what a write was answered is known at once, and is told once", async () => {
  const { clock, informer, seen, put } = world();
  await put("one");
  informer.start();
  await clock.advance(0);
  const second = await put("one", "Mg==");
  const third = await put("one", "Mw==");
  informer.adopt(third);
  informer.adopt(second);
  expect(informer.cache.get({ namespace: "mail", name: "one" })?.value).toBe("Mw==");
  await clock.advance(0);

  // The watch's older news does not take it back.
  expect(informer.cache.get({ namespace: "mail", name: "one" })?.value).toBe("Mw==");
  expect(seen).toEqual(["first added one", "changed one"]);
});

test("an answer that comes after the deletion was told brings nothing back", async () => {
  const { clock, informer, put, remove, names } = world();
  informer.start();
  await clock.advance(0);
  const written = await put("one");
  await remove("one");
  await clock.advance(0);
  informer.adopt(written);

  expect(names()).toEqual([]);
});

test("a deletion told late does not take away what was written since", async () => {
  const { clock, informer, put, remove, names, seen } = world();
  await put("one");
  informer.start();
  await clock.advance(0);
  await remove("one");
  informer.adopt(await put("one"));
  await clock.advance(0);

  expect(names()).toEqual(["one"]);
  expect(seen.filter((line) => line.startsWith("removed")).length).toBe(seen.at(-1) === "added one" ? 1 : 0);
});

test("only what the informer follows is taken in", async () => {
  const { clock, informer, put, names } = world({ namespaces: ["mail"] });
  informer.start();
  informer.adopt(await put("early"));
  expect(names()).toEqual([]);
  await clock.advance(0);
  informer.adopt(await put("one", "MQ==", "elsewhere"));

  expect(names()).toEqual(["early"]);
});

test("a list under way does not undo what was written meanwhile, nor keep what is gone", async () => {
  let open: () => void = () => {};
  let gate = Promise.resolve();
  const { clock, cluster, kube, informer, put, remove, names } = world({ gate: () => gate });
  for (let index = 100; index < 150; index++) await put(`s${index}`);
  informer.start();
  await clock.advance(60_000);
  gate = new Promise((resolve) => (open = resolve));
  kube.cutWatches();
  const goneBefore = await put("s200");
  await remove("s200");
  const changedBefore = await put("s140", "Mg==");
  cluster.compact();
  // The watch is opened anew and refused; the list begins, and stands after its first page.
  await clock.advance(1000);
  expect(kube.count("listVersions")).toBe(1);
  const meanwhile = await put("s300");
  informer.adopt(goneBefore);
  informer.adopt(changedBefore);
  informer.adopt(meanwhile);
  expect(names()).toContain("s300");
  const goneMeanwhile = await put("s301");
  await remove("s301");
  await clock.advance(0);
  informer.adopt(goneMeanwhile);
  open();
  await clock.advance(1000);

  expect(kube.count("listVersions")).toBe(2);
  expect(names()).toHaveLength(51);
  expect(names()).toContain("s300");
  expect(informer.cache.get({ namespace: "mail", name: "s140" })?.value).toBe("Mg==");
});

test("a page older than what was written meanwhile does not take it back, before the watch tells of it either", async () => {
  let open: () => void = () => {};
  let gate = Promise.resolve();
  const { clock, kube, informer, put, names } = world({ gate: () => gate });
  for (let index = 100; index < 150; index++) await put(`s${index}`);
  informer.start();
  await clock.advance(60_000);
  gate = new Promise((resolve) => (open = resolve));
  kube.silence();
  kube.cutWatches(new KubeError("Expired", 410, "too old"));
  await clock.advance(0);
  // After the second page was made, before it is read.
  informer.adopt(await put("s140", "Mg=="));
  open();
  await clock.advance(1000);

  expect([kube.count("listVersions"), names().length]).toEqual([2, 50]);
  expect(informer.cache.get({ namespace: "mail", name: "s140" })?.value).toBe("Mg==");
});

test("an answer that comes between the end of a watch and the first page is not kept against the list", async () => {
  const { clock, cluster, kube, informer, put, remove, names } = world();
  await put("one");
  informer.start();
  await clock.advance(60_000);
  kube.cutWatches();
  const written = await put("two");
  await remove("two");
  cluster.compact();
  informer.adopt(written);
  expect(names()).toEqual(["one", "two"]);
  await clock.advance(1000);

  expect([kube.count("listVersions"), names()]).toEqual([1, ["one"]]);
});

test("a watch that was well is opened again at once, and history that has ended is found out at once", async () => {
  const { clock, cluster, kube, informer, put, names } = world();
  informer.start();
  await clock.advance(60_000);
  kube.cutWatches(new KubeError("Unavailable", 0, "connection reset"));
  await put("one");
  cluster.compact();
  await clock.advance(0);

  expect([kube.count("list"), kube.count("watch"), names()]).toEqual([2, 3, ["one"]]);
});

test("history that has ended is followed by a list at once: nobody listens until it begins", async () => {
  const { clock, kube, informer, put, names } = world();
  informer.start();
  await clock.advance(60_000);
  kube.cutWatches(new KubeError("Expired", 410, "too old"));
  await put("one");
  await clock.advance(0);

  expect([kube.count("list"), names()]).toEqual([2, ["one"]]);
});

test("a list that breaks off is begun anew, and takes nothing away that it did not reach", async () => {
  let broken = false;
  const { clock, cluster, kube, informer, names, put } = world({
    gate: async () => {
      if (broken) throw new KubeError("Unavailable", 503, "connection reset");
    },
  });
  for (let index = 100; index < 300; index++) await put(`s${index}`);
  informer.start();
  await clock.advance(0);
  broken = true;
  kube.cutWatches();
  cluster.compact();
  await cluster.delete(secrets, { namespace: "mail", name: "s299" });
  cluster.compact();
  await clock.advance(20_000);
  expect(names()).toHaveLength(200);

  broken = false;
  await clock.advance(60_000);
  expect(names()).toHaveLength(199);
});

test("indexes follow their objects", async () => {
  const { clock, cluster, informer, put } = world();
  informer.start();
  await clock.advance(0);
  await put("one", "MQ==");
  await put("two", "MQ==");
  await put("two", "Mg==");
  await clock.advance(0);
  expect(informer.cache.by("value", "MQ==").map((cached) => cached.key)).toEqual(["mail/one"]);
  expect(informer.cache.by("value", "Mg==").map((cached) => cached.key)).toEqual(["mail/two"]);

  await cluster.delete(secrets, { namespace: "mail", name: "two" });
  await clock.advance(0);
  expect(informer.cache.by("value", "Mg==")).toEqual([]);
});

test("only the namespaces asked for are followed, each with its own watch", async () => {
  const { clock, kube, informer, put, names } = world({ namespaces: ["mail", "other"] });
  await put("one");
  await put("two", "MQ==", "other");
  await put("three", "MQ==", "elsewhere");
  informer.start();
  await clock.advance(0);
  await put("four", "MQ==", "elsewhere");
  await clock.advance(0);

  expect(names()).toEqual(["one", "two"]);
  expect(kube.count("watch")).toBe(2);
});

test("a watch that is cut goes on where it was, without a new list and without telling twice", async () => {
  const { clock, kube, informer, seen, put } = world();
  informer.start();
  await clock.advance(0);
  await put("one");
  await clock.advance(0);
  kube.cutWatches();
  await put("two");
  await clock.advance(5000);
  kube.cutWatches(new KubeError("Unavailable", 0, "connection reset"));
  await put("three");
  await clock.advance(10_000);

  expect(seen).toEqual(["added one", "added two", "added three"]);
  expect(kube.count("list")).toBe(1);
});

test("changes missed while the version expired are told as changes, deletions too", async () => {
  const { clock, cluster, kube, informer, seen, put } = world();
  await put("kept");
  await put("gone");
  informer.start();
  await clock.advance(0);
  kube.cutWatches();
  await put("new");
  await put("kept", "Mg==");
  await cluster.delete(secrets, { namespace: "mail", name: "gone" });
  cluster.compact();
  await clock.advance(1 * minutes);

  expect(seen.slice(2)).toEqual(["changed kept", "added new", "removed gone"]);
  // Listed in two pages; then versions in two pages, of which two are fetched.
  expect([kube.count("list"), kube.count("listVersions")]).toEqual([4, 2]);
});

test("a storm of 410 is met with growing pauses, not with a hot loop", async () => {
  const { clock, kube, informer } = world();
  kube.fail("watch", new KubeError("Expired", 410, "too old"));
  informer.start();
  await clock.advance(10 * minutes);
  const calls = kube.count("watch");
  expect(calls).toBeGreaterThan(10);
  expect(calls).toBeLessThan(50);

  kube.heal();
  await clock.advance(1 * minutes);
  const healed = kube.count("watch");
  await clock.advance(10 * minutes);
  expect(kube.count("watch")).toBe(healed);
});

test("a server that closes every watch at once is met with growing pauses as well", async () => {
  const { clock, cluster, kube, informer } = world();
  informer.start();
  for (let second = 0; second < 600; second++) {
    cluster.closeWatches();
    await clock.advance(1000);
  }

  expect(kube.count("watch")).toBeLessThan(120);
});

test("a list that fails is tried until it succeeds; until then nothing counts as synced", async () => {
  const { clock, kube, informer, put, names } = world();
  await put("one");
  kube.fail("list", new KubeError("Forbidden", 403, "no"), { times: 4 });
  let synced = false;
  void informer.synced.then(() => (synced = true));
  informer.start();
  await clock.advance(1000);
  expect(synced).toBe(false);

  await clock.advance(1 * minutes);
  expect(synced).toBe(true);
  expect(names()).toEqual(["one"]);
});

test("silence longer than a bookmark takes means to list anew", async () => {
  const { clock, kube, informer, put, names } = world();
  informer.start();
  await clock.advance(0);
  kube.silence();
  kube.cutWatches();
  await clock.advance(1 * minutes);
  await put("unheard");
  await clock.advance(1 * minutes);
  expect(names()).toEqual([]);

  await clock.advance(2 * minutes);
  expect(names()).toEqual(["unheard"]);
});

test("a handler that throws harms neither the cache nor the other handlers", async () => {
  const { clock, informer, put, names } = world();
  const told: string[] = [];
  informer.onChange(() => {
    throw new Error("defect");
  });
  informer.onChange(({ key }) => told.push(key.name));
  informer.start();
  await put("one");
  await clock.advance(0);

  expect([told, names()]).toEqual([["one"], ["one"]]);
});

test("kubectl's copy and managedFields are not kept", async () => {
  const { clock, cluster, informer } = world();
  await cluster.apply(
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: "one",
        namespace: "mail",
        annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}", mine: "yes" },
      },
    },
    "test",
  );
  informer.start();
  await clock.advance(0);

  expect(informer.peek({ namespace: "mail", name: "one" })?.metadata.annotations).toEqual({ mine: "yes" });
});

test("a stopped informer leaves no timer and no watch", async () => {
  const { clock, informer } = world();
  informer.start();
  await clock.advance(1000);
  await informer.stop();
  await clock.advance(0);

  expect(clock.pending).toBe(0);
});
