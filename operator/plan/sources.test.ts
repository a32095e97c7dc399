import { expect, test } from "vitest";

import type { IpPoolStatus } from "../../crds/ipPool.ts";
import { anEnvironment, aPool, aRelay } from "../../test/support/builders.ts";
import { configOf, plan, readyPool } from "../../test/support/relayWorld.ts";
import { poolAssignment } from "./sources.ts";

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

test("a pool says itself how its mail comes to leave from its addresses, wherever the operator runs", () => {
  const addresses = (egress: "Bound" | "Translated", bindSourceAddresses: boolean) => {
    const pool = { ...readyPool, spec: { ...readyPool.spec, egress } };
    const made = plan({
      environment: anEnvironment({ bindSourceAddresses }),
      pools: [pool],
      allPools: [pool],
    });
    return configOf(made).pods.flatMap((pod) => pod.sources.map(({ address }) => address));
  };

  expect(addresses("Bound", false)).toEqual(["192.0.2.10", "192.0.2.11"]);
  expect(addresses("Translated", true)).toEqual([null, null]);
});

test("where pods said which addresses they have, relays follow what the pool decided by it", () => {
  const [a, b] = readyPool.status?.addresses ?? [];
  if (a === undefined || b === undefined) throw new Error("the pool has two addresses");
  const swapped = (podAddresses: IpPoolStatus["podAddresses"], egress: "Bound" | "Translated" = "Bound") => {
    const pool = {
      ...readyPool,
      spec: { ...readyPool.spec, egress },
      status: {
        ...readyPool.status,
        addresses: [
          { ...a, pods: ["default/mail-1"] },
          { ...b, pods: ["default/mail-0"] },
        ],
        podAddresses,
      },
    };
    const made = plan({ pools: [pool], allPools: [pool] });
    return configOf(made).pods.map(({ sources: of }) => of.map(({ name }) => name));
  };
  const said = [
    { pod: "default/mail-0", addresses: ["b"] },
    { pod: "default/mail-1", addresses: ["a"] },
  ];

  expect(swapped(said)).toEqual([["default/b"], ["default/a"]]);
  expect(swapped([])).toEqual([["default/a"], ["default/b"]]);
  expect(swapped(said, "Translated")).toEqual([["default/a"], ["default/b"]]);
});

test("a pod is not left with a paused address only while another one sends", () => {
  const addresses = (paused: string[]) => [
    { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com", state: stateOf(paused, "a") },
    { name: "b", ip: "192.0.2.11", ehloName: "b.mail.example.com", state: stateOf(paused, "b") },
  ];
  const stateOf = (paused: string[], name: string) =>
    paused.includes(name) ? ("Paused" as const) : ("Active" as const);
  const parts = (...paused: string[]) => {
    const pool = aPool({ spec: { addresses: addresses(paused) } });
    const relay = aRelay({ spec: { replicas: 2 } });
    return Object.fromEntries(
      [...poolAssignment(pool, { allPools: [pool], poolRelays: [relay] })].map(([address, pods]) => [
        address,
        Object.fromEntries(pods),
      ]),
    );
  };

  expect(parts()).toEqual({ a: { "default/mail-0": 1000 }, b: { "default/mail-1": 1000 } });
  expect(parts("a")).toEqual({
    a: { "default/mail-0": 500, "default/mail-1": 500 },
    b: { "default/mail-0": 500, "default/mail-1": 500 },
  });
  expect(parts("a", "b")).toEqual(parts());
});
