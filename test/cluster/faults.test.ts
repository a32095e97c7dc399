/**
 * What happens to a cluster at night, on a real API server: it or etcd goes and comes back, watches fall silent, calls
 * are refused in storms, rights are taken away, operators are killed, frozen and deposed. Each time mail flows on,
 * status is right again afterwards, and nothing is written twice. Two operators stand by for each other; relays are
 * processes. The tests build on each other, as nights do; the last one looks at all that was written.
 */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test, vi } from "vitest";

import { leases } from "../../operator/adapters/cluster/clusterClient.ts";
import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import { type RelayConfig, relayConfig } from "../../relay/contract/config.ts";
import { configFiles } from "../../relay/contract/endpoints.ts";
import type { OperatorPod } from "../support/cluster/operatorPod.ts";
import {
  OPERATOR_NAMESPACE,
  operatorRights,
  type ProcessCluster,
  startProcessCluster,
} from "../support/cluster/processCluster.ts";
import { exampleObjects } from "../support/cluster/quickstart.ts";
import { notRight, observed } from "../support/cluster/settled.ts";
import type { Traffic } from "../support/cluster/traffic.ts";
import { handovers, repeated, tableOfWrites, type Write, writesOf } from "../support/cluster/writes.ts";

const namespace = "mail";
const quiet = "quiet";
/** States are waited for, however slow the machine; a lease lapses in 15 s, backoffs reach a minute. */
const soon = { timeout: 120_000, interval: 200 };
/** A watch counts as silent after 150 s; the one that was cut first has had most of them when it is looked at. */
const late = { timeout: 300_000, interval: 500 };
/** Enough for a night, and a limit: what is granted can be added up. */
const DAY_LIMIT = 100_000;
/** Mail that has to pass while something is away. */
const ENOUGH = 10;

vi.setConfig({ testTimeout: 400_000 });

let cluster: ProcessCluster;
let operators: readonly [OperatorPod, OperatorPod];
let watchman: OperatorPod;
let traffic: Traffic;
let flow: ReturnType<Traffic["flow"]>;
let secretsBefore: Record<string, unknown>;
let transitionsBefore: number;

beforeAll(async () => {
  cluster = await startProcessCluster();
  for (const name of [namespace, quiet]) await cluster.makeNamespace(name);
  operators = [
    await cluster.startOperator("127.0.0.201", { namespaces: [namespace] }),
    await cluster.startOperator("127.0.0.202", { namespaces: [namespace] }),
  ];
  watchman = await cluster.startOperator("127.0.0.203", {
    namespaces: [quiet],
    lease: null,
    identity: "admin",
  });
  for (const manifest of manifests()) await apply(manifest);
  await apply(quietPool(1));
  await vi.waitFor(allReady, soon);
  await vi.waitUntil(async () => await seen("IpPool", "only", quiet), soon);
  traffic = await cluster.traffic(namespace, "night");
  flow = traffic.flow(5);
  secretsBefore = await chosenByChance();
  transitionsBefore = await transitions();
}, 300_000);
afterAll(async () => {
  await flow?.stop();
  await cluster?.[Symbol.asyncDispose]();
}, 120_000);
beforeEach(() => {
  onTestFailed(() => {
    for (const each of [...operators, watchman]) process.stderr.write(`${each.output().slice(-6000)}\n`);
  });
});

const manifests = () =>
  exampleObjects(namespace, { IpPool: { warmup: { ramp: "Custom", dailyLimits: [DAY_LIMIT] } } });

function quietPool(addresses: number): KubeObject {
  return {
    apiVersion: "smtprelay.dev/v1alpha1",
    kind: "IpPool",
    metadata: { name: "only", namespace: quiet },
    spec: {
      addresses: Array.from({ length: addresses }, (_, index) => ({
        name: `q${index}`,
        ip: `198.51.100.${index + 1}`,
        ehloName: `q${index}.quiet.test`,
      })),
    },
  };
}

const apply = async (object: KubeObject) =>
  await cluster.api.admin.apply(object, { fieldManager: "kubectl" });

const ours = [
  ["SmtpRelay", "mail"],
  ["SendingDomain", "example.test"],
  ["IpPool", "default"],
] as const;

async function seen(kind: (typeof ours)[number][0], name: string, where = namespace): Promise<boolean> {
  const object = await cluster.read(kind, name, where);
  return object !== null && observed(object);
}

/** Status speaks of what is asked for now, and all is well. */
async function allReady(): Promise<void> {
  for (const [kind, name] of ours) {
    const wrong = notRight(kind, await cluster.read(kind, name, namespace));
    if (wrong !== null) throw new Error(wrong);
  }
}

