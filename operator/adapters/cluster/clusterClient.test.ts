/** The client over a small API server that misbehaves on order; the contract with a good one is in test/contract. */
import { gzipSync } from "node:zlib";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { FakeClock } from "../../../test/support/fakeClock.ts";
import { type FakeApiServer, startFakeApiServer } from "../../../test/support/fakeApiServer.ts";
import { seededRandom } from "../../../test/support/seededRandom.ts";
import { testAuthority } from "../../../test/support/testCertificate.ts";
import { systemClock } from "../../../relay/kit/clock.ts";
import { KubeError, type WatchEvent } from "../kubeClient.ts";
import { createMemoryCluster, type MemoryCluster } from "../memory/memoryCluster.ts";
import { resources } from "../../resources.ts";
import type { ApiAccess } from "./access.ts";
import { type ClusterClient, createClusterClient } from "./clusterClient.ts";
import type { ApiCall } from "./transport.ts";

const { secrets } = resources;
/** As a real API server (1.36) has it: a PartialObjectMetadataList of nothing, at 30451. */
const EMPTY_LIST = Buffer.from(
  "azhzAAorCg5tZXRhLms4cy5pby92MRIZUGFydGlhbE9iamVjdE1ldGFkYXRhTGlzdBINCgsKABIFMzA0NTEaABoAIgA=",
  "base64",
);
const key = { namespace: "mail", name: "one" };
const secret = (value = "MQ==") => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { ...key },
  data: { a: value },
});
const plain = (server: FakeApiServer): ApiAccess => ({
  server: server.url,
  credentials: async () => ({ headers: {}, tls: {} }),
  refused: () => {},
});

let clock: FakeClock;
let cluster: MemoryCluster;
let server: FakeApiServer;
let client: ClusterClient;
let calls: ApiCall[];
beforeEach(async () => {
  clock = new FakeClock();
  cluster = createMemoryCluster({ clock: systemClock, random: seededRandom(1) });
  server = await startFakeApiServer(cluster, Object.values(resources));
  calls = [];
  client = createClusterClient({
    access: plain(server),
    clock,
    random: seededRandom(2),
    onCall: (call) => calls.push(call),
  });
});
afterEach(async () => {
  client.close();
  await server.close();
});

/** Moves the clock until the promise is settled. */
async function passing<T>(promise: Promise<T>, stepMs = 500): Promise<T> {
  let settled = false;
  const outcome = promise.finally(() => {
    settled = true;
  });
  outcome.catch(() => {});
  await vi.waitFor(
    async () => {
      await clock.advance(stepMs);
      expect(settled).toBe(true);
    },
    { interval: 5, timeout: 10_000 },
  );
  return outcome;
}

async function refusal(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => new Error("the call was not refused"),
    (reason: unknown) => reason,
  );
  if (error instanceof KubeError) return error;
  throw error;
}

