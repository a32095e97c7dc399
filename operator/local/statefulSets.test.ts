import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { systemClock } from "../../relay/kit/clock.ts";
import { silentLog } from "../../relay/kit/log.ts";
import { systemRandom } from "../../relay/kit/random.ts";
import type { KubeObject } from "../adapters/kubeClient.ts";
import { createMemoryCluster, type MemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { Notes } from "./notes.ts";
import { PodAddresses } from "./podAddresses.ts";
import { adaptSourceAddresses } from "./sourceAddresses.ts";
import { StateFolder } from "./stateFolder.ts";
import { playStatefulSets, type StatefulSets } from "./statefulSets.ts";
import { resources } from "../resources.ts";

/** Stands in for the relay: says on /report what it was started with and what its mount holds now. */
const program = `
import { readFileSync, appendFileSync } from "node:fs";
import { createServer } from "node:http";
const env = process.env;
appendFileSync(env.SMTP_RELAY_SPOOL_DIR + "/starts", env.SMTP_RELAY_POD + "\\n");
const server = createServer((request, response) => {
  if (request.url === "/report") {
    const config = readFileSync(env.SMTP_RELAY_CONFIG_DIR + "/relay.json", "utf8");
    response.end(JSON.stringify({ pod: env.SMTP_RELAY_POD, config, extra: env.EXTRA ?? null }));
  } else response.end("ok");
});
server.listen(8025 + Number(env.SMTP_RELAY_PORT_SHIFT), env.SMTP_RELAY_BIND);
process.on("SIGTERM", () => process.exit(0));
`;

let folder: string;
let cluster: MemoryCluster;
let state: StateFolder;
let sets: StatefulSets;
/** Addresses that are a pool's. */
let reserved: ReadonlySet<string>;
const within = { timeout: 15_000, interval: 25 };
const key = { namespace: "default", name: "mail" };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "sets-"));
  writeFileSync(join(folder, "program.mjs"), program);
  state = new StateFolder(join(folder, "state"));
  cluster = createMemoryCluster({ clock: systemClock, random: systemRandom });
  reserved = new Set();
  sets = await play();
});
afterEach(async () => {
  await sets.stop();
  rmSync(folder, { recursive: true, force: true });
});

function play(range = true): Promise<StatefulSets> {
  return playStatefulSets({
    client: cluster,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    state,
    addresses: new PodAddresses({
      notes: new Notes(state.notes),
      range,
      owner: folder,
      reserved: () => reserved,
    }),
    adaptFile: adaptSourceAddresses(range),
    command: [process.execPath, join(folder, "program.mjs")],
    onChange: () => {},
  });
}

function applySecret(text: string): Promise<KubeObject> {
  const data = { "relay.json": Buffer.from(text).toString("base64") };
  return cluster.apply(
    { apiVersion: "v1", kind: "Secret", metadata: { name: "mail-runtime", namespace: "default" }, data },
    "test",
  );
}

function applySet(replicas: number, env: { name: string; value: string }[] = []): Promise<KubeObject> {
  const labels = { app: "relay" };
  return cluster.apply(
    {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "mail", namespace: "default" },
      spec: {
        replicas,
        serviceName: "mail-pods",
        podManagementPolicy: "Parallel",
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 10,
            containers: [
              {
                name: "relay",
                image: "relay:1",
                ports: [{ name: "submission", containerPort: 18_725 }],
                env: [
                  { name: "SMTP_RELAY_POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
                  { name: "SMTP_RELAY_CONFIG_DIR", value: "/etc/smtp-relay" },
                  { name: "SMTP_RELAY_SPOOL_DIR", value: "/var/spool/smtp-relay" },
                  ...env,
                ],
                volumeMounts: [
                  { name: "config", mountPath: "/etc/smtp-relay" },
                  { name: "spool", mountPath: "/var/spool/smtp-relay" },
                ],
              },
            ],
            volumes: [{ name: "config", secret: { secretName: "mail-runtime" } }],
          },
        },
        volumeClaimTemplates: [{ metadata: { name: "spool" }, spec: { accessModes: ["ReadWriteOnce"] } }],
      },
    },
    "test",
  );
}

async function statusOf(): Promise<Record<string, unknown>> {
  return ((await cluster.get(resources.statefulSets, key))?.["status"] ?? {}) as Record<string, unknown>;
}
const podNames = async () => (await cluster.list(resources.pods)).items.map(({ metadata }) => metadata.name);

/** What the pod's program says of itself. */
function report(pod: string): Promise<{ pod: string; config: string; extra: string | null }> {
  const place = sets.pods().find(({ identity }) => identity.name === pod)?.place;
  return new Promise((resolve, reject) => {
    get(
      { host: place?.ip, port: 8025 + (place?.portShift ?? 0), path: "/report", agent: false },
      (response) => {
        let body = "";
        response.on("data", (chunk) => (body += String(chunk)));
        response.on("end", () => resolve(JSON.parse(body)));
      },
    ).on("error", reject);
  });
}

