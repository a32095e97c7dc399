/**
 * What needs real pods to go wrong, on one node: two minutes in which nothing happens and nothing is written; relays
 * killed and their pods deleted with mail queued; a namespace deleted with everything in it while DNS is away and a
 * relay does not answer; an upgrade of the chart with mail queued. Every message taken is accounted for.
 */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test, vi } from "vitest";

import { API_VERSION } from "../../crds/group.ts";
import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import { type Cluster, provideCluster, startCluster } from "../support/cluster/cluster.ts";
import { type Outside, startOutside } from "../support/cluster/outside.ts";
import {
  type ExampleObject,
  exampleObjects,
  installOperator,
  OPERATOR,
  OPERATOR_NAMESPACE,
  keepPublishing,
} from "../support/cluster/quickstart.ts";
import { notRight } from "../support/cluster/settled.ts";
import { accountOf, startTraffic, type Traffic } from "../support/cluster/traffic.ts";
import { PRODUCT_IMAGE, productImage } from "../support/cluster/productImage.ts";
import { tableOfWrites } from "../support/cluster/writes.ts";

const namespace = "default";
const doomed = "doomed";
const soon = { timeout: 180_000, interval: 250 };
/** A pod that does not stop is given 60 s by its template; garbage is collected after that. */
const late = { timeout: 300_000, interval: 500 };
const CALM_SECONDS = 120;

vi.setConfig({ testTimeout: 600_000 });

let cluster: Cluster;
let outside: Outside;
let traffic: Traffic;
/** What operators said that an upgrade has ended. */
let formerLog = "";
let endPublishing: () => Promise<void> = async () => {};

beforeAll(async () => {
  const provision = await provideCluster((line) => console.log(line), ["helm"]);
  if (provision.kind === "impossible") throw new Error(provision.reason);
  using image = await productImage((line) => console.log(line));
  const audit = { audit: "writes", images: [image.archive] } as const;
  cluster = await startCluster({ ...audit, print: (line) => console.log(line) });
  outside = await startOutside();
  endPublishing = keepPublishing(cluster, outside);
  await installOperator(cluster);
  await kubectl("create", "namespace", doomed);
  for (const manifest of [...manifests(), ...manifests().map(elsewhere)]) {
    await cluster.api.admin.apply(manifest, { fieldManager: "kubectl" });
  }
  for (const where of [namespace, doomed]) await vi.waitFor(async () => await allReady(where), soon);
  traffic = startTraffic({
    account: await accountOf(cluster.api.admin, namespace),
    doors: async () => [{ host: await clientAddress(), port: 587 }],
    outside,
    from: "app@example.test",
    name: "queued",
  });
}, 3_600_000);
afterAll(async () => {
  await endPublishing();
  await outside?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
}, 180_000);
beforeEach(() => {
  onTestFailed(async () => {
    const words = [
      ["get", "smtp,pods,statefulsets,pvc", "-A"],
      ["describe", "smtp", "-A"],
    ];
    for (const each of words) process.stderr.write(await kubectl(...each).catch(String));
    process.stderr.write((await operatorLog().catch(String)).slice(-8000));
  });
});

const kubectl = async (...words: string[]) => await cluster.kubectl(words);

/** The example, with a ramp that a test's mail does not use up, and a queue that tries again soon. */
const manifests = () =>
  exampleObjects(namespace, {
    SmtpRelay: { queue: { retry: { firstDelaySeconds: 10, longestDelaySeconds: 10 } } },
    IpPool: { warmup: { ramp: "Custom", dailyLimits: [100_000] } },
  });

/** The same for another owner. */
function elsewhere(manifest: ExampleObject): ExampleObject {
  const text = JSON.stringify({ ...manifest, metadata: { ...manifest.metadata, namespace: doomed } });
  return JSON.parse(
    text.replaceAll("example.test", "doomed.test").replaceAll("192.0.2.1", "198.51.100.1"),
  ) as ExampleObject;
}

const objects = async (where: string): Promise<[string, KubeObject | null][]> =>
  await Promise.all(
    manifests()
      .map((manifest) => (where === doomed ? elsewhere(manifest) : manifest))
      .map(async ({ kind, metadata }): Promise<[string, KubeObject | null]> => [
        kind,
        await cluster.api.admin.get(API_VERSION, kind, metadata.name, where),
      ]),
  );

async function allReady(where = namespace): Promise<void> {
  for (const [kind, object] of await objects(where)) {
    const wrong = notRight(kind, object);
    if (wrong !== null) throw new Error(wrong);
  }
}

async function clientAddress(): Promise<string> {
  const service = await cluster.api.admin.get("v1", "Service", "mail", namespace);
  return ((service?.["spec"] ?? {}) as { clusterIP?: string }).clusterIP ?? "";
}