describe("versions", () => {
  test("are read from protobuf", async () => {
    server.fault({ kind: "garbage", type: "application/vnd.kubernetes.protobuf", body: EMPTY_LIST });

    expect(await client.listVersions(secrets)).toEqual({
      items: [],
      resourceVersion: "30451",
      bytes: EMPTY_LIST.length,
    });
  });

  test("may come packed, which other answers may not", async () => {
    const type = "application/vnd.kubernetes.protobuf";
    server.fault({ kind: "garbage", type, encoding: "gzip", body: gzipSync(EMPTY_LIST) }, { times: 1 });

    expect(await client.listVersions(secrets)).toMatchObject({ items: [], bytes: EMPTY_LIST.length });
    await client.list(secrets);
    expect(server.requests.map(({ encoding }) => encoding)).toEqual(["gzip", undefined]);
  });

  test("that are cut while packed are asked for again", async () => {
    const body = gzipSync(EMPTY_LIST).subarray(0, 40);
    server.fault({ kind: "garbage", encoding: "gzip", body }, { times: 1 });

    expect(await passing(client.listVersions(secrets))).toMatchObject({ items: [] });
    expect(calls.map(({ retried }) => retried)).toEqual([true, false]);
  });

  test("of a server that knows neither protobuf nor lists of metadata are read from whole objects", async () => {
    const made = await client.apply(secret(), "test");
    const found = await client.listVersions(secrets);

    const { uid, resourceVersion } = made.metadata;
    expect(found.items).toEqual([{ ...key, uid, resourceVersion }]);
    expect(server.requests.at(-1)?.accept).toBe(
      "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, " +
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json",
    );
  });

  test.each([
    ["protobuf that is cut", "application/vnd.kubernetes.protobuf", EMPTY_LIST.subarray(0, 50)],
    ["protobuf that is none", "application/vnd.kubernetes.protobuf", Buffer.from("<html>")],
    ["a page of a proxy", "text/html", Buffer.from("<html>")],
    [
      "an item without a version",
      "application/json",
      '{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}}]}',
    ],
  ])("are not taken from %s", async (_what, type, body) => {
    server.fault({ kind: "garbage", type, body });

    expect(await refusal(client.listVersions(secrets))).toMatchObject({
      reason: "Unknown",
      message: expect.stringContaining("Cannot list secrets in all namespaces: the answer is not a list of"),
    });
  });
});

