/** Deletion: preconditions, finalizers, new identity. */
import { expect, test } from "vitest";

import { type KubeKit, first, second, secrets } from "./kit.ts";

export function deletionSuite(kit: KubeKit): void {
  const { client, newName, meta, secret, read, refusal, key } = kit;

  test("says whether there was something to delete", async () => {
    const object = newName();
    await client().apply(secret(object), first);

    expect(await client().delete(secrets, key(object))).toBe(true);
    expect(await client().delete(secrets, key(object))).toBe(false);
    expect(await client().get(secrets, key(object))).toBeNull();
  });

  test("what is made again under the name is another object", async () => {
    const object = newName();
    const before = await client().apply(secret(object, { data: { a: "MQ==" } }), first);
    await client().delete(secrets, key(object));

    const after = await client().apply(secret(object), second);

    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    expect(after["data"]).toBeUndefined();
  });

  test("keeps to its preconditions", async () => {
    const object = newName();
    const made = await client().apply(secret(object), first);
    const newer = await client().apply(secret(object, { data: { a: "MQ==" } }), first);

    const otherUid = await refusal(
      client().delete(secrets, key(object), { uid: "00000000-0000-4000-8000-000000000000" }),
    );
    const oldVersion = await refusal(
      client().delete(secrets, key(object), { resourceVersion: made.metadata.resourceVersion ?? "" }),
    );
    expect([otherUid.reason, oldVersion.reason]).toEqual(["Conflict", "Conflict"]);

    const { uid, resourceVersion } = newer.metadata;
    expect(
      await client().delete(secrets, key(object), { uid: uid ?? "", resourceVersion: resourceVersion ?? "" }),
    ).toBe(true);
  });

  test("waits for finalizers, which can only go", async () => {
    const object = newName();
    const hold = (...finalizers: string[]) => secret(object, { metadata: meta(object, { finalizers }) });
    await client().apply(hold("example.com/one"), first);
    await client().apply(hold("example.com/two"), second);

    await client().delete(secrets, key(object));

    const dying = await read(secrets, object);
    expect(dying.metadata.deletionTimestamp).toMatch(/Z$/);
    expect(dying.metadata.finalizers?.toSorted()).toEqual(["example.com/one", "example.com/two"]);
    const added = await refusal(client().apply(hold("example.com/one", "example.com/three"), first));
    expect(added.reason).toBe("Invalid");
    await client().apply(hold(), first);
    expect((await read(secrets, object)).metadata.finalizers).toEqual(["example.com/two"]);
    await client().apply(hold(), second);
    expect(await client().get(secrets, key(object))).toBeNull();
  });
}
