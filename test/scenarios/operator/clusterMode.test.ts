/**
 * The operator as it runs in a cluster, over HTTP: election, readiness, metrics and an orderly stop, against
 * the in-memory cluster behind the fake API server.
 */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { events, leases } from "../../../operator/adapters/cluster/clusterClient.ts";
import { createMemoryCluster, type MemoryCluster } from "../../../operator/adapters/memory/memoryCluster.ts";
import { type ClusterMode, startClusterMode } from "../../../operator/cluster/clusterMode.ts";
import { resources } from "../../../operator/resources.ts";
import { API_VERSION } from "../../../crds/group.ts";
import { systemClock } from "../../../relay/kit/clock.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { systemRandom } from "../../../relay/kit/random.ts";
import { anEnvironment } from "../../support/builders.ts";
import { type FakeApiServer, startFakeApiServer } from "../../support/fakeApiServer.ts";
import { FakeDns, FakeKeys } from "../../support/operatorWorld.ts";
import { seededRandom } from "../../support/seededRandom.ts";

const soon = { timeout: 15_000, interval: 20 };
const relay = {
  apiVersion: API_VERSION,
  kind: "SmtpRelay",
  metadata: { name: "mail", namespace: "default" },
  spec: { hostname: "mail.example.com", replicas: 1, storage: { size: "1Gi" }, poolRef: { name: "default" } },
};

let cluster: MemoryCluster;
let server: FakeApiServer;
let running: ClusterMode[];
beforeEach(async () => {
  cluster = createMemoryCluster({ clock: systemClock, random: seededRandom(1) });
  server = await startFakeApiServer(cluster, [...Object.values(resources), leases, events]);
  running = [];
});
afterEach(async () => {
  await Promise.all(running.map((mode) => mode.stop()));
  await server.close();
});

async function start(identity: string | null): Promise<ClusterMode> {
  const mode = await startClusterMode({
    access: {
      server: server.url,
      credentials: async () => ({ headers: {}, tls: {} }),
      refused: () => {},
    },
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    environment: anEnvironment(),
    reports: { ask: async () => ({ kind: "silent", reason: "there are no pods here" }) },
    dns: new FakeDns(),
    keys: new FakeKeys(),
    namespaces: null,
    lease: identity === null ? null : { namespace: "operators", name: "leader", identity },
    instance: "operator-0",
    status: { host: "127.0.0.1", port: 0 },
  });
  running.push(mode);
  return mode;
}

