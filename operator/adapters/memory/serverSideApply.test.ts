import fc from "fast-check";
import { expect, test } from "vitest";

import type { JsonObject } from "./fieldSet.ts";
import { builtInListTypes, type ListTypes, listTypesOfSchema, metadataListTypes } from "./listTypes.ts";
import { type Applied, serverSideApply } from "./serverSideApply.ts";

const rules: ListTypes = { ...metadataListTypes, ...builtInListTypes["StatefulSet"] };
const nothing: Applied = { object: {}, owners: {} };
const apply = (before: Applied, manager: string, sent: JsonObject): Applied =>
  serverSideApply(before.object, before.owners, sent, manager, rules);
const pod = (spec: JsonObject): JsonObject => ({ spec: { template: { spec } } });
const specOf = (applied: Applied) =>
  (applied.object["spec"] as { template: { spec: JsonObject } }).template.spec;

test("an item of a keyed list loses the fields of who leaves and keeps those of who stays", () => {
  const ours = apply(nothing, "us", pod({ containers: [{ name: "relay", image: "a", tty: true }] }));
  const both = apply(ours, "them", pod({ containers: [{ name: "relay", stdin: true }] }));
  const left = apply(both, "us", pod({ nodeName: "n" }));

  expect(specOf(left)).toEqual({ nodeName: "n", containers: [{ name: "relay", stdin: true }] });
});

test("an item nobody names any more goes, with what the server had put into it", () => {
  const ours = apply(nothing, "us", pod({ containers: [{ name: "relay" }, { name: "side" }] }));
  const [relay, side] = specOf(ours)["containers"] as JsonObject[];
  const defaulted = {
    ...ours,
    object: pod({ containers: [relay ?? {}, { ...side, imagePullPolicy: "Always" }] }),
  };

  expect(specOf(apply(defaulted, "us", pod({ containers: [{ name: "relay" }] })))).toEqual({
    containers: [{ name: "relay" }],
  });
});

test("a key field left out is the one the schema gives by default", () => {
  const ours = apply(
    nothing,
    "us",
    pod({ containers: [{ name: "relay", ports: [{ containerPort: 25, protocol: "TCP" }] }] }),
  );
  const again = apply(
    ours,
    "them",
    pod({ containers: [{ name: "relay", ports: [{ containerPort: 25, name: "smtp" }] }] }),
  );

  expect(specOf(again)["containers"]).toEqual([
    { name: "relay", ports: [{ containerPort: 25, protocol: "TCP", name: "smtp" }] },
  ]);
});

test("items sent keep their order, others stay behind the item they followed", () => {
  const names = (...list: string[]) => pod({ containers: list.map((name) => ({ name })) });
  const theirs = apply(apply(nothing, "us", names("a", "b")), "them", names("x", "a", "y"));
  const order = (applied: Applied) =>
    (specOf(applied)["containers"] as { name: string }[]).map(({ name }) => name);
  expect(order(theirs)).toEqual(["x", "a", "b", "y"]);

  expect(order(apply(theirs, "us", names("b", "a")))).toEqual(["x", "b", "y", "a"]);
});

test("an atomic value is one: whoever sends it replaces all of it, and who had it lets go", () => {
  const ours = apply(nothing, "us", pod({ nodeSelector: { zone: "1", disk: "fast" } }));
  const theirs = apply(ours, "them", pod({ nodeSelector: { zone: "2" } }));

  expect(specOf(theirs)).toEqual({ nodeSelector: { zone: "2" } });
  expect(specOf(apply(theirs, "us", pod({ nodeName: "n" })))).toEqual({
    nodeName: "n",
    nodeSelector: { zone: "2" },
  });
});

test("who sent an empty object owns its frame, not what others put in", () => {
  const volume = (emptyDir: JsonObject) => pod({ volumes: [{ name: "tmp", emptyDir }] });
  const filled = apply(apply(nothing, "us", volume({})), "them", volume({ sizeLimit: "1Gi" }));
  const emptied = apply(filled, "them", pod({ nodeName: "n" }));

  expect(specOf(filled)).toEqual({ volumes: [{ name: "tmp", emptyDir: { sizeLimit: "1Gi" } }] });
  expect(specOf(emptied)).toEqual({ nodeName: "n", volumes: [{ name: "tmp", emptyDir: {} }] });
});

test("a parent goes with its last field", () => {
  const ours = apply(nothing, "us", pod({ securityContext: { runAsUser: 1000 }, nodeName: "n" }));

  expect(specOf(apply(ours, "us", pod({ nodeName: "n" })))).toEqual({ nodeName: "n" });
});

test("list types are read from the marks of a schema", () => {
  const schema = {
    properties: {
      items: {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        items: { properties: { tags: { "x-kubernetes-list-type": "set" } } },
      },
      limits: { "x-kubernetes-list-type": "atomic" },
      selector: { "x-kubernetes-map-type": "atomic" },
    },
  };

  expect(listTypesOfSchema(schema, "spec")).toEqual({
    "spec.items": { kind: "map", keys: ["name"] },
    "spec.items[].tags": { kind: "set" },
    "spec.limits": { kind: "atomic" },
    "spec.selector": { kind: "atomic" },
  });
});

/** Small specs that overlap often. */
const spec = fc.record(
  {
    nodeName: fc.constantFrom("n", "m"),
    securityContext: fc.record({ runAsUser: fc.constantFrom(1, 2) }, { requiredKeys: [] }),
    nodeSelector: fc.dictionary(fc.constantFrom("a", "b"), fc.constantFrom("1", "2")),
    containers: fc.uniqueArray(
      fc.record(
        { name: fc.constantFrom("r", "s", "t"), image: fc.constantFrom("1", "2"), tty: fc.boolean() },
        { requiredKeys: ["name"] },
      ),
      { selector: ({ name }) => name, maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
);

test("whatever was there: what a manager sends is there afterwards, and sending it again changes nothing", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom("us", "them"), spec), { minLength: 1, maxLength: 6 }),
      (steps) => {
        let now = nothing;
        for (const [manager, sent] of steps) {
          now = apply(now, manager, pod(sent));
          const { containers = [], ...rest } = sent;
          expect(specOf(now)).toMatchObject({
            ...rest,
            ...(sent.nodeSelector && { nodeSelector: sent.nodeSelector }),
          });
          for (const container of containers) {
            expect(specOf(now)["containers"]).toContainEqual(expect.objectContaining(container));
          }
          expect(apply(now, manager, pod(sent))).toEqual(now);
        }
      },
    ),
  );
});

test("whatever was there: who sends nothing any more leaves no trace where nobody else speaks", () => {
  fc.assert(
    fc.property(spec, spec, (mine, theirs) => {
      const alone = apply(nothing, "them", pod(theirs));
      const mixed = apply(apply(nothing, "us", pod(mine)), "them", pod(theirs));
      const left = apply(mixed, "us", {});

      expect(specOf(left)).toEqual(specOf(alone));
    }),
  );
});
