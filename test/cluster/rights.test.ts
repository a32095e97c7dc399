/**
 * The rights of the operator and of relay pods, on a real API server: what the chart grants is the list in
 * docs/reference/rights.md to the last verb, and the operator, run under these rights through the life of a
 * set of objects, is refused nothing and uses all of them.
 */
import { join } from "node:path";

import { afterAll, beforeAll, expect, onTestFailed, test, vi } from "vitest";

import { isHook, manifestsOf } from "../../charts/kustomizeBase.ts";
import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import { release, template } from "../support/charts/helm.ts";
import { type ApiServer, startApiServer } from "../support/cluster/apiServer.ts";
import { programPath } from "../support/cluster/binaries.ts";
import { applyCrds, condition } from "../support/cluster/crds.ts";
import {
  allowed,
  committedRights,
  type Right,
  type Scope,
  servedResources,
  serviceAccountSubject,
  usedRights,
} from "../support/cluster/rights.ts";
import { freePort, type Program, startProgram } from "../support/peers/program.ts";

const root = join(import.meta.dirname, "../..");
const api = "smtprelay.dev/v1alpha1";
const { relays, own, neverCalled } = committedRights();
const operator = serviceAccountSubject(release, release);
const lease: Scope = { namespace: release, name: release };
const soon = { timeout: 60_000, interval: 200 };

let server: ApiServer;
let resources: Awaited<ReturnType<typeof servedResources>>;
let everybodys: ReadonlySet<Right>;

beforeAll(async () => {
  server = await startApiServer({ audit: "everything" });
  for (const name of [release, "mail", "news", "elsewhere"])
    await server.admin.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  await applyCrds(server.admin);
  resources = await servedResources(server.admin);
  const stranger = serviceAccountSubject("elsewhere", "default");
  everybodys = new Set(await allowed(server.admin, stranger, { namespace: "" }, resources));
}, 180_000);
afterAll(async () => await server[Symbol.asyncDispose]());

/** Applies the chart's roles, bindings and account, and takes away what an earlier call applied. */
let installed: readonly KubeObject[] = [];
async function install(...flags: readonly string[]): Promise<void> {
  const objects = manifestsOf(template(programPath("helm"), ...flags)) as unknown as readonly KubeObject[];
  const wanted = objects.filter((one) => /^((Cluster)?Role|ServiceAccount)/.test(one.kind) && !isHook(one));
  for (const { apiVersion, kind, metadata } of installed)
    await server.admin.delete(apiVersion, kind, metadata.name, metadata.namespace);
  for (const object of wanted) await server.admin.apply(object);
  installed = wanted;
}

/** Beyond what everybody has. */
async function granted(subject: typeof operator, scope: Scope): Promise<readonly Right[]> {
  const rights = await allowed(server.admin, subject, scope, resources);
  const named = scope.name === undefined ? "" : `/${scope.name}`;
  return rights.filter((right) => !everybodys.has(right.slice(0, right.length - named.length)));
}

/** Rights follow roles after a moment. */
async function untilReadsSecrets(namespace: string, wanted: boolean): Promise<void> {
  const secrets = resources.filter((one) => one.group === "" && one.resource === "secrets");
  const listed = async () =>
    (await allowed(server.admin, operator, { namespace }, secrets)).includes("list core/secrets");
  await expect.poll(listed, soon).toBe(wanted);
}

const sorted = (rights: readonly Right[]) => rights.toSorted();
/** A right to any object is one to the object of this name. */
const forOne = (rights: readonly Right[], name: string) => rights.map((right) => `${right}/${name}`);

test("the server serves what the matrix is about, and everybody may do little more than look around", () => {
  expect(resources.length).toBeGreaterThan(100);
  expect(
    [...everybodys].filter((right) => !/^create (authentication|authorization)\.k8s\.io\/self/.test(right)),
  ).toEqual([]);
});

test("installed for all namespaces, the operator may do what the list says, there and nowhere more", async () => {
  await install();
  await untilReadsSecrets("", true);

  expect(await granted(operator, { namespace: "" })).toEqual(sorted(relays));
  expect(await granted(operator, { namespace: "elsewhere" })).toEqual(sorted(relays));
  expect(await granted(operator, { namespace: release })).toEqual(sorted(relays));
  expect(await granted(operator, lease)).toEqual(sorted([...forOne(relays, release), ...own]));
});

test("installed for one namespace, it may do the same there, and nothing elsewhere but hold its Lease", async () => {
  await install("--set", "watchNamespaces={mail}");
  await untilReadsSecrets("", false);
  await untilReadsSecrets("mail", true);

  expect(await granted(operator, { namespace: "mail" })).toEqual(sorted(relays));
  expect(await granted(operator, { namespace: "" })).toEqual([]);
  expect(await granted(operator, { namespace: "elsewhere" })).toEqual([]);
  expect(await granted(operator, { namespace: release })).toEqual([]);
  expect(await granted(operator, lease)).toEqual(sorted(own));
});

