import { expect, test } from "vitest";

import { aPod, aPool, aRelay, aSilentPod, aStatefulSet } from "../../test/support/builders.ts";
import { configOf, object, plan, warming } from "../../test/support/relayWorld.ts";
import type { RelayPlan } from "../world.ts";

test("an address says why it does not send", () => {
  const states = (pool: ReturnType<typeof aPool>) =>
    configOf(plan({ pools: [pool], allPools: [pool] })).pods.map(({ sources }) => sources[0]?.stateReason);
  const blocked = { ...warming("a", "192.0.2.10", "mail-0"), state: "Blocked" as const };
  const failed = {
    name: "ForwardConfirmedReverseDns" as const,
    result: "Fail" as const,
    detail: "PTR is missing",
  };

  expect(states(aPool())).toEqual([
    "IpPool default has not been checked yet",
    "IpPool default has not been checked yet",
  ]);
  expect(
    states(
      aPool({
        spec: {
          addresses: [
            { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com" },
            { name: "b", ip: "192.0.2.11", ehloName: "b.mail.example.com", state: "Paused" },
          ],
        },
        status: { addresses: [{ ...blocked, checks: [failed] }, warming("b", "192.0.2.11", "mail-1")] },
      }),
    ),
  ).toEqual(["ForwardConfirmedReverseDns: PTR is missing", "paused in IpPool default"]);
  expect(
    states(
      aPool({
        status: { addresses: [warming("a", "192.0.2.10", "mail-1"), warming("b", "192.0.2.11", "mail-1")] },
      }),
    ),
  ).toEqual(["waits for its part of the day's allowance, which another pod still holds", ""]);
});

test("a pod whose spool was never seen is trusted with nothing it may have forgotten", () => {
  const { shares, ...rest } = warming("a", "192.0.2.10", "mail-0");
  const unseen = shares.map(({ pod, permille }) => ({ pod, permille }));
  const pool = aPool({ status: { addresses: [{ ...rest, shares: unseen }] } });

  expect(configOf(plan({ pools: [pool], allPools: [pool] })).pods[0]?.usageSince).toBe(
    "1970-01-01T00:00:00Z",
  );
});

test("warm addresses have no rows", () => {
  const pool = aPool({
    spec: { warmup: { ramp: "None" } },
    status: { addresses: [{ ...warming("a", "192.0.2.10", "mail-0"), state: "Warm" }] },
  });
  const [first] = configOf(plan({ pools: [pool], allPools: [pool] })).pods;

  expect(first).toEqual({
    name: "mail-0",
    state: "Active",
    sources: [expect.objectContaining({ state: "Active", allowance: [] })],
  });
});

const scaledDown = aRelay({ spec: { replicas: 1 }, status: { replicas: 3 } });

test("on scale-down a pod stays until its report proves it empty under the configuration that drains it", () => {
  const two = [
    aPod("mail-0"),
    aPod("mail-1", { queue: { messages: 12, recipients: 12, oldestSeconds: 5, providers: [] } }),
  ];
  const drains = plan({ relay: scaledDown, poolRelays: [scaledDown], pods: two });
  const published = configOf(drains);
  const states = (made: RelayPlan) => configOf(made).pods.map(({ name, state }) => `${name} ${state}`);
  const again = (mail1: ReturnType<typeof aPod>) =>
    plan({
      relay: scaledDown,
      poolRelays: [scaledDown],
      pods: [aPod("mail-0"), mail1],
      publishedConfig: published,
    });

  expect(states(drains)).toEqual(["mail-0 Active", "mail-1 Draining"]);
  expect(object(drains, "StatefulSet", "mail")?.["spec"]).toMatchObject({ replicas: 2 });
  expect(states(again(aPod("mail-1", { appliedRevision: "1-0000000000000000" })))).toEqual([
    "mail-0 Active",
    "mail-1 Draining",
  ]);
  expect(states(again(aSilentPod("mail-1")))).toEqual(["mail-0 Active", "mail-1 Draining"]);
  const empty = again(aPod("mail-1", { appliedRevision: published.revision }));
  expect(object(empty, "StatefulSet", "mail")?.["spec"]).toMatchObject({ replicas: 1 });
});

test("a pod that was let go is not called back: not by a new revision, not by its silence as it stops", () => {
  const pods = [aPod("mail-0"), aPod("mail-1")];
  const drains = plan({ relay: scaledDown, poolRelays: [scaledDown], pods });
  const published = configOf(drains);
  const next = (mail1: ReturnType<typeof aPod>[], replicas: number) =>
    plan({
      relay: scaledDown,
      poolRelays: [scaledDown],
      pods: [aPod("mail-0"), ...mail1],
      statefulSet: aStatefulSet("mail", replicas),
      publishedConfig: published,
    });
  const replicas = (made: RelayPlan) => object(made, "StatefulSet", "mail")?.["spec"];

  const letGo = next([aPod("mail-1", { appliedRevision: published.revision })], 2);
  expect(replicas(letGo)).toMatchObject({ replicas: 1 });
  // It still exists: the same configuration, hence still proven empty.
  expect(configOf(letGo).revision).toBe(published.revision);

  const stopping = next([aSilentPod("mail-1")], 1);
  expect(replicas(stopping)).toMatchObject({ replicas: 1 });
  const gone = next([], 1);
  expect(configOf(gone).pods.map(({ name }) => name)).toEqual(["mail-0"]);
});

test("a pod above one that still holds mail leaves, a pod below it stays", () => {
  const holds = { queue: { messages: 1, recipients: 1, oldestSeconds: 5, providers: [] } };
  const first = plan({
    relay: scaledDown,
    poolRelays: [scaledDown],
    pods: [aPod("mail-0"), aPod("mail-1"), aPod("mail-2", holds)],
  });
  const revision = configOf(first).revision;
  const pods = [
    aPod("mail-0"),
    aPod("mail-1", { appliedRevision: revision }),
    aPod("mail-2", { ...holds, appliedRevision: revision }),
  ];
  const second = plan({
    relay: scaledDown,
    poolRelays: [scaledDown],
    pods,
    publishedConfig: configOf(first),
  });

  expect(configOf(second).pods.map(({ name }) => name)).toEqual(["mail-0", "mail-1", "mail-2"]);
});