describe("calls", () => {
  test("share connections", async () => {
    for (let round = 0; round < 20; round += 1) await client.get(secrets, key);

    expect(server.connections).toBe(1);
  });

  test("so many run at a time, the others wait", async () => {
    const few = createClusterClient({
      access: plain(server),
      clock,
      random: seededRandom(1),
      concurrency: 3,
    });
    await Promise.all(Array.from({ length: 30 }, () => few.get(secrets, key)));

    expect(server.connections).toBe(3);
    few.close();
  });

  test("wait as long as the server asks, and try again", async () => {
    server.fault({ kind: "status", status: 429, retryAfterSeconds: 7 }, { times: 2 });
    const made = client.apply(secret(), "test");
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    await clock.advance(6_900);
    expect(server.requests).toHaveLength(1);

    expect((await passing(made)).metadata.uid).toBeDefined();
    expect(calls.map(({ code, retried }) => [code, retried])).toEqual([
      [429, true],
      [429, true],
      [200, false],
    ]);
  });

  test("go to the caller when the server wants more patience than a call has", async () => {
    server.fault({ kind: "status", status: 429, retryAfterSeconds: 3600 });

    expect(await refusal(client.get(secrets, key))).toMatchObject({ reason: "TooManyRequests", code: 429 });
    expect(server.requests).toHaveLength(1);
  });

  test("give up after four attempts at a server in trouble", async () => {
    server.fault({ kind: "status", status: 500, reason: "InternalError" });

    expect(await refusal(passing(client.get(secrets, key)))).toMatchObject({
      reason: "Unavailable",
      code: 500,
      message: "Cannot get Secret mail/one: a fault of 500",
    });
    expect(server.requests).toHaveLength(4);
  });

  test("survive a reset before and after the work is done: an apply twice is an apply", async () => {
    server.fault({ kind: "reset" }, { times: 1 });
    server.fault({ kind: "reset", after: true }, { times: 1 });

    const made = await passing(client.apply(secret(), "test"));

    expect(made.metadata.resourceVersion).toBe((await cluster.get(secrets, key))?.metadata.resourceVersion);
    expect(server.requests).toHaveLength(3);
  });

  test("a delete whose answer was lost is not repeated without a precondition", async () => {
    await client.apply(secret(), "test");
    server.fault({ kind: "reset", after: true }, { times: 1 });

    expect(await refusal(client.delete(secrets, key))).toMatchObject({ reason: "Unavailable", code: 0 });
    expect(server.requests.filter(({ method }) => method === "DELETE")).toHaveLength(1);
  });

  test("a delete whose answer was lost is true when it may be repeated", async () => {
    const made = await client.apply(secret(), "test");
    server.fault({ kind: "reset", after: true }, { times: 1 });

    expect(await passing(client.delete(secrets, key, { uid: made.metadata.uid ?? "" }))).toBe(true);
    expect(await cluster.get(secrets, key)).toBeNull();
  });

  test("end at a deadline when nothing is answered, and say so", async () => {
    server.fault({ kind: "silence" });

    expect(await refusal(passing(client.get(secrets, key), 5_000))).toMatchObject({
      reason: "Unavailable",
      code: 0,
      message: "Cannot get Secret mail/one: no answer within 30 s",
    });
    expect(server.requests).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test("end with the client", async () => {
    server.fault({ kind: "silence" });
    const waiting = refusal(client.get(secrets, key));
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));

    client.close();

    expect((await waiting).reason).toBe("Unavailable");
  });

  test("an answer cut in half is not taken for one", async () => {
    await client.apply(secret(), "test");
    server.fault({ kind: "half" }, { times: 1 });

    expect((await passing(client.get(secrets, key)))?.["data"]).toEqual({ a: "MQ==" });
  });

  test("answers that are no objects are errors, not objects", async () => {
    for (const body of ["<html>", "[]", "null", '{"kind":"Secret"}']) {
      server.heal();
      server.fault({ kind: "garbage", body });
      expect(await refusal(client.get(secrets, key))).toMatchObject({ reason: "Unknown" });
      expect(await refusal(client.list(secrets))).toMatchObject({ reason: "Unknown" });
    }
  });

  test("refusals come as what they are", async () => {
    const reasons: Record<string, string> = {};
    for (const status of [400, 401, 403, 409, 410, 413, 422]) {
      server.heal();
      server.fault({ kind: "status", status });
      reasons[status] = (await refusal(passing(client.get(secrets, key)))).reason;
    }

    expect(reasons).toEqual({
      400: "Invalid",
      401: "Forbidden",
      403: "Forbidden",
      409: "Conflict",
      410: "Expired",
      413: "Invalid",
      422: "Invalid",
    });
  });

  test("a server that is not there is Unavailable", async () => {
    const { url } = server;
    await server.close();
    const lonely = createClusterClient({
      access: { server: url, credentials: async () => ({ headers: {}, tls: {} }), refused: () => {} },
      clock,
      random: seededRandom(1),
    });

    const refused = await refusal(passing(lonely.delete(secrets, key)));

    expect(refused.reason).toBe("Unavailable");
    expect(refused.message).toContain("ECONNREFUSED");
    lonely.close();
    await server.listen();
  });

  test("no name reaches another path", async () => {
    await client.get(secrets, { namespace: "mail", name: "../../nodes?x=y" });
    expect(server.requests.map(({ path }) => path)).toEqual([
      "/api/v1/namespaces/mail/secrets/..%2F..%2Fnodes%3Fx%3Dy",
    ]);

    await expect(client.get(secrets, { namespace: "..", name: "one" })).rejects.toThrow(/is not a name/);
    await expect(client.delete(secrets, { namespace: "mail", name: "" })).rejects.toThrow(/is not a name/);
  });
});

