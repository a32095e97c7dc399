/**
 * Order does not matter: relay, domain, pool and the Secret with the relay's certificate are applied in all 24 orders,
 * each in a namespace of its own and each only when the operator has said its word about the ones before. In the end
 * all say the same. Then the operator begins anew on objects that hold what it does not know, or no longer allows.
 */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test, vi } from "vitest";

import { API_VERSION } from "../../crds/group.ts";
import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import { generatedCrds } from "../support/cluster/crds.ts";
import type { OperatorPod } from "../support/cluster/operatorPod.ts";
import { type ProcessCluster, startProcessCluster } from "../support/cluster/processCluster.ts";
import { notRight, observed } from "../support/cluster/settled.ts";
import { testAuthority } from "../support/testCertificate.ts";

const soon = { timeout: 240_000, interval: 500 };
const parts = ["relay", "domain", "pool", "secret"] as const;
type Part = (typeof parts)[number];
const kindOf = { relay: "SmtpRelay", domain: "SendingDomain", pool: "IpPool" } as const;

vi.setConfig({ testTimeout: 400_000 });

let cluster: ProcessCluster;
let operator: OperatorPod;
const authority = testAuthority();
const certificate = authority.issue("mail.order.test");

beforeAll(async () => {
  cluster = await startProcessCluster();
  operator = await cluster.startOperator("127.0.0.201");
}, 300_000);
afterAll(async () => await cluster?.[Symbol.asyncDispose](), 120_000);
beforeEach(() => {
  onTestFailed(() => void process.stderr.write(`${operator.output().slice(-6000)}\n`));
});

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, index) =>
    permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]),
  );
}

/** A domain and an address have one owner in the cluster: each order has its own, by number. */
function manifest(part: Part, order: number): KubeObject {
  const number = String(order).padStart(2, "0");
  const namespace = `order-${number}`;
  const domain = `order-${number}.test`;
  const metadata = (name: string) => ({ name, namespace });
  switch (part) {
    case "relay":
      return {
        apiVersion: API_VERSION,
        kind: "SmtpRelay",
        metadata: metadata("mail"),
        spec: {
          hostname: "mail.order.test",
          // 24 processes would only make it slow; one comes to life further below.
          replicas: 0,
          poolRef: { name: "default" },
          certificate: { secretRef: { name: "mail-tls" } },
        },
      };
    case "domain":
      return {
        apiVersion: API_VERSION,
        kind: "SendingDomain",
        metadata: metadata("domain"),
        spec: { domain, relayRef: { name: "mail" } },
      };
    case "pool":
      return {
        apiVersion: API_VERSION,
        kind: "IpPool",
        metadata: metadata("default"),
        spec: { addresses: [{ name: "a", ip: `198.51.100.1${number}`, ehloName: `a.${domain}` }] },
      };
    case "secret":
      return {
        apiVersion: "v1",
        kind: "Secret",
        type: "kubernetes.io/tls",
        metadata: metadata("mail-tls"),
        data: {
          "tls.crt": Buffer.from(certificate.cert).toString("base64"),
          "tls.key": Buffer.from(certificate.key).toString("base64"),
        },
      };
  }
}

const apply = async (object: KubeObject) =>
  await cluster.api.admin.apply(object, { fieldManager: "kubectl" });

async function read(part: keyof typeof kindOf, order: number): Promise<KubeObject | null> {
  const { kind, metadata } = manifest(part, order);
  return await cluster.api.admin.get(API_VERSION, kind, metadata.name, metadata.namespace);
}

/** Applies in this order, each when the operator has looked at all before. */
async function applyInOrder(order: number, sequence: readonly Part[]): Promise<void> {
  await cluster.makeNamespace(`order-${String(order).padStart(2, "0")}`);
  for (const part of sequence) {
    await apply(manifest(part, order));
    if (part === "secret") continue;
    await vi.waitUntil(async () => {
      const object = await read(part, order);
      return object !== null && observed(object);
    }, soon);
  }
}

async function allReady(order: number): Promise<void> {
  for (const part of ["relay", "domain", "pool"] as const) {
    const wrong = notRight(kindOf[part], await read(part, order));
    if (wrong !== null) throw new Error(wrong);
  }
}

/** Status without what chance, time and names make different. */
function comparable(status: unknown, order: number): unknown {
  const number = String(order).padStart(2, "0");
  const text = JSON.stringify(status)
    .replaceAll(`order-${number}`, "order-NN")
    .replaceAll(`198.51.100.1${number}`, "198.51.100.1NN")
    .replaceAll(`1${number}.100.51.198`, "1NN.100.51.198")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "INSTANT")
    .replaceAll(/\bp=[\w+/=]+/g, "p=KEY")
    // Its serial counts what was published on the way.
    .replaceAll(/\b\d+-[0-9a-f]{16}\b/g, "REVISION");
  return JSON.parse(text);
}

