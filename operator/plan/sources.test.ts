import { expect, test } from "vitest";

import { anEnvironment } from "../../test/support/builders.ts";
import { configOf, plan } from "../../test/support/relayWorld.ts";

const sources = (bindSourceAddresses: boolean) =>
  configOf(plan({ environment: anEnvironment({ bindSourceAddresses }) })).pods.flatMap((pod) => pod.sources);

test("where pods bear the pool's addresses, relays connect from them", () => {
  expect(sources(true).map(({ name, address }) => [name, address])).toEqual([
    ["default/a", "192.0.2.10"],
    ["default/b", "192.0.2.11"],
  ]);
});

test("where the network translates addresses, the system chooses, and nothing else differs", () => {
  expect(sources(false)).toEqual(sources(true).map((source) => ({ ...source, address: null })));
});
