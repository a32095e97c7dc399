import { expect, test } from "vitest";

import type { ApplyObject, KubeObject } from "../adapters/kubeClient.ts";
import { differs, withHash } from "./differs.ts";

const wanted = (spec: object): ApplyObject => ({
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  metadata: { name: "mail", namespace: "default", labels: { app: "mail" } },
  spec,
});
/** The object as the server answers after an apply, with `change` made to it. */
const stored = (sent: ApplyObject, change: (object: KubeObject) => void = () => {}): KubeObject => {
  const object = structuredClone(sent) as unknown as KubeObject;
  Object.assign(object.metadata, { uid: "u", resourceVersion: "7" });
  change(object);
  return object;
};
const containers = (...items: object[]) => ({ template: { spec: { containers: items } } });
const spec = { replicas: 2, ...containers({ name: "relay", image: "a", ports: [{ containerPort: 25 }] }) };

test("what was applied does not differ, also after the server added its defaults", () => {
  const sent = withHash(wanted(spec));
  const live = stored(sent, (object) => {
    object.metadata.labels = { ...object.metadata.labels, other: "yes" };
    Object.assign(object["spec"] as object, { podManagementPolicy: "OrderedReady" });
    const [relay] = (object["spec"] as typeof spec).template.spec.containers as {
      ports: object[];
      imagePullPolicy?: string;
    }[];
    if (relay !== undefined) {
      relay.imagePullPolicy = "Always";
      relay.ports = [{ containerPort: 25, protocol: "TCP" }];
    }
  });

  expect(differs(live, sent)).toBe(false);
});

test("a container injected by someone else is theirs", () => {
  const sent = withHash(wanted(containers({ name: "relay", image: "a" })));
  const live = stored(sent, (object) => {
    object["spec"] = containers({ name: "sidecar", image: "s" }, { name: "relay", image: "a" });
  });

  expect(differs(live, sent)).toBe(false);
});

test.each([
  ["is not there", () => null],
  [
    "has another value",
    (sent: ApplyObject) => stored(sent, (object) => void (object["spec"] = { ...spec, replicas: 3 })),
  ],
  ["lost a label", (sent: ApplyObject) => stored(sent, (object) => void (object.metadata.labels = {}))],
  [
    "lost a list item",
    (sent: ApplyObject) => stored(sent, (object) => void (object["spec"] = { ...spec, ...containers() })),
  ],
  [
    "was applied with a field we no longer send",
    () => stored(withHash(wanted({ ...spec, minReadySeconds: 5 }))),
  ],
])("it differs when it %s", (_, live) => {
  const sent = withHash(wanted(spec));

  expect(differs(live(sent), sent)).toBe(true);
});

test("the hash does not depend on the order of fields", () => {
  const one = withHash(wanted({ a: 1, b: { c: 2, d: 3 } }));
  const two = withHash(wanted({ b: { d: 3, c: 2 }, a: 1 }));

  expect(one.metadata.annotations).toEqual(two.metadata.annotations);
});
