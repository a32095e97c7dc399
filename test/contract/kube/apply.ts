/** Server-side apply as the operator relies on it: ownership, merging, no-op, generation, refusals. */
import { expect, test } from "vitest";

import { type KubeKit, first, second, secrets, pools } from "./kit.ts";

export function applySuite(kit: KubeKit): void {
  const { client, namespace, newName, meta, secret, pool, address, status, condition, read, refusal, key } =
    kit;

  test("creates what is not there, with uid, resourceVersion and creationTimestamp", async () => {
    const object = newName();
    expect(await client().get(secrets, key(object))).toBeNull();

    const made = await client().apply(secret(object, { data: { a: "MQ==" } }), first);

    expect(made.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(made.metadata.resourceVersion).toMatch(/^[0-9]+$/);
    expect(made.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(await read(secrets, object)).toMatchObject({ data: { a: "MQ==" }, metadata: made.metadata });
  });

  test("the same again changes nothing, not even the resourceVersion", async () => {
    const object = newName();
    const sent = pool(object, [address("a")], { metadata: meta(object, { labels: { team: "mail" } }) });
    const made = await client().apply(sent, first);

    const again = await client().apply(sent, first);

    expect(again.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
    expect(again.metadata.generation).toBe(made.metadata.generation);
  });

  test("removes fields the manager stops sending, and leaves those of others", async () => {
    const object = newName();
    await client().apply(secret(object, { data: { a: "MQ==", b: "Mg==" } }), first);
    await client().apply(secret(object, { data: { c: "Mw==" } }), second);

    await client().apply(secret(object, { data: { a: "MQ==" } }), first);

    expect((await read(secrets, object))["data"]).toEqual({ a: "MQ==", c: "Mw==" });
  });

  test("a field two managers send alike goes when both have stopped", async () => {
    const object = newName();
    const labels = { shared: "yes" };
    await client().apply(secret(object, { metadata: meta(object, { labels }) }), first);
    await client().apply(secret(object, { metadata: meta(object, { labels }) }), second);

    await client().apply(secret(object), first);
    expect((await read(secrets, object)).metadata.labels).toEqual(labels);

    await client().apply(secret(object), second);
    expect((await read(secrets, object)).metadata.labels ?? {}).toEqual({});
  });

  test("takes a field over: whoever had another value no longer owns it", async () => {
    const object = newName();
    await client().apply(secret(object, { data: { a: "MQ==" } }), first);
    await client().apply(secret(object, { data: { a: "Mg==" } }), second);

    await client().apply(secret(object), first);

    expect((await read(secrets, object))["data"]).toEqual({ a: "Mg==" });
  });

  test("merges keyed lists item by item", async () => {
    const object = newName();
    await client().apply(pool(object, [address("a", 10), address("b", 11)]), first);
    await client().apply(pool(object, [{ name: "a", state: "Paused" }, address("c", 12)]), second);
    expect((await read(pools, object))["spec"]).toMatchObject({
      addresses: [
        { ...address("a", 10), state: "Paused" },
        expect.objectContaining({ name: expect.stringMatching(/^[bc]$/) }),
        expect.objectContaining({ name: expect.stringMatching(/^[bc]$/) }),
      ],
    });

    await client().apply(pool(object, [address("a", 10)]), first);

    const left = (await read(pools, object))["spec"] as { addresses: { name: string }[] };
    expect(left.addresses.map((item) => item.name)).toEqual(["a", "c"]);
  });

  test("hands out the fields of custom resources by name, in whatever order they were sent", async () => {
    const object = newName();
    await client().apply(
      pool(object, [{ ip: "192.0.2.10", name: "a", ehloName: "a.mail.example.com" }]),
      first,
    );
    await client().applyStatus(status(object, { ready: "1/1", conditions: [condition("Ready")] }), first);

    const { spec, status: written } = (await read(pools, object)) as unknown as {
      spec: { addresses: object[] };
      status: { conditions: object[] };
    };
    const fields = [spec.addresses[0], written, written.conditions[0]].map((each) => Object.keys(each ?? {}));
    expect(fields).toEqual(fields.map((names) => names.toSorted((a, b) => (a < b ? -1 : 1))));
  });

  test("replaces atomic lists as a whole", async () => {
    const object = newName();
    const ramp = (dailyLimits: number[]) =>
      pool(object, [address("a")], {
        spec: { addresses: [address("a")], warmup: { ramp: "Custom", dailyLimits } },
      });
    await client().apply(ramp([10, 20, 30]), first);

    await client().apply(ramp([40]), second);

    expect((await read(pools, object))["spec"]).toMatchObject({ warmup: { dailyLimits: [40] } });
  });

  test("counts generation for changes of the spec only", async () => {
    const object = newName();
    const made = await client().apply(pool(object, [address("a")]), first);
    expect(made.metadata.generation).toBe(1);

    const labelled = await client().apply(
      pool(object, [address("a")], { metadata: meta(object, { labels: { x: "y" } }) }),
      first,
    );
    expect(labelled.metadata.generation).toBe(1);
    expect(labelled.metadata.resourceVersion).not.toBe(made.metadata.resourceVersion);

    const changed = await client().apply(pool(object, [address("a", 99)]), first);
    expect(changed.metadata.generation).toBe(2);
  });

  test("refuses names, labels and sizes the API server refuses", async () => {
    const badName = await refusal(client().apply(secret("Not_A_Name"), first));
    const object = newName();
    const badLabel = await refusal(
      client().apply(secret(object, { metadata: meta(object, { labels: { a: "b c" } }) }), first),
    );
    const tooLarge = await refusal(
      client().apply(secret(object, { data: { a: Buffer.alloc(1_100_000).toString("base64") } }), first),
    );

    expect([badName.reason, badLabel.reason, tooLarge.reason]).toEqual(["Invalid", "Invalid", "Invalid"]);
    expect(badName.message).toContain("metadata.name");
    expect(await client().get(secrets, key(object))).toBeNull();
  });

  test("a Secret made without a type is Opaque, for good", async () => {
    const object = newName();
    const made = await client().apply(secret(object, { data: { a: "MQ==" } }), first);
    expect(made["type"]).toBe("Opaque");

    const changed = await refusal(client().apply(secret(object, { type: "example.com/other" }), first));
    expect(changed.reason).toBe("Invalid");
  });

  test("an apply that names a version is refused when the object is at another one", async () => {
    const object = newName();
    const made = await client().apply(secret(object), first);
    const at = (resourceVersion: string, value: string) =>
      secret(object, { metadata: meta(object, { resourceVersion }), data: { a: value } });
    const { resourceVersion = "" } = made.metadata;

    const next = await client().apply(at(resourceVersion, "MQ=="), first);
    const late = await refusal(client().apply(at(resourceVersion, "Mg=="), second));
    const absent = newName();
    await client().apply(secret(absent, { metadata: meta(absent, { resourceVersion }) }), first);

    expect([late.reason, late.code]).toEqual(["Conflict", 409]);
    expect(await read(secrets, object)).toMatchObject({
      data: { a: "MQ==" },
      metadata: { resourceVersion: next.metadata.resourceVersion },
    });
    // What is not there is at no version: it is made.
    expect(await client().get(secrets, key(absent))).not.toBeNull();
  });

  test("answers NotFound for a kind it does not serve", async () => {
    const unknown = { apiVersion: "nowhere.example.com/v1", kind: "Thing", plural: "things" };

    expect((await refusal(client().list(unknown, { namespace: namespace() }))).reason).toBe("NotFound");
  });
}