describe("credentials", () => {
  test("are renewed and the call repeated once when the server no longer takes them", async () => {
    let token = "old";
    const strict = await startFakeApiServer(cluster, Object.values(resources), {
      authorize: (header) => header === "Bearer new",
    });
    const renewing = createClusterClient({
      access: {
        server: strict.url,
        credentials: async () => ({ headers: { authorization: `Bearer ${token}` }, tls: {} }),
        refused: () => {
          token = "new";
        },
      },
      clock,
      random: seededRandom(1),
    });

    expect(await passing(renewing.get(secrets, key))).toBeNull();
    expect(strict.requests.map(({ authorization }) => authorization)).toEqual(["Bearer old", "Bearer new"]);
    renewing.close();
    await strict.close();
  });

  test("while there is doubt that we lead nothing is changed, and all can be read", async () => {
    let doubt: string | null = "leadership was not renewed";
    const doubtful = createClusterClient({
      access: plain(server),
      clock,
      random: seededRandom(1),
      barred: () => doubt,
    });
    const made = doubtful.apply(secret(), "test");
    await clock.advance(0);
    await expect(doubtful.get(secrets, key)).resolves.toBeNull();

    doubt = null;
    await passing(made);
    expect(await cluster.get(secrets, key)).not.toBeNull();
    doubt = "leadership was lost";
    expect((await refusal(passing(doubtful.delete(secrets, key)))).message).toContain("leadership was lost");
    expect(await cluster.get(secrets, key)).not.toBeNull();
    doubtful.close();
  });

  test("connections are kept while the authority stays, and opened anew when it changes", async () => {
    const authority = testAuthority();
    const secure = await startFakeApiServer(cluster, Object.values(resources), {
      tls: authority.issue("localhost"),
    });
    let ca = authority.ca;
    const careful = createClusterClient({
      access: {
        server: secure.url,
        credentials: async () => ({ headers: {}, tls: { ca } }),
        refused: () => {},
      },
      clock,
      random: seededRandom(1),
      attempts: 1,
    });
    await careful.get(secrets, key);
    await careful.get(secrets, key);
    expect(secure.connections).toBe(1);

    ca = testAuthority().ca;
    const refused = await refusal(careful.get(secrets, key));
    expect([refused.reason, refused.code]).toEqual(["Unavailable", 0]);

    ca = `${authority.ca}\n${ca}`;
    await careful.get(secrets, key);
    expect(secure.connections).toBe(2);
    careful.close();
    await secure.close();
  });
});