let edits = 0;
/** A user's edit of each kind. The relay's makes a new revision, which every pod has to load. */
async function edit(): Promise<void> {
  edits += 1;
  for (const manifest of manifests()) {
    const more = {
      SmtpRelay: { limits: { recipientsPerMessage: 100 + edits } },
      SendingDomain: { dkim: { rotationDays: 100 + edits } },
      IpPool: { checks: { forwardConfirmedReverseDns: edits % 2 === 0 ? "Require" : "Warn" } },
    }[manifest.kind];
    await apply({ ...manifest, spec: { ...manifest.spec, ...more } });
  }
}

/** Makes an edit, waits until status is right and all mail so far has arrived; which edit is in force then. */
async function worksAgain(): Promise<number> {
  await edit();
  await vi.waitFor(allReady, soon);
  await allArrived();
  const secret = await cluster.api.admin.get("v1", "Secret", "mail-runtime", namespace);
  return (configIn(secret?.["data"])?.limits.recipientsPerMessage ?? 0) - 100;
}

async function allArrived(): Promise<void> {
  await vi.waitFor(() => expect(traffic.missing().slice(0, -ENOUGH)).toEqual([]), soon);
}

/** Mail goes in and out while `what` is as it is. */
async function mailFlows(): Promise<void> {
  const from = traffic.accepted.length;
  await vi.waitFor(() => {
    const since = traffic.accepted.slice(from);
    const missing = new Set(traffic.missing());
    expect(since.filter((number) => !missing.has(number)).length).toBeGreaterThan(ENOUGH);
  }, soon);
}

/** The one that leads, and the other. */
async function leaderAndOther(): Promise<[OperatorPod, OperatorPod]> {
  return await vi.waitFor(async () => {
    const [one, two] = operators;
    if (await one.leads()) return [one, two];
    if (await two.leads()) return [two, one];
    throw new Error("neither operator leads");
  }, soon);
}

async function transitions(): Promise<number> {
  const lease = await cluster.api.admin.get(
    leases.apiVersion,
    leases.kind,
    "smtp-relay-operator",
    OPERATOR_NAMESPACE,
  );
  return (lease?.["spec"] as { leaseTransitions?: number } | undefined)?.leaseTransitions ?? 0;
}

/** Keys, certificate and password: made once, by chance. */
async function chosenByChance(): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const name of ["example.test-dkim", "mail-tls-self-signed", "mail-app"]) {
    found[name] = (await cluster.api.admin.get("v1", "Secret", name, namespace))?.["data"];
  }
  return found;
}

const written = (): Write[] =>
  writesOf(cluster.api.audited(), [cluster.api.identities.operator.user]).filter(({ object }) =>
    object.includes(` ${namespace}/`),
  );

function configIn(data: unknown): RelayConfig | null {
  const encoded = (data as Record<string, string> | undefined)?.[configFiles.config];
  return encoded === undefined
    ? null
    : relayConfig.parse(JSON.parse(Buffer.from(encoded, "base64").toString()));
}

test("a watch is cut without a word, and an edit is made behind its back", async () => {
  expect(watchman.proxy.cutStreams()).toBeGreaterThan(0);
  await apply(quietPool(2));

  // What becomes of it is looked at when it has had its time: see the end of this file.
  expect(await seen("IpPool", "only", quiet)).toBe(false);
});

test("the API server goes and comes back", async () => {
  await cluster.api.halt("kube-apiserver");
  await mailFlows();
  await cluster.api.resume("kube-apiserver");

  expect(await worksAgain()).toBe(edits);
});

test("etcd is killed and comes back", async () => {
  await cluster.api.halt("etcd", "SIGKILL");
  await mailFlows();
  await cluster.api.resume("etcd");

  expect(await worksAgain()).toBe(edits);
});

test("in a storm of 429, 500, 503 and lost answers, what users ask for is done all the same", async () => {
  const faults = [429, 500, 503, "lost"] as const;
  for (const [index, { proxy }] of operators.entries()) proxy.storm({ share: 0.4, seed: 7 + index, faults });
  for (let round = 0; round < 2; round++) expect(await worksAgain()).toBe(edits);
  for (const { proxy } of operators) proxy.storm(null);

  const dealt = faults.filter((fault) => operators.some(({ proxy }) => proxy.faults.has(fault)));
  expect(dealt).toEqual(faults);
  expect(await worksAgain()).toBe(edits);
});

test("rights are taken away and given back", async () => {
  const [leader] = await leaderAndOther();
  const binding = operatorRights().find(({ kind }) => kind === "ClusterRoleBinding");
  const forbidden = () => leader.output().match(/is forbidden|Forbidden|forbidden/g)?.length ?? 0;
  await cluster.api.admin.delete(
    "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding",
    binding?.metadata.name ?? "",
  );
  const before = forbidden();
  await edit();
  // Watches that are open are let be; new ones are not.
  for (const { proxy } of operators) proxy.breakStreams();
  await vi.waitFor(() => expect(forbidden()).toBeGreaterThan(before), soon);
  await mailFlows();
  await cluster.api.admin.apply(binding as KubeObject);

  expect(await worksAgain()).toBe(edits);
});

