/**
 * The chart on a real API server: everything it makes is valid there, the rights it gives are enough for what
 * the operator does, and `helm test` says ok where the API is as it should be.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { isHook, manifestsOf } from "../../charts/kustomizeBase.ts";
import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import {
  allOnValues,
  chartFolder,
  failure,
  optionalProgram,
  release,
  run,
  template,
} from "../support/charts/helm.ts";
import { type ApiServer, startApiServer } from "../support/cluster/apiServer.ts";
import { applyCrds } from "../support/cluster/crds.ts";

const found = optionalProgram("helm", "the chart on an API server");
const helm = found ?? "";
/** Kinds of the Prometheus operator, whose CRDs are not ours to have. */
const foreign = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];

describe.skipIf(found === undefined)("the chart on an API server", () => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await startApiServer();
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    for (const name of [release, "mail", "news", "elsewhere"]) {
      await server.admin.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
    }
    await applyCrds(server.admin);
  }, 180_000);
  afterAll(async () => await server[Symbol.asyncDispose]());

  test.each([[[]], [["--values", allOnValues]]])(
    "every object with %j is valid, field by field",
    async (flags) => {
      const objects = manifestsOf(template(helm, ...flags)) as unknown as readonly KubeObject[];
      const ours = objects.filter(({ kind }) => !foreign.includes(kind));

      expect(ours.length).toBeGreaterThan(15);
      // A pod, dry run or not, is only looked at when its ServiceAccount exists. The namespace is restricted: a
      // pod that is not fit for it is refused here.
      for (const account of ours.filter(({ kind }) => kind === "ServiceAccount"))
        await server.admin.apply(account);
      for (const object of ours) {
        const namespace =
          object.kind.startsWith("Cluster") || object.kind === "CustomResourceDefinition"
            ? {}
            : { namespace: release };
        const placed = { ...object, metadata: { ...namespace, ...object.metadata } };
        await server.admin.apply(placed, { dryRun: true, strict: true });
      }
    },
  );

  test("the operator may do what it does, and nothing beyond", async () => {
    const objects = manifestsOf(template(helm, "--set", "watchNamespaces={mail}")) as unknown as KubeObject[];
    for (const object of objects.filter((one) => /^(Cluster)?Role/.test(one.kind) && !isHook(one))) {
      await server.admin.apply(object);
    }
    const operator = server.as("operator");
    const base = "/apis/coordination.k8s.io/v1/namespaces";
    const apply = async (path: string, body: object) =>
      (
        await operator.request("PATCH", path, {
          body,
          contentType: "application/apply-patch+yaml",
          query: { fieldManager: "operator", force: "true" },
        })
      ).code;
    const lease = (name: string) => ({
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name },
    });
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "mail-runtime" } };

    // Rights follow roles after a moment.
    await expect
      .poll(() => apply(`${base}/${release}/leases/${release}`, lease(release)), { timeout: 10_000 })
      .toBe(201);
    expect(await apply(`${base}/${release}/leases/other`, lease("other"))).toBe(403);
    expect(await apply(`${base}/mail/leases/${release}`, lease(release))).toBe(403);
    await expect
      .poll(() => apply("/api/v1/namespaces/mail/secrets/mail-runtime", secret), { timeout: 10_000 })
      .toBe(201);
    expect(await apply("/api/v1/namespaces/elsewhere/secrets/mail-runtime", secret)).toBe(403);

    const code = async (method: string, path: string) => (await operator.request(method, path)).code;
    expect(await code("GET", "/api/v1/namespaces/mail/secrets")).toBe(200);
    expect(await code("GET", "/api/v1/namespaces/mail/pods")).toBe(200);
    expect(await code("GET", "/api/v1/secrets")).toBe(403);
    expect(await code("GET", "/api/v1/namespaces/mail/configmaps")).toBe(403);
    expect(await code("DELETE", "/api/v1/namespaces/mail/pods/x")).toBe(403);
    expect(await code("DELETE", "/apis/smtprelay.dev/v1alpha1/namespaces/mail/smtprelays/x")).toBe(403);
    expect(await code("DELETE", "/apis/apps/v1/namespaces/mail/statefulsets/x")).toBe(403);
  });

  test("helm test accepts this API, and finds fault where a definition is missing", async () => {
    const script = join(chartFolder, "files/installation.mjs");
    const token = join(server.directory, "test.token");
    writeFileSync(token, server.identities.admin.token);
    const ask = async (): Promise<{ code: number | null; said: string }> => {
      const child = spawn(process.execPath, [script], {
        env: {
          NAMESPACE: "mail",
          API_URL: server.url,
          TOKEN_FILE: token,
          NODE_EXTRA_CA_CERTS: server.caFile,
        },
      });
      let said = "";
      child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
      return await new Promise((resolve) => child.on("close", (code) => resolve({ code, said })));
    };

    expect(await ask()).toMatchObject({ code: 0 });
    await server.admin.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "ippools.smtprelay.dev");
    const second = await ask();
    expect(second.code).toBe(1);
    expect(second.said).toContain("FAILED  IpPool is accepted");
  });

  const kubeconform = optionalProgram("kubeconform", "the second opinion on the chart");
  test.skipIf(kubeconform === undefined)("kubeconform agrees, by the server's own schemas", async () => {
    const { definitions } = (await server.admin.request("GET", "/openapi/v2")).body as {
      definitions: Record<
        string,
        {
          properties?: object;
          additionalProperties?: unknown;
          "x-kubernetes-group-version-kind"?: { group: string; version: string; kind: string }[];
        }
      >;
    };
    for (const definition of Object.values(definitions)) {
      if (definition.properties !== undefined) definition.additionalProperties ??= false;
    }
    // "80 or http": the server's document calls it a string.
    definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {};
    const closed = JSON.stringify(definitions);
    const wanted = new Set([
      "ClusterRole",
      "ClusterRoleBinding",
      "ConfigMap",
      "Deployment",
      "NetworkPolicy",
      "Pod",
      "PodDisruptionBudget",
      "Role",
      "RoleBinding",
      "Service",
      "ServiceAccount",
    ]);
    for (const [name, { "x-kubernetes-group-version-kind": kinds = [] }] of Object.entries(definitions)) {
      const [only] = kinds;
      if (kinds.length !== 1 || only === undefined || !wanted.has(only.kind)) continue;
      const group = only.group === "" ? "" : `-${only.group.split(".")[0] ?? ""}`;
      const file = `${only.kind}${group}-${only.version}.json`.toLowerCase();
      writeFileSync(join(server.directory, file), `{"$ref":"#/definitions/${name}","definitions":${closed}}`);
    }
    const location = `${server.directory}/{{ .ResourceKind }}{{ .KindSuffix }}.json`;
    const judge = (manifests: string) =>
      run(
        kubeconform ?? "",
        [
          "-strict",
          "-summary",
          "-schema-location",
          location,
          "-skip",
          [...foreign, "CustomResourceDefinition"].join(),
          "-",
        ],
        manifests,
      );
    const manifests = template(helm, "--values", allOnValues);
    const ended = judge(manifests);

    expect(failure(ended)).toBe("");
    expect(ended.stdout).toContain("Invalid: 0, Errors: 0");
    expect(judge(manifests.replace("enableServiceLinks:", "enableServiceLink:")).stdout).toContain(
      "enableServiceLink",
    );
  });
});