test("all 24 orders of relay, domain, pool and Secret end in the same status", async () => {
  const orders = permutations(parts);
  await Promise.all(orders.map(async (sequence, order) => await applyInOrder(order, sequence)));
  for (const order of orders.keys()) await vi.waitFor(async () => await allReady(order), soon);

  // Figures and ledgers come to rest a moment after readiness.
  await vi.waitFor(async () => {
    for (const part of ["relay", "domain", "pool"] as const) {
      const said = await Promise.all(
        [...orders.keys()].map(async (order) => comparable((await read(part, order))?.["status"], order)),
      );
      for (const one of said) expect(one).toEqual(said[0]);
    }
  }, soon);
});

interface Schema {
  [keyword: string]: unknown;
  properties: Record<string, Schema>;
}

/** The schema of spec of a kind, as another version of ours may have it. */
async function changeSchema(kind: string, change: (spec: Schema) => void): Promise<void> {
  for (const crd of generatedCrds().filter(({ spec }) => spec.names.kind === kind)) {
    const changed = structuredClone(crd) as unknown as KubeObject & {
      spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
    };
    for (const { schema } of changed.spec.versions) {
      const { spec } = schema.openAPIV3Schema.properties;
      if (spec !== undefined) change(spec);
    }
    await apply(changed);
  }
}

/** The server takes up a changed schema a moment later. */
async function applyWhenAllowed(part: Part, more: object): Promise<void> {
  const object = manifest(part, 0);
  const spec = { ...(object["spec"] as object), ...more };
  await vi.waitFor(async () => {
    const stored = await cluster.api.admin.apply({ ...object, spec }, { fieldManager: "kubectl" });
    expect(stored["spec"]).toMatchObject(more);
  }, soon);
}

async function beginAnew(): Promise<void> {
  const { runs } = operator;
  operator.signal("SIGKILL");
  await vi.waitUntil(async () => operator.runs > runs && (await operator.leads()), soon);
}

const alive = { relay: { replicas: 1 }, domain: {}, pool: {} };

/** A message of the domain is taken, signed with both keys and delivered. */
async function sendsSigned(name: string): Promise<string[]> {
  const traffic = await cluster.traffic("order-00", name, authority.ca);
  const number = await traffic.send();
  return await vi.waitFor(async () => {
    const mail = cluster.outside.arrivals.find(({ content }) => content.includes(`Subject: ${number}\r\n`));
    if (mail === undefined) throw new Error(`${number} has not arrived`);
    return await cluster.outside.verify(mail);
  }, soon);
}

const signedTwice = [expect.stringMatching(/^e\d+: pass$/), expect.stringMatching(/^r\d+: pass$/)];

test("a relay is brought to life, and sends", async () => {
  await applyWhenAllowed("relay", alive.relay);
  await vi.waitFor(async () => await allReady(0), soon);

  expect(await sendsSigned("first")).toEqual(signedTwice);
});

test("an operator that begins anew lets fields of a newer version be, and serves the rest", async () => {
  for (const part of ["relay", "domain", "pool"] as const) {
    await changeSchema(kindOf[part], ({ properties }) => {
      properties["novelty"] = { type: "string" } as unknown as Schema;
    });
    await applyWhenAllowed(part, { ...alive[part], novelty: "of a version to come" });
  }
  await beginAnew();

  await vi.waitFor(async () => await allReady(0), soon);
  expect(await sendsSigned("novel")).toEqual(signedTwice);
  expect(operator.output()).toContain("novelty");
});

test("an object as an older version allowed it keeps sending as it did, and the log names the field", async () => {
  await changeSchema("SendingDomain", ({ properties }) => {
    delete properties["dkim"]?.properties["rotationDays"]?.["minimum"];
  });
  await applyWhenAllowed("domain", { dkim: { rotationDays: 1 } });
  await beginAnew();

  // The relay is planned anew, from what can be read.
  await applyWhenAllowed("relay", { ...alive.relay, limits: { recipientsPerMessage: 177 } });
  await vi.waitUntil(async () => notRight("SmtpRelay", await read("relay", 0)) === null, soon);
  expect(await sendsSigned("older")).toEqual(signedTwice);
  expect(operator.output()).toContain("spec.dkim.rotationDays");
});
