/**
 * `smtp-relay-operator run` as a program against a real API server, with the quickstart's manifests: every
 * object it plans is taken by the server's own schemas, status says what is missing, nothing more is written
 * once all is said, and it goes in order. It runs with the rights of config/rbac. There is no node here, so no
 * pod ever runs.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test, vi } from "vitest";
import { parse } from "yaml";

import {
  createClusterClient,
  type ClusterClient,
  leases,
} from "../../operator/adapters/cluster/clusterClient.ts";
import { kubeConfigAccess } from "../../operator/adapters/cluster/kubeConfigAccess.ts";
import type { ApplyObject, KubeObject, ResourceType } from "../../operator/adapters/kubeClient.ts";
import { resources } from "../../operator/resources.ts";
import { systemClock } from "../../relay/kit/clock.ts";
import { systemRandom } from "../../relay/kit/random.ts";
import { type ApiServer, startApiServer } from "../support/cluster/apiServer.ts";
import { applyCrds } from "../support/cluster/crds.ts";
import { applyRights, operatorNamespace } from "../support/cluster/rights.ts";
import { freePort, type Program, startProgram } from "../support/peers/program.ts";

const root = join(import.meta.dirname, "../..");
const namespace = "default";
const ours = [
  [resources.smtpRelays, "mail"],
  [resources.sendingDomains, "example.test"],
  [resources.ipPools, "default"],
] as const;
// After a kill the lease must lapse first.
const soon = { timeout: 40_000, interval: 200 };

// Leases lapse in real time.
vi.setConfig({ testTimeout: 120_000 });

let server: ApiServer;
let client: ClusterClient;
let operator: Program;
let port: number;

beforeAll(async () => {
  server = await startApiServer({ audit: "writes" });
  await applyCrds(server.admin);
  await applyRights(server.admin);
  // Rights follow roles after a moment.
  const secrets = "/api/v1/secrets";
  await vi.waitFor(async () => {
    const { code } = await server.as("operator").request("GET", secrets);
    if (code !== 200) throw new Error(`The operator is answered ${code} where it has rights.`);
  }, soon);
  const access = await kubeConfigAccess({ file: server.kubeconfigFile("admin") });
  client = createClusterClient({ access, clock: systemClock, random: systemRandom });
  port = await freePort();
  operator = start(port);
}, 180_000);
afterAll(async () => {
  await operator.stop();
  client.close();
  await server[Symbol.asyncDispose]();
});

function start(metricsPort: number): Program {
  return startProgram(process.execPath, [
    join(root, "operator/main.ts"),
    "run",
    "--kubeconfig",
    server.kubeconfigFile("operator"),
    "--lease-namespace",
    operatorNamespace,
    "--relay-image",
    "registry.example.com/smtp-relay:test",
    "--leader-elect",
    "--metrics-port",
    String(metricsPort),
  ]);
}

async function applyExample(): Promise<void> {
  const folder = join(root, "examples/quickstart");
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".yaml"))) {
    const manifest = parse(readFileSync(join(folder, file), "utf8")) as ApplyObject;
    await client.apply({ ...manifest, metadata: { ...manifest.metadata, namespace } }, "kubectl");
  }
}

beforeEach(() => {
  onTestFailed(() => void process.stderr.write(operator.output()));
});

const LEASE_WRITE = "patch leases smtp-relay-operator";

/** What clients of ours wrote since so many lines of the audit log. */
const written = (since: number): string[] =>
  server
    .audited()
    .slice(since)
    .filter(({ userAgent }) => userAgent === "smtp-relay-operator")
    .map(({ verb, objectRef }) => `${verb} ${objectRef?.resource} ${objectRef?.name}`);

const read = (type: ResourceType, name: string) => client.get(type, { namespace, name });
const statusOf = (object: KubeObject | null) =>
  (object?.["status"] ?? {}) as {
    readonly conditions?: readonly { type: string; status: string; reason: string; message: string }[];
  };

