import { expect, test } from "vitest";

import { silentLog } from "../../relay/kit/log.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import { FaultyKube } from "../../test/support/faultyKube.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { type ApplyObject, KubeError } from "../adapters/kubeClient.ts";
import { createMemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { resources } from "../resources.ts";
import type { Need, Plan } from "../world.ts";
import { Needs } from "./needs.ts";
import { OwnWrites } from "./ownWrites.ts";
import { Writer } from "./writer.ts";

function stage() {
  const clock = new FakeClock();
  const cluster = createMemoryCluster({ clock, random: seededRandom(1) });
  const kube = new FaultyKube(cluster);
  let made = 0;
  const needs = new Needs({
    client: kube,
    random: seededRandom(2),
    keys: {
      dkimKey: async (algorithm) => `${algorithm} ${(made += 1)}`,
      certificate: async (hostname) => ({ certificate: `for ${hostname}`, key: `key ${(made += 1)}` }),
    },
  });
  const ownWrites = new OwnWrites({ clock, informers: [] });
  const writer = new Writer({ client: kube, manager: "test", ownWrites, informers: [], log: silentLog });
  const satisfy = (wanted: readonly Need[], objects: readonly ApplyObject[] = []) => {
    const plan: Plan = { objects, deletes: [], needs: wanted, problems: [] };
    return needs.satisfy(plan, "default", writer);
  };
  const read = async (name: string) => {
    const secret = await cluster.get(resources.secrets, { namespace: "default", name });
    const data = (secret?.["data"] ?? {}) as Record<string, string>;
    return {
      type: secret?.["type"],
      labels: secret?.metadata.labels,
      entries: Object.fromEntries(
        Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]),
      ),
    };
  };
  return { cluster, kube, satisfy, read };
}

const rsa = { kind: "dkimKey", secretName: "keys", selector: "r1", algorithm: "rsa-sha256" } as const;
const ed25519 = { kind: "dkimKey", secretName: "keys", selector: "e1", algorithm: "ed25519-sha256" } as const;
const labels = { "smtprelay.dev/relay": "mail" };
const password = { kind: "password", secretName: "mail-app", credential: "app", labels } as const;
const pair = { kind: "certificate", secretName: "tls", hostname: "mail.example.com", labels } as const;

test("keys of one Secret are made together, each under its selector", async () => {
  const { satisfy, read } = stage();
  await satisfy([rsa, ed25519]);

  expect(await read("keys")).toEqual({
    type: "Opaque",
    labels: undefined,
    entries: { "r1.pem": "rsa-sha256 1", "e1.pem": "ed25519-sha256 2" },
  });
});

test("what is there already is never replaced, whatever the plan did not know", async () => {
  const { satisfy, read } = stage();
  await satisfy([rsa]);
  await satisfy([rsa, ed25519]);

  expect((await read("keys")).entries).toEqual({ "r1.pem": "rsa-sha256 1", "e1.pem": "ed25519-sha256 2" });
});

test("a Secret keeps the labels it has or the plan gives it", async () => {
  const { satisfy, read } = stage();
  const planned: ApplyObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "keys", namespace: "default", labels: { app: "mail" } },
    data: {},
  };
  await satisfy([rsa], [planned]);
  expect((await read("keys")).labels).toEqual({ app: "mail" });

  await satisfy([ed25519]);
  expect((await read("keys")).labels).toEqual({ app: "mail" });
});

test("a password is 32 characters that need no quoting, and stays", async () => {
  const { satisfy, read } = stage();
  await satisfy([password]);
  const first = (await read("mail-app")).entries["password"];
  await satisfy([password]);

  expect(first).toMatch(/^[A-Za-z0-9_-]{32}$/);
  expect((await read("mail-app")).entries["password"]).toBe(first);
});

test("a password is never put into a Secret that somebody else made, and ours says whose it is", async () => {
  const { cluster, satisfy, read } = stage();
  await satisfy([{ ...password, secretName: "mail-crm" }]);
  expect((await read("mail-crm")).labels).toEqual(labels);

  await cluster.apply(
    { apiVersion: "v1", kind: "Secret", metadata: { name: "mail-app", namespace: "default" }, data: {} },
    "someone",
  );
  await satisfy([password]);
  expect((await read("mail-app")).entries).toEqual({});
});

test("a certificate comes with its key, in a Secret of the type for them", async () => {
  const { satisfy, read } = stage();
  await satisfy([pair]);

  expect(await read("tls")).toMatchObject({
    type: "kubernetes.io/tls",
    entries: { "tls.crt": "for mail.example.com", "tls.key": "key 1" },
  });
});

test("half a certificate is made whole with a pair that fits", async () => {
  const { cluster, satisfy, read } = stage();
  await cluster.apply(
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "tls", namespace: "default", labels },
      type: "kubernetes.io/tls",
      data: { "tls.crt": Buffer.from("orphan").toString("base64") },
    },
    "someone",
  );
  await satisfy([pair]);

  expect((await read("tls")).entries).toEqual({ "tls.crt": "for mail.example.com", "tls.key": "key 1" });
});

test("what could not be stored is stored the next time, not made anew", async () => {
  const { kube, satisfy, read } = stage();
  kube.fail("apply", new KubeError("Unavailable", 500, "no leader"), { times: 2 });
  for (let attempt = 0; attempt < 2; attempt++)
    await expect(satisfy([rsa, ed25519])).rejects.toThrow("no leader");
  await satisfy([rsa, ed25519]);

  expect((await read("keys")).entries).toEqual({ "r1.pem": "rsa-sha256 1", "e1.pem": "ed25519-sha256 2" });
});
