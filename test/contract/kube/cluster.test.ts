/**
 * The client for real clusters keeps the contract over HTTP: here against the in-memory cluster behind the
 * fake API server, so that client and contract are tried where no Kubernetes is at hand
 * (test/cluster/kube-contract.test.ts has the real one).
 */
import { afterAll, beforeAll, describe } from "vitest";

import { createClusterClient, type ClusterClient } from "../../../operator/adapters/cluster/clusterClient.ts";
import { createMemoryCluster } from "../../../operator/adapters/memory/memoryCluster.ts";
import { resources } from "../../../operator/resources.ts";
import { systemClock } from "../../../relay/kit/clock.ts";
import { systemRandom } from "../../../relay/kit/random.ts";
import { type FakeApiServer, startFakeApiServer } from "../../support/fakeApiServer.ts";
import { kubeContract } from "./suite.ts";

describe("the client over HTTP", () => {
  let server: FakeApiServer;
  let client: ClusterClient;
  beforeAll(async () => {
    const cluster = createMemoryCluster({ clock: systemClock, random: systemRandom });
    server = await startFakeApiServer(cluster, Object.values(resources));
    const { url } = server;
    client = createClusterClient({
      access: { server: url, credentials: async () => ({ headers: {}, tls: {} }), refused: () => {} },
      clock: systemClock,
      random: systemRandom,
    });
  });
  afterAll(async () => {
    client.close();
    await server.close();
  });
  kubeContract(async () => ({ client, namespace: "contract" }));
});
