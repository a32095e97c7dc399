import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { createMemoryCluster, type MemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { ClusterStore } from "./clusterStore.ts";

let root: string;
beforeEach(() => {
  root = join(mkdtempSync(join(tmpdir(), "cluster-")), "cluster");
});
afterEach(() => rmSync(join(root, ".."), { recursive: true, force: true }));

function start(): MemoryCluster {
  const store = new ClusterStore(root);
  const restored = store.load();
  return createMemoryCluster({
    clock: new FakeClock(),
    random: seededRandom(),
    persist: (write) => store.persist(write),
    ...(restored === undefined ? {} : { restored }),
  });
}

const secrets = { apiVersion: "v1", kind: "Secret", plural: "secrets" };
const pods = { apiVersion: "v1", kind: "Pod", plural: "pods" };
const secret = (name: string, password: string) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "default" },
  data: { password: Buffer.from(password).toString("base64") },
});

test("what was written is there after a start, as it was, and goes on", async () => {
  const first = start();
  const before = await first.apply(secret("mail-app", "one"), "relay-controller");
  await first.apply(secret("gone", "x"), "relay-controller");
  await first.delete(secrets, { namespace: "default", name: "gone" });

  const second = start();
  expect((await second.list(secrets)).items).toEqual([before]);

  const after = await second.apply(secret("mail-app", "two"), "relay-controller");
  expect(after.metadata.uid).toBe(before.metadata.uid);
  expect(Number(after.metadata.resourceVersion)).toBeGreaterThan(Number(before.metadata.resourceVersion) + 2);
});

test("fields stay with the manager that set them, across a start", async () => {
  const first = start();
  await first.apply(secret("s", "one"), "a");
  await first.apply({ ...secret("s", "one"), data: { other: "eA==" } }, "b");

  const second = start();
  await second.apply({ ...secret("s", "one"), data: {} }, "a");
  expect((await second.get(secrets, { namespace: "default", name: "s" }))?.["data"]).toEqual({
    other: "eA==",
  });
});

test("pods are not kept: their processes are gone", async () => {
  await start().apply(
    { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "default" }, spec: {} },
    "k",
  );

  expect((await start().list(pods)).items).toEqual([]);
});

test("only the owner can read what holds secrets", async () => {
  await start().apply(secret("mail-app", "one"), "k");

  expect(statSync(join(root, "Secret", "mail-app.json")).mode & 0o777).toBe(0o600);
  expect(statSync(join(root, "Secret")).mode & 0o777).toBe(0o700);
});

test("a write cut short by a crash leaves the former object and no litter", async () => {
  const before = await start().apply(secret("s", "one"), "k");
  writeFileSync(join(root, "Secret", "s.json.123.tmp"), '{"object": {');

  expect((await start().list(secrets)).items).toEqual([before]);
  expect(readdirSync(join(root, "Secret"))).toEqual(["s.json"]);
});

test("a damaged object and a foreign format stop the start by name", async () => {
  await start().apply(secret("s", "one"), "k");
  writeFileSync(join(root, "Secret", "s.json"), "{}");
  expect(() => start()).toThrow(/Cannot read the kept object .*Secret\/s\.json/);

  writeFileSync(join(root, "format"), "9");
  expect(() => start()).toThrow(/it has format "9", this program writes 1/);
});

test("a folder that cannot be written makes the write fail, not vanish", async () => {
  const cluster = start();
  writeFileSync(join(root, "Secret"), "in the way");

  await expect(cluster.apply(secret("s", "one"), "k")).rejects.toThrow('Cannot store v1/Secret "s"');
  expect((await cluster.list(secrets)).items).toEqual([]);
});

test("two long names that begin alike are two files", async () => {
  const cluster = start();
  const long = "a".repeat(240);
  await cluster.apply(secret(`${long}-one`, "one"), "k");
  await cluster.apply(secret(`${long}-two`, "two"), "k");

  expect((await start().list(secrets)).items).toHaveLength(2);
});
