/** The status subresource: written alone, by several managers, never bringing back what is gone. */
import { expect, test } from "vitest";

import { type KubeKit, first, second, pools } from "./kit.ts";

export function statusSuite(kit: KubeKit): void {
  const { client, newName, meta, pool, address, status, condition, read, refusal, key } = kit;

  test("is not written by an apply of the object", async () => {
    const object = newName();

    await client().apply(pool(object, [address("a")], { status: { ready: "1/1" } }), first);

    expect((await read(pools, object))["status"]).toBeUndefined();
  });

  test("is written alone, and does not count as a new generation", async () => {
    const object = newName();
    await client().apply(pool(object, [address("a")]), first);

    const written = await client().applyStatus(
      {
        ...status(object, { ready: "1/1" }),
        metadata: meta(object, { labels: { sneaked: "in" } }),
        spec: { addresses: [address("z", 99)] },
      },
      second,
    );

    expect(written["status"]).toEqual({ ready: "1/1" });
    expect(written.metadata.generation).toBe(1);
    expect(written.metadata.labels ?? {}).toEqual({});
    expect(written["spec"]).toMatchObject({ addresses: [address("a")] });
    const spec = await client().apply(pool(object, [address("a", 11)]), first);
    expect(spec["status"]).toEqual({ ready: "1/1" });
  });

  test("the same again changes nothing", async () => {
    const object = newName();
    await client().apply(pool(object, [address("a")]), first);
    const sent = status(object, { conditions: [condition("Ready")] });
    const written = await client().applyStatus(sent, second);

    const again = await client().applyStatus(sent, second);

    expect(again.metadata.resourceVersion).toBe(written.metadata.resourceVersion);
  });

  test("keeps the conditions of each manager", async () => {
    const object = newName();
    await client().apply(pool(object, [address("a")]), first);
    await client().applyStatus(status(object, { conditions: [condition("Ready")] }), first);
    await client().applyStatus(status(object, { conditions: [condition("Audited")] }), second);

    await client().applyStatus(status(object, { conditions: [condition("Ready", "still")] }), first);
    const both = (await read(pools, object))["status"] as { conditions: { type: string }[] };
    expect(both.conditions.map((item) => item.type).toSorted()).toEqual(["Audited", "Ready"]);

    await client().applyStatus(status(object, { ready: "1/1" }), first);
    const one = (await read(pools, object))["status"] as { conditions: { type: string }[] };
    expect(one.conditions.map((item) => item.type)).toEqual(["Audited"]);
  });

  test("of an object that is gone is NotFound, and brings nothing back", async () => {
    const object = newName();

    const refused = await refusal(client().applyStatus(status(object, { ready: "1/1" }), first));

    expect([refused.reason, refused.code]).toEqual(["NotFound", 404]);
    expect(await client().get(pools, key(object))).toBeNull();
  });
}