test("a set becomes processes, each with its own address, mount and volume, and says when they are ready", async () => {
  await applySecret("one");
  await applySet(2);
  await vi.waitFor(
    async () => expect(await statusOf()).toMatchObject({ replicas: 2, readyReplicas: 2 }),
    within,
  );

  expect(await report("mail-0")).toEqual({ pod: "mail-0", config: "one", extra: null });
  expect(new Set(sets.pods().map(({ place }) => place?.ip)).size).toBe(2);
  const [pod] = (await cluster.list(resources.pods)).items;
  expect(pod).toMatchObject({
    metadata: { name: "mail-0", labels: { app: "relay", "apps.kubernetes.io/pod-index": "0" } },
    status: { podIP: sets.pods()[0]?.place?.ip, phase: "Running" },
  });
  expect(JSON.parse(readFileSync(join(state.pod("default", "mail-1"), "admin.json"), "utf8"))).toMatchObject({
    pod: "mail-1",
  });
});

test("pods wait for the Secret they mount, and a change of it reaches them without a restart", async () => {
  await applySet(1);
  await vi.waitFor(
    () => expect(sets.pods()[0]?.reason).toBe("Secret mail-runtime does not exist yet"),
    within,
  );

  await applySecret("one");
  await vi.waitFor(async () => expect((await report("mail-0")).config).toBe("one"), within);
  await applySecret("two");
  await vi.waitFor(async () => expect((await report("mail-0")).config).toBe("two"), within);

  expect(readFileSync(join(state.volume("default", "spool-mail-0"), "starts"), "utf8")).toBe("mail-0\n");
});

test("fewer replicas: the highest leaves, its volume stays and is its own again later", async () => {
  await applySecret("one");
  await applySet(2);
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ readyReplicas: 2 }), within);

  await applySet(1);
  await vi.waitFor(async () => expect(await podNames()).toEqual(["mail-0"]), within);
  await applySet(2);
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ readyReplicas: 2 }), within);

  expect(readFileSync(join(state.volume("default", "spool-mail-1"), "starts"), "utf8")).toBe(
    "mail-1\nmail-1\n",
  );
});

test("a new template replaces the pods one at a time, and none is lost on the way", async () => {
  await applySecret("one");
  await applySet(2);
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ readyReplicas: 2 }), within);
  const fewest: number[] = [];
  await applySet(2, [{ name: "EXTRA", value: "new" }]);
  await vi.waitFor(async () => {
    fewest.push(sets.pods().filter(({ ready }) => ready).length);
    expect(await statusOf()).toMatchObject({ readyReplicas: 2, updatedReplicas: 2, observedGeneration: 2 });
  }, within);

  expect(await report("mail-0")).toMatchObject({ extra: "new" });
  expect(await report("mail-1")).toMatchObject({ extra: "new" });
  expect(Math.min(...fewest)).toBeGreaterThanOrEqual(1);
});

test("a set that is deleted takes its pods along", async () => {
  await applySecret("one");
  await applySet(2);
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ readyReplicas: 2 }), within);

  await cluster.delete(resources.statefulSets, key);
  await vi.waitFor(async () => expect(await podNames()).toEqual([]), within);
  expect(sets.pods()).toEqual([]);
});

test("after a stop and a start the pods are at the same addresses", async () => {
  await applySecret("one");
  await applySet(2);
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ readyReplicas: 2 }), within);
  const before = sets.pods().map(({ place }) => place);

  await sets.stop();
  sets = await play();
  await vi.waitFor(() => expect(sets.pods().filter(({ ready }) => ready)).toHaveLength(2), within);
  expect(sets.pods().map(({ place }) => place)).toEqual(before);
});

test("an address that belongs to a pool is no pod's", async () => {
  await applySecret("one");
  await applySet(1);
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ readyReplicas: 1 }), within);
  reserved = new Set([sets.pods()[0]?.place?.ip.replace(/\d+$/, "2") ?? ""]);
  await applySet(2);
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ readyReplicas: 2 }), within);

  expect(reserved).not.toContain(sets.pods()[1]?.place?.ip);
});

test("where only 127.0.0.1 is up, ports tell the pods apart and sources are exchanged", async () => {
  await sets.stop();
  sets = await play(false);
  await applySecret('{"sources":[{"address": "127.0.0.11"},{"address":"192.0.2.1"}]}');
  await applySet(2);
  await vi.waitFor(async () => expect(await statusOf()).toMatchObject({ readyReplicas: 2 }), within);

  const places = sets.pods().map(({ place }) => place);
  expect(places.map((place) => place?.ip)).toEqual(["127.0.0.1", "127.0.0.1"]);
  expect(new Set(places.map((place) => place?.portShift)).size).toBe(2);
  expect((await report("mail-1")).config).toBe(
    '{"sources":[{"address": "127.0.0.1"},{"address":"192.0.2.1"}]}',
  );
});
