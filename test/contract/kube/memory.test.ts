/** The in-memory cluster keeps the contract; below, what only it offers or can show without waiting. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import {
  type ClusterWrite,
  createMemoryCluster,
  type MemoryCluster,
} from "../../../operator/adapters/memory/memoryCluster.ts";
import { KubeError, type WatchEvent } from "../../../operator/adapters/kubeClient.ts";
import { systemClock } from "../../../relay/kit/clock.ts";
import { systemRandom } from "../../../relay/kit/random.ts";
import { FakeClock } from "../../support/fakeClock.ts";
import { seededRandom } from "../../support/seededRandom.ts";
import { secrets } from "./kit.ts";
import { garbageCollectionContract, kubeContract } from "./suite.ts";

describe("the in-memory cluster", () => {
  const fixture = async () => ({
    client: createMemoryCluster({ clock: systemClock, random: systemRandom }),
    namespace: "contract",
  });
  kubeContract(fixture);
  describe("garbage collection", () => {
    garbageCollectionContract(fixture);
  });
});

describe("beyond the contract", () => {
  let stop = new AbortController();
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort());

  const cluster = (options: Partial<Parameters<typeof createMemoryCluster>[0]> = {}): MemoryCluster =>
    createMemoryCluster({ clock: new FakeClock(), random: seededRandom(1), ...options });
  const secret = (name: string, value = "MQ==") => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "mail" },
    data: { a: value },
  });
  const firstEvent = async (
    client: MemoryCluster,
    resourceVersion: string,
  ): Promise<WatchEvent | undefined> => {
    for await (const event of client.watch(secrets, { resourceVersion, signal: stop.signal })) return event;
    return undefined;
  };

  test("an object handed out is the caller's own", async () => {
    const client = cluster();
    const sent = secret("one");
    const made = await client.apply(sent, "test");
    sent.data.a = "changed";
    (made["data"] as Record<string, string>)["a"] = "changed";
    const { items } = await client.list(secrets);
    for (const item of items) (item["data"] as Record<string, string>)["a"] = "changed";

    expect((await client.get(secrets, { namespace: "mail", name: "one" }))?.["data"]).toEqual({ a: "MQ==" });
  });

  test("what the judge finds is refused with 422, and nothing is stored", async () => {
    const client = cluster({
      admit: (object, old) => [`${object.metadata.name}: no (${old === null ? "new" : "old"})`],
    });

    const error = await client.apply(secret("one"), "test").catch((reason: unknown) => reason);

    expect(error).toMatchObject({
      reason: "Invalid",
      code: 422,
      message: 'Secret "one" is invalid: one: no (new)',
    });
    expect((await client.list(secrets)).items).toEqual([]);
  });

  test("a write that cannot be made durable did not happen", async () => {
    let broken = true;
    const writes: ClusterWrite[] = [];
    const client = cluster({
      persist: (write) => {
        if (broken) throw new Error("disk full");
        writes.push(write);
      },
    });

    const error = await client.apply(secret("one"), "test").catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: "Unavailable", code: 500 });
    expect((await client.list(secrets)).items).toEqual([]);

    broken = false;
    await client.apply(secret("one"), "test");
    await client.delete(secrets, { namespace: "mail", name: "one" });
    expect(writes.map((write) => write.type)).toEqual(["put", "remove"]);
  });

  test("a cluster restored from its snapshot knows who owns what, and expires older watches", async () => {
    const before = cluster();
    await before.apply(secret("one"), "first");
    const old = await before.list(secrets);
    await before.apply({ ...secret("one"), data: { a: "MQ==", b: "Mg==" } }, "second");

    const after = cluster({ restored: before.snapshot() });
    await after.apply({ ...secret("one"), data: {} }, "second");

    const found = await after.get(secrets, { namespace: "mail", name: "one" });
    expect(found?.["data"]).toEqual({ a: "MQ==" });
    expect(Number(found?.metadata.resourceVersion)).toBeGreaterThan(before.snapshot().revision);
    await expect(firstEvent(after, old.resourceVersion)).rejects.toMatchObject({ reason: "Expired" });
  });

  test("a quiet watch gets bookmarks that move its version past changes of other kinds", async () => {
    const clock = new FakeClock();
    const client = cluster({ clock });
    const { resourceVersion } = await client.list(secrets);
    const event = firstEvent(client, resourceVersion);
    await client.apply({ ...secret("one"), kind: "ConfigMap" }, "test");

    await clock.advance(60_000);

    expect(await event).toEqual({ type: "BOOKMARK", resourceVersion: String(Number(resourceVersion) + 1) });
  });

  test("a watch and a page older than the history kept are Expired", async () => {
    const client = cluster({ historyLimit: 2 });
    const start = await client.list(secrets);
    for (const name of ["one", "two", "three"]) await client.apply(secret(name), "test");
    const page = await client.list(secrets, { limit: 1 });
    for (const name of ["four", "five", "six"]) await client.apply(secret(name), "test");

    await expect(firstEvent(client, start.resourceVersion)).rejects.toThrow(KubeError);
    const next = { limit: 1, continueToken: page.continueToken ?? "" };
    const expired = { reason: "Expired", code: 410 };
    await expect(client.list(secrets, next)).rejects.toMatchObject(expired);
    await expect(client.listVersions(secrets, next)).rejects.toMatchObject(expired);
  });

  test("a closing server ends watches without an error and leaves no timer behind", async () => {
    const clock = new FakeClock();
    const client = cluster({ clock });
    const ended = firstEvent(client, (await client.list(secrets)).resourceVersion);
    await clock.advance(1000);

    client.closeWatches();

    expect(await ended).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  test("a StatefulSet's volume claims and selector cannot be changed", async () => {
    const client = cluster();
    const set = (size: string) => ({
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "mail", namespace: "mail" },
      spec: { replicas: 1, volumeClaimTemplates: [{ spec: { resources: { requests: { storage: size } } } }] },
    });
    await client.apply(set("1Gi"), "test");

    await expect(client.apply(set("2Gi"), "test")).rejects.toMatchObject({ reason: "Invalid", code: 422 });
  });
});