const operatorLog = async () =>
  await kubectl("logs", "-n", OPERATOR_NAMESPACE, `deployment/${OPERATOR}`, "--tail=-1");

/** Of the operator, summed over labels. */
async function operatorMetric(name: string): Promise<number> {
  const pod = await kubectl(
    ...["get", "pods", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/component=operator"],
    ...["-o", "jsonpath={.items[0].metadata.name}"],
  );
  const path = `/api/v1/namespaces/${OPERATOR_NAMESPACE}/pods/${pod}:8080/proxy/metrics`;
  const lines = (await kubectl("get", "--raw", path)).matchAll(new RegExp(`^${name}\\{.*\\} (\\S+)$`, "gm"));
  return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
}

async function renewedAt(): Promise<number> {
  const lease = await cluster.api.admin.get("coordination.k8s.io/v1", "Lease", OPERATOR, OPERATOR_NAMESPACE);
  return Date.parse(((lease?.["spec"] ?? {}) as { renewTime?: string }).renewTime ?? "");
}

async function patchRelay(spec: object): Promise<void> {
  await kubectl("patch", "smtprelay/mail", "--type=merge", "-p", JSON.stringify({ spec }));
  await vi.waitFor(async () => await allReady(), soon);
}

/** This much mail waits in the queues of the relay, whose delivery is paused. */
async function queue(messages: number): Promise<void> {
  await patchRelay({ paused: true });
  for (let sent = 0; sent < messages; sent++) await traffic.send();
}

async function allArrived(): Promise<void> {
  await vi.waitFor(() => {
    const missing = traffic.missing();
    if (missing.length > 0)
      throw new Error(`${missing.length} are missing: ${missing.slice(0, 5).join(", ")}`);
  }, late);
}

interface PodFacts {
  readonly name: string;
  readonly uid: string;
  readonly ready: boolean;
  readonly restarts: number;
  readonly image: string;
}

async function pods(): Promise<PodFacts[]> {
  const found = (await cluster.api.admin.list("v1", "Pod", namespace)) as readonly (KubeObject & {
    readonly spec: { containers: { image: string }[] };
    readonly status?: {
      conditions?: { type: string; status: string }[];
      containerStatuses?: { restartCount: number }[];
    };
  })[];
  return found.map(({ metadata, spec, status }) => ({
    name: metadata.name,
    uid: metadata.uid ?? "",
    ready: status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false,
    restarts: status?.containerStatuses?.[0]?.restartCount ?? 0,
    image: spec.containers[0]?.image ?? "",
  }));
}

async function volumes(): Promise<string> {
  return await kubectl(
    "get",
    "pvc",
    "-o",
    'jsonpath={range .items[*]}{.metadata.name} {.spec.volumeName}{"\\n"}{end}',
  );
}

const doubledSoFar = () => [...traffic.doubled().values()].reduce((sum, count) => sum + count - 1, 0);

/** Kills, or has killed, both relays once deliveries run. How many could be in flight then. */
async function amidDelivery(act: () => Promise<void>): Promise<number> {
  const before = outside.arrivals.length;
  await kubectl("patch", "smtprelay/mail", "--type=merge", "-p", '{"spec":{"paused":false}}');
  await vi.waitFor(
    () => {
      if (outside.arrivals.length === before) throw new Error("nothing has arrived yet");
    },
    { ...soon, interval: 5 },
  );
  const inFlight = outside.sessions;
  await act();
  return inFlight;
}

test(`once settled, nothing is written for ${CALM_SECONDS} s but leases, while relays are asked for reports`, async () => {
  const user = `system:serviceaccount:${OPERATOR_NAMESPACE}:${OPERATOR}`;
  const ours = () => cluster.api.audited().filter((event) => event.user.username === user);
  const ourWrites = () => ours().filter(({ objectRef }) => objectRef?.resource !== "leases").length;
  const passes = async () => await operatorMetric("controller_runtime_reconcile_total");
  const start = async () => ({
    since: cluster.api.audited().length,
    writes: ourWrites(),
    passes: await passes(),
    renewedAt: await renewedAt(),
  });
  let calm = await start();
  // Figures that belong to readiness follow it by a minute; whoever writes every few minutes is never calm for two.
  await vi.waitFor(
    async () => {
      if (ourWrites() !== calm.writes) calm = await start();
      expect((await renewedAt()) - calm.renewedAt).toBeGreaterThan(CALM_SECONDS * 1000);
    },
    { timeout: 330_000, interval: 500 },
  );
  // Objects with pods are looked at every 15 s.
  expect((await passes()) - calm.passes).toBeGreaterThan(20);

  const lines = cluster.api
    .audited()
    .slice(calm.since)
    .map((event) => {
      const { resource = "", subresource = "", namespace: where = "", name = "" } = event.objectRef ?? {};
      return `${event.user.username}: ${event.verb} ${resource}${subresource && `/${subresource}`} ${where}/${name}`;
    });
  console.log(`writes in ${CALM_SECONDS} s of calm\n${tableOfWrites(lines)}`);
  expect([...new Set(lines.filter((line) => line.startsWith(user)))]).toEqual([
    `${user}: patch leases ${OPERATOR_NAMESPACE}/${OPERATOR}`,
  ]);
  for (const where of [namespace, doomed]) await allReady(where);
});

test("nothing of ours holds a deletion back: no object has a finalizer", async () => {
  const kinds =
    "smtprelays,sendingdomains,ippools,secrets,services,statefulsets,poddisruptionbudgets,networkpolicies";
  const held = await kubectl(
    ...["get", kinds, "-n", doomed, "-o"],
    'jsonpath={range .items[*]}{.kind}/{.metadata.name}{.metadata.finalizers}{"\\n"}{end}',
  );

  expect(held).toContain("SmtpRelay/mail\n");
  expect(held).not.toContain("[");
});

test("a namespace is asked to go while DNS is away and its relays do not answer", async () => {
  for (const name of ["doomed.test", "a.mail.doomed.test", "b.mail.doomed.test", "_dmarc.doomed.test"]) {
    outside.dns.fail(name, "*", "drop");
  }
  const frozen = await cluster.podProcesses(doomed, "mail-0");
  for (const { pid } of frozen) process.kill(pid, "SIGSTOP");
  await kubectl("delete", "namespace", doomed, "--wait=false");

  // It is seen to its end below, while other things happen.
  expect(frozen.length).toBeGreaterThan(0);
});

test("relays killed while they deliver lose nothing, and double at most what was in flight", async () => {
  await queue(60);
  const before = doubledSoFar();
  const restarts = (await pods()).reduce((sum, pod) => sum + pod.restarts, 0);
  const inFlight = await amidDelivery(async () => {
    for (const name of ["mail-0", "mail-1"]) {
      for (const { pid } of await cluster.podProcesses(namespace, name)) process.kill(pid, "SIGKILL");
    }
  });

  await allArrived();
  await vi.waitFor(async () => await allReady(), soon);
  expect((await pods()).reduce((sum, pod) => sum + pod.restarts, 0)).toBe(restarts + 2);
  expect(doubledSoFar() - before).toBeLessThanOrEqual(inFlight);
});

test("pods deleted at once while they deliver come back to their queues and lose nothing", async () => {
  await queue(60);
  const [before, uids, claims] = [doubledSoFar(), (await pods()).map(({ uid }) => uid), await volumes()];
  const inFlight = await amidDelivery(async () => {
    await kubectl("delete", "pod", "mail-0", "mail-1", "--grace-period=0", "--force");
  });

  await allArrived();
  await vi.waitFor(async () => await allReady(), soon);
  expect((await pods()).filter(({ uid }) => uids.includes(uid))).toEqual([]);
  expect(await volumes()).toBe(claims);
  expect(doubledSoFar() - before).toBeLessThanOrEqual(inFlight);
});

test("an upgrade with mail queued rolls relays one by one, keeps their volumes and loses nothing", async () => {
  await queue(40);
  const { repository, tag } = PRODUCT_IMAGE;
  await cluster.nameImage(`${repository}:${tag}`, `${repository}:next`);
  const [before, claims, doubled] = [await pods(), await volumes(), doubledSoFar()];
  formerLog = await operatorLog();
  const flow = traffic.flow(2);
  let fewestReady = before.length;
  await installOperator(cluster, { tag: "next" });
  await vi.waitFor(async () => {
    const now = await pods();
    fewestReady = Math.min(fewestReady, now.filter(({ ready }) => ready).length);
    expect(now.map(({ image, ready }) => `${image} ${ready}`)).toEqual([
      `${repository}:next true`,
      `${repository}:next true`,
    ]);
  }, late);
  await vi.waitFor(async () => await allReady(), soon);
  await flow.stop();

  expect(fewestReady).toBe(1);
  expect(await volumes()).toBe(claims);
  expect(traffic.missing().length).toBeGreaterThanOrEqual(40);
  await patchRelay({ paused: false });
  await allArrived();
  // Stopped in order, none is in flight.
  expect(doubledSoFar()).toBe(doubled);
});

test("the namespace is gone, and the operator has made its peace with that", async () => {
  await vi.waitFor(async () => {
    const found = await cluster.api.admin.get("v1", "Namespace", doomed);
    if (found !== null) throw new Error(JSON.stringify(found["status"]));
  }, late);
  const complaints = `${formerLog}${await operatorLog()}`
    .split("\n")
    .filter((line) => line.includes(`"namespace":"${doomed}"`) && /"level":"(warn|error)"/.test(line));
  console.log(`${complaints.length} complaints about ${doomed}\n${complaints.slice(-3).join("\n")}`);

  expect(complaints.length).toBeLessThan(20);
});
