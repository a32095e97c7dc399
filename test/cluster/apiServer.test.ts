/** The tests' own API server keeps what the other stories build on: identities, restarts, the count of writes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { type ApiServer, startApiServer } from "../support/cluster/apiServer.ts";
import { lookUp } from "../support/cluster/node/processTable.ts";

const configMap = (name: string, value: string) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data: { value },
});

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer({ audit: "writes" });
  await server.admin.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } });
}, 180_000);

afterAll(async () => await server[Symbol.asyncDispose]());

test.each(["operator", "relay", "nobody"] as const)(
  "%s is known, and allowed nothing by itself",
  async (name) => {
    const known = await server.as(name).request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
      body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
    });
    const secrets = await server.as(name).request("GET", "/api/v1/namespaces/default/secrets");

    expect(known.body).toMatchObject({
      status: { userInfo: { username: server.identities[name].user } },
    });
    expect(secrets.code).toBe(403);
  },
);

test("a token of nobody's is refused", async () => {
  const reply = await server.admin.request("GET", "/api/v1/namespaces", { anonymous: true });

  expect(reply.code).toBe(403);
});

test("a role lets an identity do what it says and nothing else", async () => {
  const role = { name: "reader", namespace: "default" };
  const rbac = "rbac.authorization.k8s.io";
  await server.admin.apply({
    apiVersion: `${rbac}/v1`,
    kind: "Role",
    metadata: role,
    rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["list"] }],
  });
  await server.admin.apply({
    apiVersion: `${rbac}/v1`,
    kind: "RoleBinding",
    metadata: role,
    roleRef: { apiGroup: rbac, kind: "Role", name: "reader" },
    subjects: [{ kind: "ServiceAccount", name: "smtp-relay-operator", namespace: "smtp-relay-operator" }],
  });

  await expect(server.as("operator").list("v1", "ConfigMap", "default")).resolves.toBeInstanceOf(Array);
  await expect(server.as("operator").apply(configMap("a", "1"))).rejects.toThrow("403");
});

test("the audit log holds each write once, and by whom", async () => {
  await server.admin.apply(configMap("counted", "1"));
  await server.admin.get("v1", "ConfigMap", "counted", "default");

  await expect
    .poll(() => server.audited().filter(({ objectRef }) => objectRef?.name === "counted"))
    .toMatchObject([
      {
        verb: "patch",
        user: { username: "admin" },
        objectRef: { resource: "configmaps", namespace: "default" },
      },
    ]);
});

test("either half ends and comes back with its data", async () => {
  await server.admin.apply(configMap("kept", "1"));

  await server.halt("kube-apiserver");
  await expect(server.admin.request("GET", "/readyz")).rejects.toThrow("ECONNREFUSED");
  await server.resume("kube-apiserver");
  expect(await server.admin.get("v1", "ConfigMap", "kept", "default")).toMatchObject({
    data: { value: "1" },
  });

  await server.halt("etcd", "SIGKILL");
  const readiness = async () => (await server.admin.request("GET", "/readyz")).code;
  // It looks at etcd now and then only.
  await expect.poll(readiness, { timeout: 30_000 }).toBe(500);
  await server.resume("etcd");
  await expect.poll(readiness, { timeout: 30_000 }).toBe(200);
  expect(await server.admin.get("v1", "ConfigMap", "kept", "default")).toMatchObject({
    data: { value: "1" },
  });
}, 120_000);

test("a server ends with the process that started it, even by kill -9", async () => {
  const program = join(import.meta.dirname, "../support/cluster/apiServer.ts");
  const code = `const { startApiServer } = await import(${JSON.stringify(program)});
    const server = await startApiServer();
    console.log(JSON.stringify({ pids: ["etcd", "kube-apiserver"].map(server.pid), directory: server.directory }));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const { pids, directory } = JSON.parse(line.toString("utf8")) as { pids: number[]; directory: string };
  try {
    expect(pids.map((pid) => lookUp(pid) !== null)).toEqual([true, true]);

    child.kill("SIGKILL");

    await expect.poll(() => pids.map((pid) => lookUp(pid) !== null)).toEqual([false, false]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}, 120_000);
