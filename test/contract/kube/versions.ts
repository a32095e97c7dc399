/**
 * A list of versions alone, and what a list anew is made of with it: the same objects as the whole list has, of
 * custom kinds and of built-in ones, pages that both lists go on with, and one object fetched by its name.
 */
import { expect, test } from "vitest";

import type { KubeObject, ObjectVersion, ResourceType } from "../../../operator/adapters/kubeClient.ts";
import { first, type KubeKit, pools, secrets } from "./kit.ts";

export function versionsSuite(kit: KubeKit): void {
  const { client, namespace, newName, meta, secret, pool, address, status, condition, refusal, key, read } =
    kit;

  const labelled = (object: string, group: string) =>
    secret(object, { metadata: meta(object, { labels: { group } }), data: { a: "MQ==" } });
  const versionOf = ({ metadata }: KubeObject) => ({
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
  });
  const versions = async (type: ResourceType, labels?: Record<string, string>) => {
    const found = await client().listVersions(type, {
      namespace: namespace(),
      ...(labels === undefined ? {} : { labels }),
    });
    return new Map(found.items.map((item): [string, ObjectVersion] => [item.name, item]));
  };

  test("they are those of the whole list, of a custom kind", async () => {
    const names = [newName(), newName()];
    for (const object of names) await client().apply(pool(object, [address("a")]), first);
    await client().applyStatus(status(names[0] ?? "", { conditions: [condition("Ready")] }), first);

    const whole = await client().list(pools, { namespace: namespace() });
    const found = await client().listVersions(pools, { namespace: namespace() });

    expect(found.items).toEqual(whole.items.map(versionOf));
    expect(found.items.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    expect(BigInt(found.resourceVersion)).toBeGreaterThanOrEqual(BigInt(whole.resourceVersion));
    expect(found.continueToken).toBeUndefined();
  });

  test("they are those of the whole list, of a built-in kind, in all namespaces", async () => {
    await client().apply(labelled(newName(), "everywhere"), first);
    await client().apply(labelled(newName(), "elsewhere"), first);

    const labels = { group: "everywhere" };
    const whole = await client().list(secrets, { labels });
    const found = await client().listVersions(secrets, { labels });

    expect(found.items).toHaveLength(1);
    expect(found.items).toEqual(whole.items.map(versionOf));
  });

  test("a list of nothing has a version", async () => {
    const found = await client().listVersions(secrets, {
      namespace: namespace(),
      labels: { group: "nothing-has-it" },
    });

    expect(found.items).toEqual([]);
    expect(found.resourceVersion).toMatch(/^[1-9][0-9]*$/);
  });

  test("they tell what changed, what is gone, what is new and what was made anew, since a watch ended", async () => {
    const [kept, changed, gone, anew, made] = [newName(), newName(), newName(), newName(), newName()];
    const labels = { group: "ended" };
    for (const object of [kept, changed, gone, anew]) await client().apply(labelled(object, "ended"), first);
    const before = await versions(secrets, labels);

    await client().apply({ ...labelled(changed, "ended"), data: { a: "Mg==" } }, first);
    await client().delete(secrets, key(gone));
    await client().delete(secrets, key(anew));
    await client().apply(labelled(anew, "ended"), first);
    await client().apply(labelled(made, "ended"), first);

    const after = await versions(secrets, labels);
    expect([...after.keys()].toSorted()).toEqual([kept, changed, anew, made].toSorted());
    expect(after.get(kept)).toEqual(before.get(kept));
    expect(after.get(changed)?.uid).toBe(before.get(changed)?.uid);
    expect(after.get(changed)?.resourceVersion).not.toBe(before.get(changed)?.resourceVersion);
    expect(after.get(anew)?.uid).not.toBe(before.get(anew)?.uid);
  });

  test("pages show one moment, and a token of either list goes on with the other", async () => {
    const names = [newName(), newName(), newName(), newName(), newName()];
    for (const object of names) await client().apply(labelled(object, "turns"), first);
    const query = { namespace: namespace(), labels: { group: "turns" } };
    const one = await client().listVersions(secrets, { ...query, limit: 2 });
    await client().apply({ ...labelled(names[4] ?? "", "turns"), data: { a: "Mg==" } }, first);
    await client().apply(labelled(`${newName()}-late`, "turns"), first);

    const two = await client().list(secrets, { ...query, limit: 2, continueToken: one.continueToken ?? "" });
    const three = await client().listVersions(secrets, { ...query, continueToken: two.continueToken ?? "" });

    const seen = [...one.items, ...two.items.map((item) => item.metadata), ...three.items];
    expect(seen.map(({ name }) => name)).toEqual(names.toSorted());
    expect(new Set([one, two, three].map((page) => page.resourceVersion)).size).toBe(1);
    const now = await read(secrets, names[4] ?? "");
    expect(seen[4]?.resourceVersion).not.toBe(now.metadata.resourceVersion);
  });

  test("a token that is none is refused", async () => {
    const refused = await refusal(
      client().listVersions(secrets, { namespace: namespace(), limit: 1, continueToken: "abc" }),
    );

    expect([refused.reason, refused.code]).toEqual(["Invalid", 400]);
  });

  test("one object is listed by its name, as it is now, and not by another's labels", async () => {
    const [object, other] = [newName(), newName()];
    for (const each of [object, other]) await client().apply(labelled(each, "single"), first);
    const now = await client().apply({ ...labelled(object, "single"), data: { a: "Mg==" } }, first);
    const query = { namespace: namespace(), name: object };

    expect((await client().list(secrets, query)).items.map(versionOf)).toEqual([versionOf(now)]);
    expect((await client().list(secrets, { ...query, labels: { group: "another" } })).items).toEqual([]);
    await client().delete(secrets, key(object));
    expect((await client().list(secrets, query)).items).toEqual([]);
  });

  test("one object of a custom kind is listed by its name", async () => {
    const [object, other] = [newName(), newName()];
    for (const each of [object, other]) await client().apply(pool(each, [address("a")]), first);

    const { items } = await client().list(pools, { namespace: namespace(), name: object });

    expect(items.map((item) => item.metadata.name)).toEqual([object]);
    expect(items[0]).toMatchObject({ kind: "IpPool", spec: { addresses: [address("a")] } });
  });
}
