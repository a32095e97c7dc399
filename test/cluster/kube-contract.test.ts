/**
 * The contract of KubeClient on a real API server, by the client the operator uses in a cluster. Garbage
 * collection is the controller manager's work, which is not here.
 */
import { readFileSync } from "node:fs";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  createClusterClient,
  type ClusterClient,
  events,
  leases,
} from "../../operator/adapters/cluster/clusterClient.ts";
import { LeaderLease } from "../../operator/adapters/cluster/leaderLease.ts";
import { createRecorder } from "../../operator/adapters/cluster/recorder.ts";
import { kubeConfigAccess } from "../../operator/adapters/cluster/kubeConfigAccess.ts";
import { ACCEPT_VERSIONS } from "../../operator/adapters/cluster/answers.ts";
import { apiPath } from "../../operator/adapters/cluster/paths.ts";
import { Transport } from "../../operator/adapters/cluster/transport.ts";
import { resources } from "../../operator/resources.ts";
import { systemClock } from "../../relay/kit/clock.ts";
import { silentLog } from "../../relay/kit/log.ts";
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

    await expect(client.apply(typo, "test")).rejects.toMatchObject({
      reason: "Invalid",
      message: expect.stringContaining("dataa"),
    });
    expect(await client.get(resources.secrets, { namespace, name: "typo" })).toBeNull();
  });

  test("versions come as protobuf, of custom kinds and built-in ones", async () => {
    const access = await kubeConfigAccess({ file: server.kubeconfigFile("admin") });
    const transport = new Transport({ access, clock: systemClock, random: systemRandom });
    for (const type of [resources.sendingDomains, resources.secrets]) {
      const answer = await transport.call({
        method: "GET",
        path: apiPath({ type }),
        accept: ACCEPT_VERSIONS,
        repeatable: true,
        purpose: "look",
      });

      expect(answer).toMatchObject({ value: expect.any(Uint8Array) });
    }
    transport.close();
  });

  test("of two candidates for a Lease one leads, and hands it over when it stops", async () => {
    const stop = new AbortController();
    const candidate = (identity: string) =>
      new LeaderLease({
        client,
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
        namespace,
        name: "leader",
        identity,
        leaseDurationSeconds: 3,
        renewDeadlineSeconds: 2,
        retrySeconds: 0.2,
      });
    const candidates = { one: candidate("one"), two: candidate("two") };
    const waiting = Object.values(candidates).map((each) => each.acquire(stop.signal));

    const leaders = () => Object.values(candidates).filter(({ leading }) => leading).length;

    const first = await Promise.race(waiting);
    expect(leaders()).toBe(1);
    await first?.release();
    expect(leaders()).toBe(0);
    await Promise.all(waiting);

    expect(leaders()).toBe(1);
    const lease = await client.get(leases, { namespace, name: "leader" });
    expect(lease?.["spec"]).toMatchObject({
      holderIdentity: candidates.one.leading ? "one" : "two",
      leaseTransitions: 2,
    });
    stop.abort();
  });

  test("an Event is taken, and its repeat becomes a series", async () => {
    const regarding = await client.apply(
      { apiVersion: "v1", kind: "Secret", metadata: { name: "told-of", namespace } },
      "test",
    );
    const recorder = createRecorder({ client, clock: systemClock, log: silentLog, instance: "operator-0" });
    const fact = { regarding, type: "Warning", reason: "Lost", action: "Look", note: "it is gone" } as const;

    for (let sighting = 0; sighting < 3; sighting += 1) recorder.record(fact);
    await recorder.settled();

    const { items } = await client.list(events, { namespace });
    expect(items.filter(({ reason }) => reason === "Lost")).toMatchObject([{ series: { count: 2 } }]);
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

  test("a token older than the history that etcd keeps is Expired, of versions too", async () => {
    const { resourceVersion } = await client.list(resources.secrets, { namespace });
    const compacted = await fetch(`${etcdUrl(server)}/v3/kv/compaction`, {
      method: "POST",
      body: JSON.stringify({ revision: resourceVersion, physical: true }),
    });
    expect(compacted.status).toBe(200);
    // A server that has run all the time may have that moment in memory.
    await server.halt("kube-apiserver");
    await server.resume("kube-apiserver");
    const token = { v: "meta.k8s.io/v1", rv: 1, start: `${namespace}/a\u0000` };
    const page = {
      namespace,
      limit: 1,
      continueToken: Buffer.from(JSON.stringify(token)).toString("base64url"),
    };
    const expired = { reason: "Expired", code: 410 };

    await expect(client.list(resources.secrets, page)).rejects.toMatchObject(expired);
    await expect(client.listVersions(resources.secrets, page)).rejects.toMatchObject(expired);
    await expect(client.listVersions(resources.ipPools, page)).rejects.toMatchObject(expired);
  });
});

/** Where its clients reach etcd, by its own command line. */
function etcdUrl(api: ApiServer): string {
  const words = readFileSync(`/proc/${api.pid("etcd")}/cmdline`, "utf8").split("\0");
  return words.find((word) => word.startsWith("--listen-client-urls="))?.split("=")[1] ?? "";
}