async function get(mode: ClusterMode, path: string): Promise<{ code: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${mode.statusPort}${path}`);
  return { code: response.status, text: await response.text() };
}

async function holder(): Promise<unknown> {
  const spec = (await cluster.get(leases, { namespace: "operators", name: "leader" }))?.["spec"] ?? {};
  return (spec as { holderIdentity?: string }).holderIdentity;
}

test("a manifest applied to the API server gets a status, and metrics tell of it", async () => {
  const mode = await start(null);
  await vi.waitFor(async () => expect((await get(mode, "/readyz")).code).toBe(200), soon);

  await cluster.apply(relay, "kubectl");

  await vi.waitFor(async () => {
    const found = await cluster.get(resources.smtpRelays, { namespace: "default", name: "mail" });
    expect(found?.["status"]).toMatchObject({
      conditions: expect.arrayContaining([expect.objectContaining({ type: "Ready", status: "False" })]),
    });
  }, soon);
  await vi.waitFor(async () => {
    const [event] = (await cluster.list(events)).items;
    expect(event).toMatchObject({ type: "Warning", regarding: { kind: "SmtpRelay", name: "mail" } });
  }, soon);
  const { text } = await get(mode, "/metrics");
  expect(text).toContain(
    'smtp_relay_operator_troubled_objects{kind="SmtpRelay",object_namespace="default",condition="Stalled",reason="PoolMissing"} 1',
  );
  expect(text).toMatch(/^controller_runtime_reconcile_total\{controller="smtprelay",result="\w+"\} [1-9]/m);
  expect(text).toMatch(/^controller_runtime_reconcile_time_seconds_count\{controller="smtprelay"\} [1-9]/m);
  expect(text).toMatch(/^workqueue_queue_duration_seconds_count\{name="smtprelay"\} [1-9]/m);
  expect(text).toMatch(/^workqueue_depth\{name="ippool"\} 0$/m);
  expect(text).toMatch(/^smtp_relay_operator_cached_objects\{kind="SmtpRelay"\} 1$/m);
  expect(text).toMatch(/^smtp_relay_operator_watch_age_seconds\{kind="Secret"\} [\d.e-]+$/m);
  expect(text).toMatch(/^rest_client_requests_total\{method="PATCH",code="200"\} [1-9]/m);
  expect(text).toMatch(/^leader_election_master_status\{name="smtp-relay-operator"\} 1$/m);
  expect(text).toMatch(/^nodejs_eventloop_lag_seconds /m);
});

test("an object whose spec cannot be read gets a warning among its Events, with field and reason", async () => {
  await start(null);
  await cluster.apply({ ...relay, spec: { ...relay.spec, replicas: "two" } }, "kubectl");

  await vi.waitFor(async () => {
    const told = (await cluster.list(events)).items.find(({ reason }) => reason === "SpecUnreadable");
    expect(told).toMatchObject({
      type: "Warning",
      regarding: { kind: "SmtpRelay", name: "mail" },
      note: 'Cannot use the spec: spec.replicas: Invalid value: "two": must be an integer, not a string. What was in force before stays.',
    });
  }, soon);
});

test("one replica leads, the other stands by ready, and takes over when the first stops", async () => {
  const first = await start("one");
  await vi.waitFor(async () => expect(await holder()).toBe("one"), soon);
  const second = await start("two");
  await vi.waitFor(async () => expect((await get(first, "/readyz")).code).toBe(200), soon);
  expect([first.leading, second.leading]).toEqual([true, false]);
  expect((await get(second, "/readyz")).code).toBe(200);
  expect((await get(second, "/metrics")).text).toMatch(/^leader_election_master_status\{.*\} 0$/m);

  await first.stop();

  await vi.waitFor(() => expect(second.leading).toBe(true), soon);
  expect(await holder()).toBe("two");
});

test("a leader that another one replaces ends, and writes nothing more", async () => {
  const mode = await start("one");
  await vi.waitFor(() => expect(mode.leading).toBe(true), soon);
  await vi.waitFor(async () => expect((await get(mode, "/readyz")).code).toBe(200), soon);

  await cluster.apply(
    {
      apiVersion: leases.apiVersion,
      kind: leases.kind,
      metadata: { namespace: "operators", name: "leader" },
      spec: { holderIdentity: "someone" },
    },
    "kubectl",
  );

  expect(await mode.ended).toBe("leadership was lost");
  expect(await get(mode, "/healthz")).toEqual({ code: 503, text: "leadership was lost\n" });
  const before = server.requests.length;
  await cluster.apply(relay, "kubectl");
  await mode.stop();
  expect(server.requests.slice(before).filter(({ method }) => method === "PATCH")).toEqual([]);
  expect(await holder()).toBe("someone");
});

test("without an API server it starts, is not ready, and does not fall over", async () => {
  server.fault({ kind: "status", status: 503 });
  const mode = await start(null);

  expect(await get(mode, "/readyz")).toEqual({ code: 503, text: "caches are being filled\n" });
  expect((await get(mode, "/healthz")).code).toBe(200);

  server.heal();
  await vi.waitFor(async () => expect((await get(mode, "/readyz")).code).toBe(200), soon);
});

test("a status port that is taken is a refusal to start", async () => {
  const mode = await start(null);
  const options = { host: "127.0.0.1", port: mode.statusPort };

  await expect(
    startClusterMode({
      access: { server: server.url, credentials: async () => ({ headers: {}, tls: {} }), refused: () => {} },
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      environment: anEnvironment(),
      reports: { ask: async () => ({ kind: "silent", reason: "there are no pods here" }) },
      dns: new FakeDns(),
      keys: new FakeKeys(),
      namespaces: null,
      lease: null,
      instance: "operator-0",
      status: options,
    }),
  ).rejects.toThrow(/Cannot open the status server/);
});
