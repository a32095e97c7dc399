/** Lists by labels and in pages; watches that tell everything since a version, or say they cannot. */
import { expect, test, vi } from "vitest";

import type { WatchEvent } from "../../../operator/adapters/kubeClient.ts";
import { type KubeKit, first, secrets, pools, soon } from "./kit.ts";

export function listAndWatchSuite(kit: KubeKit): void {
  const { client, namespace, newName, meta, secret, pool, address, refusal, events, short, key } = kit;

  const labelled = (object: string, group: string) =>
    secret(object, { metadata: meta(object, { labels: { group } }) });

  test("a list is selected by labels", async () => {
    const [a, b] = [newName(), newName()];
    await client().apply(labelled(a, "chosen"), first);
    await client().apply(labelled(b, "other"), first);

    const found = await client().list(secrets, { namespace: namespace(), labels: { group: "chosen" } });

    expect(found.items.map((item) => item.metadata.name)).toEqual([a]);
    expect(found.items[0]).toMatchObject({ apiVersion: "v1", kind: "Secret" });
  });

  test("pages belong to one moment: what is made meanwhile is not among them", async () => {
    const names = [newName(), newName(), newName(), newName(), newName()];
    for (const object of names) await client().apply(labelled(object, "paged"), first);
    const query = { namespace: namespace(), labels: { group: "paged" }, limit: 2 };
    const pages = [await client().list(secrets, query)];
    await client().apply(labelled(`${newName()}-late`, "paged"), first);
    for (let page = pages[0]; page?.continueToken !== undefined;) {
      page = await client().list(secrets, { ...query, continueToken: page.continueToken });
      pages.push(page);
    }

    expect(pages.map((page) => page.items.length)).toEqual([2, 2, 1]);
    expect(pages.flatMap((page) => page.items.map((item) => item.metadata.name)).toSorted()).toEqual(
      names.toSorted(),
    );
    expect(new Set(pages.map((page) => page.resourceVersion)).size).toBe(1);
  });

  test("a watch from a list's version tells all that happened since, in order", async () => {
    const object = newName();
    const { resourceVersion } = await client().list(secrets, { namespace: namespace() });
    const made = await client().apply(secret(object, { data: { a: "MQ==" } }), first);
    await client().apply(secret(object, { data: { a: "Mg==" } }), first);
    await client().delete(secrets, key(object));

    const seen = await events(secrets, { namespace: namespace(), resourceVersion }, (all) => all.length >= 3);

    expect(short(seen)).toEqual([`ADDED ${object}`, `MODIFIED ${object}`, `DELETED ${object}`]);
    expect(seen.map((event) => (event.type === "BOOKMARK" ? null : event.object.metadata.uid))).toEqual(
      Array.from({ length: 3 }, () => made.metadata.uid),
    );
  });

  test("versions of later events are later, and a watch goes on from any of them", async () => {
    const object = newName();
    const { resourceVersion } = await client().list(secrets, { namespace: namespace() });
    for (const value of ["MQ==", "Mg==", "Mw=="]) {
      await client().apply(secret(object, { data: { a: value } }), first);
    }
    const all = await events(
      secrets,
      { namespace: namespace(), resourceVersion },
      (seen) => seen.length >= 3,
    );
    const versions = all.map((event) =>
      BigInt(event.type === "BOOKMARK" ? "0" : (event.object.metadata.resourceVersion ?? "0")),
    );
    expect(versions).toEqual(versions.toSorted((a, b) => (a < b ? -1 : 1)));

    const rest = await events(
      secrets,
      { namespace: namespace(), resourceVersion: String(versions[1]) },
      (seen) => seen.length >= 1,
    );

    expect(rest).toEqual([all[2]]);
  });

  test("an open watch tells what happens later, until it is aborted", async () => {
    const object = newName();
    const { resourceVersion } = await client().list(secrets, { namespace: namespace() });
    const stop = new AbortController();
    const seen: WatchEvent[] = [];
    const reading = (async () => {
      for await (const event of client().watch(secrets, {
        namespace: namespace(),
        resourceVersion,
        signal: stop.signal,
      })) {
        if (event.type !== "BOOKMARK") seen.push(event);
      }
    })();
    await client().apply(secret(object), first);
    await vi.waitFor(() => expect(short(seen)).toEqual([`ADDED ${object}`]), soon);

    stop.abort();

    await reading;
  });

  test("with a selector, objects appear and vanish as their labels change", async () => {
    const object = newName();
    const { resourceVersion } = await client().list(secrets, { namespace: namespace() });
    await client().apply(labelled(object, "out"), first);
    await client().apply(labelled(object, "in"), first);
    await client().apply(labelled(object, "out"), first);
    await client().apply(labelled(object, "in"), first);

    const seen = await events(
      secrets,
      { namespace: namespace(), labels: { group: "in" }, resourceVersion },
      (all) => all.length >= 3,
    );

    expect(short(seen)).toEqual([`ADDED ${object}`, `DELETED ${object}`, `ADDED ${object}`]);
  });

  test("a watch from a version long gone is Expired", async () => {
    await client().apply(pool(newName(), [address("a")]), first);

    const refused = await refusal(
      events(pools, { namespace: namespace(), resourceVersion: "1" }, () => true),
    );

    expect([refused.reason, refused.code]).toEqual(["Expired", 410]);
  });
}
