import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import type { ClusterSnapshot } from "../adapters/memory/memoryCluster.ts";
import { createMemoryCluster, type MemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { resources } from "../resources.ts";
import { GitOps } from "./gitops.ts";
import { judgeAsServer } from "./localParts.ts";

let root: string;
let cluster: MemoryCluster;
let gitops: GitOps;
let prepare: () => Promise<void>;

function newCluster(restored?: ClusterSnapshot): MemoryCluster {
  return createMemoryCluster({
    clock: new FakeClock(),
    random: seededRandom(),
    admit: judgeAsServer,
    ...(restored === undefined ? {} : { restored }),
  });
}
const path = (name: string) => join(root, "manifests", name);
const edit = (name: string, from: string, to: string) =>
  writeFileSync(path(name), readFileSync(path(name), "utf8").replace(from, to));

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gitops-"));
  cpSync(join(import.meta.dirname, "..", "..", "examples", "quickstart"), join(root, "manifests"), {
    recursive: true,
  });
  cluster = newCluster();
  prepare = async () => {};
  gitops = new GitOps({
    folder: join(root, "manifests"),
    client: cluster,
    trial: () => newCluster(cluster.snapshot()),
    prepare: () => prepare(),
    refusalsFile: join(root, "refusals.txt"),
  });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function replicas(): Promise<unknown> {
  const found = await cluster.get(resources.smtpRelays, { namespace: "default", name: "mail" });
  return (found?.["spec"] as { replicas?: number } | undefined)?.replicas;
}

test("the first apply creates, the same again changes nothing, an edit configures, a removal deletes", async () => {
  expect(await gitops.apply()).toMatchObject({
    changes: [
      { verb: "created", what: "SendingDomain example.test" },
      { verb: "created", what: "IpPool default" },
      { verb: "created", what: "SmtpRelay mail" },
    ],
  });
  expect(await gitops.apply()).toMatchObject({ kind: "applied", changes: [] });

  edit("relay.yaml", "replicas: 2", "replicas: 3");
  rmSync(path("domain.yaml"));
  expect(await gitops.apply()).toMatchObject({
    changes: [
      { verb: "configured", what: "SmtpRelay mail" },
      { verb: "deleted", what: "SendingDomain example.test" },
    ],
  });
  expect(await replicas()).toBe(3);
});

test("one bad file keeps the good ones from being applied too, and the reasons stand in a file until it is good", async () => {
  await gitops.apply();
  edit("relay.yaml", "replicas: 2", "replicas: 3");
  edit("pool.yaml", "ramp: Standard", "ramp: Fast");
  const outcome = await gitops.apply();

  expect(outcome).toEqual({
    kind: "refused",
    lines: [expect.stringMatching(/pool\.yaml:18: spec\.warmup\.ramp: Unsupported value: "Fast"/)],
  });
  expect(await replicas()).toBe(2);
  expect(readFileSync(join(root, "refusals.txt"), "utf8")).toContain("pool.yaml:18");

  edit("pool.yaml", "ramp: Fast", "ramp: Conservative");
  expect(await gitops.apply()).toMatchObject({ kind: "applied" });
  expect(existsSync(join(root, "refusals.txt"))).toBe(false);
  expect(await replicas()).toBe(3);
});

test("what may not change is refused against what is in force", async () => {
  await gitops.apply();
  edit("domain.yaml", "domain: example.test", "domain: other.test");

  expect(await gitops.apply()).toMatchObject({
    kind: "refused",
    lines: [expect.stringMatching(/domain\.yaml:8: spec\.domain: /)],
  });
});

test("what only the API can say is found on the copy, before anything is touched", async () => {
  await gitops.apply();
  edit("relay.yaml", "replicas: 2", "replicas: 3");
  const long = Buffer.alloc(800_000, "x").toString("base64");
  for (const name of ["one", "two"]) {
    writeFileSync(
      path(`${name}.yaml`),
      `apiVersion: v1\nkind: Secret\nmetadata: { name: ${name} }\ndata: { a: ${name === "two" ? long.slice(0, 1_040_000) : "eA=="} }\n`,
    );
  }
  await cluster.apply(
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "one", namespace: "default" },
      type: "kubernetes.io/tls",
      data: { "tls.crt": "eA==", "tls.key": "eA==" },
    },
    "someone",
  );

  const outcome = await gitops.apply();
  expect(outcome).toMatchObject({
    kind: "refused",
    lines: [expect.stringMatching(/one\.yaml:3: .*field is immutable/)],
  });
  expect(await replicas()).toBe(2);
});

test("what cannot be prepared is refused with its words", async () => {
  await gitops.apply();
  edit("relay.yaml", "replicas: 2", "replicas: 3");
  prepare = () => Promise.reject(new Error("Cannot open a port on 127.0.0.1 for clients: EADDRINUSE"));

  expect(await gitops.apply()).toEqual({
    kind: "refused",
    lines: ["Cannot open a port on 127.0.0.1 for clients: EADDRINUSE"],
  });
  expect(await replicas()).toBe(2);
});

test("objects that came from elsewhere are left alone", async () => {
  await cluster.apply(
    { apiVersion: "v1", kind: "Secret", metadata: { name: "mail-app", namespace: "default" }, data: {} },
    "operator",
  );
  await gitops.apply();
  await gitops.apply();

  expect((await cluster.list(resources.secrets)).items).toHaveLength(1);
});