test("both operators are killed, and begin anew", async () => {
  const runs = operators.map((operator) => operator.runs);
  for (const operator of operators) operator.signal("SIGKILL");
  await mailFlows();

  expect(await worksAgain()).toBe(edits);
  expect(operators.map((operator) => operator.runs)).toEqual(runs.map((count) => count + 1));
});

test("the leader's lease is taken away: another one leads, and nobody leads twice", async () => {
  const [leader] = await leaderAndOther();
  const before = leader.runs;
  await cluster.api.admin.apply({
    apiVersion: leases.apiVersion,
    kind: leases.kind,
    metadata: { name: "smtp-relay-operator", namespace: OPERATOR_NAMESPACE },
    spec: { holderIdentity: "somebody else", renewTime: new Date().toISOString().replace("Z", "000Z") },
  });
  await vi.waitFor(() => expect(leader.runs).toBeGreaterThan(before), soon);
  await mailFlows();

  expect(await worksAgain()).toBe(edits);
});

test("a leader that was frozen past its lease writes no more when it wakes, whatever it was about to write", async () => {
  const [leader, other] = await leaderAndOther();
  const runs = leader.runs;
  // It has asked for one thing, and when it hears that it is done it will go on to the next.
  const held = leader.proxy.hold(
    (method, path) => method === "PATCH" && path.includes("/secrets/mail-runtime"),
  );
  await edit();
  const answer = await held;
  leader.signal("SIGSTOP");
  await vi.waitFor(async () => expect(await other.leads()).toBe(true), soon);
  expect(await worksAgain()).toBe(edits);
  const before = leader.proxy.changes.length;

  answer.release();
  leader.signal("SIGCONT");
  await vi.waitFor(() => expect(leader.runs).toBe(runs + 1), soon);
  expect(await worksAgain()).toBe(edits);

  // It may try to renew its lease, and hears that it is another one's.
  const changes = leader.proxy.changes.slice(before, leader.changesBefore);
  expect(changes.filter((change) => !change.includes("/leases/"))).toEqual([]);
});

test("the watch that was cut was noticed by its silence, and the edit behind its back is done", async () => {
  await vi.waitFor(async () => expect(await seen("IpPool", "only", quiet)).toBe(true), late);

  expect(watchman.output()).toContain("watch fell silent, listing anew");
  expect(watchman.runs).toBe(1);
});

test("after all this every message taken has arrived, once, and none was refused", async () => {
  await flow.stop();
  await vi.waitFor(() => expect(traffic.missing()).toEqual([]), soon);

  expect(traffic.refused).toEqual([]);
  expect([...traffic.doubled()]).toEqual([]);
  console.log(`${traffic.accepted.length} messages`);
});

test("nothing was written twice, by no two operators at once, and no key or allowance was made twice", async () => {
  const writes = written();
  console.log(tableOfWrites(writes.map(({ what, code }) => `${what} ${code}`)));
  const lost = operators.reduce((sum, { proxy }) => sum + (proxy.faults.get("lost") ?? 0), 0);

  expect(repeated(writes).length).toBeLessThanOrEqual(lost);
  expect(handovers(writes)).toBeLessThanOrEqual((await transitions()) - transitionsBefore);
  expect(await chosenByChance()).toEqual(secretsBefore);
  expect(overGranted(writes)).toEqual([]);
});

/** Ledgers that deal out more than the whole of an address, and configurations that grant more than its limit. */
function overGranted(writes: readonly Write[]): string[] {
  const found: string[] = [];
  for (const { what, object, sent, at } of writes.filter(({ code }) => code < 300)) {
    const content = JSON.parse(sent) as {
      status?: { addresses?: { name: string; shares?: { permille: number }[] }[] };
      data?: Record<string, string>;
    };
    if (object.startsWith("ippools/status")) {
      for (const { name, shares = [] } of content.status?.addresses ?? []) {
        const sum = shares.reduce((total, { permille }) => total + permille, 0);
        if (sum > 1000) found.push(`${at} ${what}: ${name} is dealt out to ${sum}`);
      }
    }
    if (!object.endsWith("/mail-runtime")) continue;
    const granted = new Map<string, number>();
    for (const { sources } of configIn(content.data)?.pods ?? []) {
      for (const { name, allowance } of sources) {
        for (const { day, total } of allowance) {
          granted.set(`${name} ${day}`, (granted.get(`${name} ${day}`) ?? 0) + (total ?? Infinity));
        }
      }
    }
    for (const [which, sum] of granted) {
      if (sum > DAY_LIMIT) found.push(`${at} ${what}: ${which} is granted ${sum}`);
    }
  }
  return found;
}
