/** Garbage collection by owner references. A bare API server has no controllers: then leave this out. */
import { expect, test } from "vitest";

import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import { type KubeKit, first, secrets } from "./kit.ts";

export function ownershipSuite(kit: KubeKit): void {
  const { client, newName, meta, secret, read, key, gone } = kit;

  const owned = (object: string, ...owners: KubeObject[]) =>
    secret(object, {
      metadata: meta(object, {
        ownerReferences: owners.map((owner) => ({
          apiVersion: owner.apiVersion,
          kind: owner.kind,
          name: owner.metadata.name,
          uid: owner.metadata.uid ?? "",
        })),
      }),
    });

  test("takes what the deleted object owned, and what that owned", async () => {
    const [owner, child, grandchild] = [newName(), newName(), newName()];
    const made = await client().apply(secret(owner), first);
    const middle = await client().apply(owned(child, made), first);
    await client().apply(owned(grandchild, middle), first);

    await client().delete(secrets, key(owner));

    expect(await gone(child)).toBe(true);
    expect(await gone(grandchild)).toBe(true);
  });

  test("leaves what another owner still holds", async () => {
    const [one, two, child, witness] = [newName(), newName(), newName(), newName()];
    const [a, b] = [await client().apply(secret(one), first), await client().apply(secret(two), first)];
    await client().apply(owned(child, a, b), first);
    await client().apply(owned(witness, a), first);

    await client().delete(secrets, key(one));

    expect(await gone(witness)).toBe(true);
    expect((await read(secrets, child)).metadata.deletionTimestamp).toBeUndefined();
  });

  test("takes what names an owner that never was", async () => {
    const [owner, child] = [newName(), newName()];
    const made = await client().apply(secret(owner), first);
    const stranger = {
      ...made,
      metadata: { ...made.metadata, uid: "00000000-0000-4000-8000-000000000000" },
    };

    await client().apply(owned(child, stranger), first);

    expect(await gone(child)).toBe(true);
    expect(await client().get(secrets, key(owner))).not.toBeNull();
  });
}