test("the identity of relay pods has no right that a stranger has not", async () => {
  const relay = serviceAccountSubject("mail", "mail");

  expect(await granted(relay, { namespace: "mail" })).toEqual([]);
  expect(await granted(relay, { namespace: "" })).toEqual([]);
});

/** Ready without DNS. */
const pool = (namespace: string, state = "Active"): KubeObject => ({
  apiVersion: api,
  kind: "IpPool",
  metadata: { name: "default", namespace },
  spec: {
    addresses: [{ name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.test", state }],
    checks: { forwardConfirmedReverseDns: "Skip" },
  },
});
const relay = (namespace: string, spec: object = {}): KubeObject => ({
  apiVersion: api,
  kind: "SmtpRelay",
  metadata: { name: "mail", namespace },
  spec: { hostname: "mail.example.test", poolRef: { name: "default" }, ...spec },
});
const domain = (namespace: string): KubeObject => ({
  apiVersion: api,
  kind: "SendingDomain",
  metadata: { name: "example.test", namespace },
  spec: { domain: "example.test", relayRef: { name: "mail" } },
});
test.each([
  { where: "all namespaces", flags: [], words: [], namespace: "mail" },
  {
    where: "one namespace",
    flags: ["--set", "watchNamespaces={news}"],
    words: ["--namespace", "news"],
    namespace: "news",
  },
])(
  "installed for $where, the operator is refused nothing in a life of objects, and uses all it has",
  async ({ flags, words, namespace }) => {
    await install(...flags);
    await untilReadsSecrets(namespace, true);
    await server.admin.delete("coordination.k8s.io/v1", "Lease", release, release);
    const before = server.audited().length;
    const calls = () =>
      server
        .audited()
        .slice(before)
        .filter(({ user }) => user.username === operator.user);
    const port = await freePort();
    const program: Program = startProgram(process.execPath, [
      join(root, "operator/main.ts"),
      "run",
      ...["--kubeconfig", server.kubeconfigFile("operator"), "--relay-image", "registry.example.com/relay:1"],
      ...["--leader-elect", "--lease-namespace", release, "--metrics-port", String(port)],
      ...words,
    ]);
    onTestFailed(() => void process.stderr.write(program.output()));
    try {
      await liveThrough(namespace);
    } finally {
      // A watch is written to the log when it ends.
      await program.stop();
    }

    const wanted = [...relays, ...own.map((right) => right.slice(0, right.lastIndexOf("/")))];
    const called = sorted(wanted.filter((right) => !neverCalled.includes(right)));
    await vi.waitFor(() => expect(sorted([...new Set(calls().flatMap(usedRights))])).toEqual(called), soon);
    const refused = calls().filter(({ responseStatus }) => responseStatus?.code === 403);
    expect(refused.map(({ verb, requestURI }) => `${verb} ${requestURI}`)).toEqual([]);
  },
);

async function liveThrough(namespace: string): Promise<void> {
  const find = (apiVersion: string, kind: string, name: string) =>
    server.admin.get(apiVersion, kind, name, namespace);
  const there = async (apiVersion: string, kind: string, name: string) =>
    await vi.waitFor(async () => {
      const found = await find(apiVersion, kind, name);
      expect(found).not.toBeNull();
      return found?.metadata.uid;
    }, soon);
  const poolReady = async () => {
    const found = await find(api, "IpPool", "default");
    return found === null ? undefined : condition(found, "Ready");
  };

  for (const object of [pool, domain, relay]) await server.admin.apply(object(namespace));
  await expect.poll(poolReady, soon).toBe("True");
  const certificate = await there("v1", "Secret", "mail-tls-self-signed");
  await there("apps/v1", "StatefulSet", "mail");
  // Another name needs another certificate; a port changes Services, policies and the pods.
  const listeners = [{ name: "submission", port: 2587, tls: "StartTls", auth: "Required" }];
  await server.admin.apply(relay(namespace, { hostname: "smtp.example.test", replicas: 2, listeners }));
  await vi.waitFor(
    async () => expect(await there("v1", "Secret", "mail-tls-self-signed")).not.toBe(certificate),
    soon,
  );
  // Not Ready, and Ready again: told twice within ten minutes, an Event is a series.
  for (const state of ["Paused", "Active", "Paused", "Active"]) {
    await server.admin.apply(pool(namespace, state));
    await expect.poll(poolReady, soon).toBe(state === "Active" ? "True" : "False");
  }
  for (const object of [relay, domain, pool]) {
    const { apiVersion, kind, metadata } = object(namespace);
    await server.admin.delete(apiVersion, kind, metadata.name, namespace);
  }
}