test("it takes the lead, is ready, and says what it waits for", async () => {
  await vi.waitFor(async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
    expect(answer.status).toBe(200);
  }, soon);
  await applyExample();

  await vi.waitFor(async () => {
    for (const [type, name] of ours) {
      const { conditions = [] } = statusOf(await read(type, name));
      expect(conditions.map((one) => one.type)).toContain("Ready");
    }
  }, soon);
  const lease = await client.get(leases, { namespace: operatorNamespace, name: "smtp-relay-operator" });
  expect(lease?.["spec"]).toMatchObject({ leaseTransitions: 1 });
});

test("all it plans is taken by the server's own schemas", async () => {
  await vi.waitFor(async () => {
    const counts = new Map<string, number>();
    for (const type of [resources.statefulSets, resources.services, resources.secrets]) {
      const labels = { "app.kubernetes.io/managed-by": "smtp-relay-operator" };
      counts.set(type.kind, (await client.list(type, { namespace, labels })).items.length);
    }
    // Certificate, credential, configuration and DKIM keys.
    expect(Object.fromEntries(counts)).toEqual({ StatefulSet: 1, Service: 2, Secret: 4 });
  }, soon);

  expect(operator.output()).not.toContain("reconcile failed");
});

test("started again with nothing changed, it writes nothing but its lease", async () => {
  // Until what DNS says (here perhaps nothing) has been written down and has gone round.
  let quiet = 0;
  let last = 0;
  await vi.waitFor(
    () => {
      const { length } = written(0).filter((line) => line !== LEASE_WRITE);
      quiet = length === last ? quiet + 1 : 0;
      last = length;
      expect(quiet).toBeGreaterThan(12);
    },
    { ...soon, interval: 300 },
  );
  operator.child.kill("SIGKILL");
  await operator.stop();
  const before = server.audited().length;
  port = await freePort();
  operator = start(port);

  await vi.waitFor(async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    for (const controller of ["smtprelay", "sendingdomain", "ippool"]) {
      const counted = new RegExp(
        `^controller_runtime_reconcile_total\\{controller="${controller}".*\\} [1-9]`,
        "m",
      );
      expect(metrics).toMatch(counted);
    }
    expect(metrics).toMatch(/^workqueue_depth\{name="smtprelay"\} 0$/m);
  }, soon);

  expect([...new Set(written(before))]).toEqual([LEASE_WRITE]);
});

test("an API server that is away for long ends the leader; the next start takes up where it was", async () => {
  await server.halt("kube-apiserver", "SIGKILL");
  await vi.waitFor(() => expect(operator.child.exitCode).toBe(1), soon);
  expect(operator.output()).toContain("leadership was lost");

  port = await freePort();
  operator = start(port);
  await vi.waitFor(async () => {
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  }, soon);
  await server.resume("kube-apiserver");
  await client.apply(
    { apiVersion: "v1", kind: "Secret", metadata: { name: "unrelated", namespace } },
    "kubectl",
  );

  await vi.waitFor(async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).toMatch(/^controller_runtime_reconcile_total\{controller="smtprelay".*\} [1-9]/m);
  }, soon);
});

test("a pool that asks for no proof any more goes on saying how it is", async () => {
  const pool = await read(resources.ipPools, "default");
  const { apiVersion, kind, spec } = pool as KubeObject & { spec: object };
  const checks = { forwardConfirmedReverseDns: "Skip" };
  await client.apply(
    { apiVersion, kind, metadata: { name: "default", namespace }, spec: { ...spec, checks } },
    "kubectl",
  );

  await vi.waitFor(async () => {
    const after = await read(resources.ipPools, "default");
    const { conditions = [] } = statusOf(after);
    expect(conditions.find(({ type }) => type === "AddressesVerified")?.reason).toBe("ChecksOff");
    expect(statusOf(after)).toMatchObject({ addresses: [{ checks: [] }, { checks: [] }] });
  }, soon);
});

test("it ends in order on SIGTERM, and the lease is free", async () => {
  operator.child.kill("SIGTERM");
  await vi.waitFor(() => expect(operator.child.exitCode).toBe(0), soon);

  const lease = await client.get(leases, { namespace: operatorNamespace, name: "smtp-relay-operator" });
  expect(lease?.["spec"]).toEqual({ leaseTransitions: 3 });
});