describe("watches", () => {
  let stop: AbortController;
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort());

  /** Reads a watch from now on; the list fills as events come. */
  async function watching() {
    const { resourceVersion } = await client.list(secrets);
    const seen: WatchEvent[] = [];
    const ended = (async () => {
      for await (const event of client.watch(secrets, { resourceVersion, signal: stop.signal }))
        seen.push(event);
    })();
    ended.catch(() => {});
    await vi.waitFor(() => expect(server.watches).toBe(1));
    return { seen, ended };
  }
  const line = (name: string) =>
    `${JSON.stringify({ type: "ADDED", object: { ...secret(), metadata: { name, namespace: "mail", resourceVersion: "5" } } })}\n`;
  const names = (seen: readonly WatchEvent[]) =>
    seen.map((event) => (event.type === "BOOKMARK" ? "BOOKMARK" : event.object.metadata.name));

  test("ask for bookmarks and an end of their own, spread over five minutes", async () => {
    for (let round = 0; round < 5; round += 1) {
      const { resourceVersion } = await client.list(secrets);
      const once = client.watch(secrets, { resourceVersion, signal: stop.signal })[Symbol.asyncIterator]();
      const reading = once.next();
      await vi.waitFor(() => expect(server.watches).toBe(1));
      server.endWatches();
      await reading;
      await vi.waitFor(() => expect(server.watches).toBe(0));
    }

    const asked = server.requests.filter(({ query }) => query["watch"] === "true").map(({ query }) => query);
    expect(asked.every((query) => query["allowWatchBookmarks"] === "true")).toBe(true);
    const ends = asked.map((query) => Number(query["timeoutSeconds"]));
    expect(ends.every((seconds) => seconds >= 300 && seconds <= 600)).toBe(true);
    expect(new Set(ends).size).toBe(5);
  });

  test("tell events and bookmarks however the bytes arrive", async () => {
    const { seen } = await watching();
    const text = `${line("a")}\n${line("b")}{"type":"BOOKMARK","object":{"kind":"Secret","apiVersion":"v1","metadata":{"resourceVersion":"9"}}}\n`;
    for (let from = 0; from < text.length; from += 7) server.sayOnWatches(text.slice(from, from + 7));

    await vi.waitFor(() => expect(names(seen)).toEqual(["a", "b", "BOOKMARK"]));
    expect(seen[2]).toEqual({ type: "BOOKMARK", resourceVersion: "9" });
  });

  test("end without error when the server ends them or the reader does", async () => {
    const first = await watching();
    server.endWatches();
    await first.ended;

    const second = await watching();
    stop.abort();
    await second.ended;
    await vi.waitFor(() => expect(server.watches).toBe(0));
  });

  test("that break in the middle are Unavailable", async () => {
    const { seen, ended } = await watching();
    await cluster.apply(secret(), "other");
    await vi.waitFor(() => expect(names(seen)).toEqual(["one"]));

    server.cutWatches();

    expect(await refusal(ended)).toMatchObject({ reason: "Unavailable", code: 0 });
  });

  test("whose history is gone are Expired, within a stream that began well", async () => {
    const { ended } = await watching();

    server.sayOnWatches(
      '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (9)","reason":"Expired","code":410}}\n',
    );

    expect(await refusal(ended)).toMatchObject({ reason: "Expired", code: 410 });
  });

  test("refused at once say why", async () => {
    server.fault({ kind: "status", status: 403, reason: "Forbidden" }, { watch: true, times: 1 });
    const opened = client.watch(secrets, { resourceVersion: "1", signal: stop.signal });

    expect(await refusal(opened[Symbol.asyncIterator]().next())).toMatchObject({
      reason: "Forbidden",
      code: 403,
    });
  });

  test("that say nonsense are ended, with the nonsense quoted", async () => {
    for (const nonsense of [
      "<html>\n",
      '{"type":"ADDED"}\n',
      "null\n",
      '{"type":"ADDED","object":{"kind":1}}\n',
    ]) {
      stop = new AbortController();
      const { ended } = await watching();
      server.sayOnWatches(nonsense);
      const refused = await refusal(ended);
      expect(refused.reason).toBe("Unknown");
      expect(refused.message).toContain(JSON.stringify(nonsense.trim()));
      await vi.waitFor(() => expect(server.watches).toBe(0));
    }
  });

  test("ignore events of a kind not yet invented", async () => {
    const { seen } = await watching();
    server.sayOnWatches(
      `{"type":"REWOUND","object":{"kind":"Secret","apiVersion":"v1","metadata":{}}}\n${line("a")}`,
    );

    await vi.waitFor(() => expect(names(seen)).toEqual(["a"]));
  });

  test("half a line at the end is a broken stream, not an event", async () => {
    const { seen, ended } = await watching();
    server.sayOnWatches(line("a").slice(0, -10));
    server.endWatches();

    expect(await refusal(ended)).toMatchObject({ reason: "Unavailable" });
    expect(seen).toEqual([]);
  });

  test("that never open end at the deadline of a call", async () => {
    server.fault({ kind: "silence" }, { watch: true });
    const opened = client.watch(secrets, { resourceVersion: "1", signal: stop.signal });

    expect(await refusal(passing(opened[Symbol.asyncIterator]().next(), 5_000))).toMatchObject({
      reason: "Unavailable",
      message: "Cannot watch secrets in all namespaces: no answer within 30 s",
    });
  });

  test("that outlive their time are ended by us", async () => {
    const { ended } = await watching();
    await clock.advance(631_000);

    await ended;
    expect(clock.pending).toBe(0);
  });

  test("leave no connection behind", async () => {
    for (let round = 0; round < 10; round += 1) {
      stop = new AbortController();
      const { ended } = await watching();
      stop.abort();
      await ended;
    }
    client.close();

    await vi.waitFor(() => expect(server.openConnections).toBe(0));
    expect(clock.pending).toBe(0);
  });
});
