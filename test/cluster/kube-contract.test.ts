/**
 * The contract of KubeClient on a real API server, by the client the operator uses in a cluster. Garbage
 * collection is the controller manager's work, which is not here.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { createClusterClient, type ClusterClient } from "../../operator/adapters/cluster/clusterClient.ts";
import { kubeConfigAccess } from "../../operator/adapters/cluster/kubeConfigAccess.ts";
import { resources } from "../../operator/resources.ts";
import { systemClock } from "../../relay/kit/clock.ts";
import { systemRandom } from "../../relay/kit/random.ts";
import { kubeContract } from "../contract/kube/suite.ts";
import { type ApiServer, startApiServer } from "../support/cluster/apiServer.ts";
import { applyCrds } from "../support/cluster/crds.ts";

const namespace = "contract";

let server: ApiServer;
let client: ClusterClient;
beforeAll(async () => {
  server = await startApiServer();
  await applyCrds(server.admin);
  await server.admin.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  const access = await kubeConfigAccess({ file: server.kubeconfigFile("admin") });
  client = createClusterClient({ access, clock: systemClock, random: systemRandom });
}, 180_000);
afterAll(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
});

describe("the client on a real API server", () => {
  kubeContract(async () => ({ client, namespace }));

  test("fields nobody declared are refused, not dropped", async () => {
    const typo = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "typo", namespace },
      dataa: { a: "MQ==" },
    };

    await expect(client.apply(typo, "test")).rejects.toThrow(/dataa/);
    expect(await client.get(resources.secrets, { namespace, name: "typo" })).toBeNull();
  });

  test("who may not is told Forbidden, for calls and for watches", async () => {
    const access = await kubeConfigAccess({ file: server.kubeconfigFile("relay") });
    const relay = createClusterClient({ access, clock: systemClock, random: systemRandom });
    const watch = relay.watch(resources.secrets, {
      resourceVersion: "1",
      signal: new AbortController().signal,
    });

    await expect(relay.list(resources.secrets, { namespace })).rejects.toMatchObject({ reason: "Forbidden" });
    await expect(watch[Symbol.asyncIterator]().next()).rejects.toMatchObject({ reason: "Forbidden" });
    relay.close();
  });
});
