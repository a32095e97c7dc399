/**
 * `npm run cluster` with KUBECONFIG, from outside: the throw-away cluster plays a cluster that is somebody's. It says
 * where it goes, asks first, and takes away what it made and nothing else.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from "vitest";

import { type Cluster, provideCluster, startCluster } from "../support/cluster/cluster.ts";
import { EXAMPLE_NAMESPACE } from "../support/cluster/person/existing.ts";
import { PRODUCT_IMAGE, productImage } from "../support/cluster/productImage.ts";
import { exampleManifests, OPERATOR, OPERATOR_NAMESPACE } from "../support/cluster/quickstart.ts";

const image = `--image=${PRODUCT_IMAGE.repository}:${PRODUCT_IMAGE.tag}`;
let cluster: Cluster;
let kubeconfig: string;

beforeAll(async () => {
  const provision = await provideCluster((line) => console.log(line), ["helm"]);
  if (provision.kind === "impossible") throw new Error(provision.reason);
  using product = await productImage((line) => console.log(line));
  cluster = await startCluster({ print: (line) => console.log(line), images: [product.archive] });
  kubeconfig = cluster.api.kubeconfigFile("admin");
}, 3_600_000);
afterAll(async () => await cluster?.[Symbol.asyncDispose](), 120_000);
beforeEach(() => {
  onTestFailed(async () => {
    for (const words of [
      ["get", "all,pvc,smtp", "-A"],
      ["get", "events", "-A"],
    ]) {
      process.stderr.write(await cluster.kubectl(words).catch(String));
    }
  });
});

const kubectl = async (...words: string[]) => await cluster.kubectl(words);

/** As typed after `npm run cluster --`, with nobody at the terminal. */
async function call(words: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...words], {
    env: { ...process.env, KUBECONFIG: kubeconfig, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
  }
  return await new Promise<{ code: number | null; said: string }>((resolve) =>
    child.on("close", (code) => resolve({ code, said })),
  );
}

const namespaces = async () => await kubectl("get", "namespaces", "-o", "name");

test("a cluster that does not answer, a missing program and a wrong context are each named", async () => {
  const silent = join(cluster.api.directory, "silent.kubeconfig");
  writeFileSync(
    silent,
    cluster.api.kubeconfig("admin").replace(/server: .*$/m, "server: https://127.0.0.1:1"),
  );
  const unreached = await call([image, "--yes"], { KUBECONFIG: silent });
  expect(unreached).toMatchObject({ code: 1 });
  expect(unreached.said).toMatch(/^Cannot reach \S+ \(https:\/\/127\.0\.0\.1:1\): .*refused/);

  const elsewhere = await call([image, "--yes", "--context=prod"]);
  expect(elsewhere).toMatchObject({ code: 1 });
  expect(elsewhere.said).toMatch(/^Cannot tell which cluster KUBECONFIG leads to: .*prod/);

  const bare = { PATH: "/nowhere", XDG_CACHE_HOME: "/nowhere", KUBEBUILDER_ASSETS: "" };
  const without = await call([image, "--yes"], bare);
  expect(without).toMatchObject({ code: 1 });
  expect(without.said).toMatch(/^Cannot find kubectl: .*programs\.ts kubectl/);
});

test("where nobody can answer it says where it would go, and changes nothing without --yes", async () => {
  const before = await namespaces();
  const { code, said } = await call([image]);

  expect(code).toBe(1);
  expect(said).toMatch(/^Cluster \S+ at https:\/\/\S+, Kubernetes v1\./);
  expect(said).toContain("--yes");
  expect(await namespaces()).toBe(before);
});

test("a namespace somebody else made is left alone", async () => {
  await kubectl("create", "namespace", EXAMPLE_NAMESPACE);
  const { code, said } = await call([image, "--yes"]);

  expect(code).toBe(1);
  expect(said).toContain(`Cannot use namespace ${EXAMPLE_NAMESPACE}`);
  expect(await namespaces()).not.toContain(OPERATOR_NAMESPACE);
  expect((await call(["down", "--yes"])).said).toContain("Nothing of npm run cluster is in this cluster.");
  await kubectl("delete", "namespace", EXAMPLE_NAMESPACE);
});

test("CRDs of another installation are left alone", async () => {
  const crds = join(import.meta.dirname, "../../crds/generated");
  await kubectl("apply", "--server-side", "-f", crds);
  const { code, said } = await call([image, "--yes"]);

  expect(code).toBe(1);
  expect(said).toContain("two operators would quarrel");
  await kubectl("delete", "-f", crds);
});

test("it installs operator and example, and says what to try; again is no harm", async () => {
  const { code, said } = await call([image, "--yes"]);

  expect({ code, said }).toMatchObject({
    code: 0,
    said: expect.stringContaining("pods mail-0 and mail-1 are ready"),
  });
  expect(said).toContain(`-n ${EXAMPLE_NAMESPACE} exec mail-0 -- smtp-relay queue`);
  expect(await kubectl("exec", "-n", EXAMPLE_NAMESPACE, "mail-0", "--", "smtp-relay", "queue")).toMatch(
    /^The queue is empty/,
  );
  expect(await call([image, "--yes"])).toMatchObject({ code: 0 });
}, 600_000);

test("the pods run as the image's user, in its files", async () => {
  const script = "console.log(process.getuid(), process.version, process.argv0, process.cwd())";
  const told = await kubectl("exec", "-n", EXAMPLE_NAMESPACE, "mail-0", "--", "node", "-e", script);

  expect(told.trim()).toBe(`65532 ${process.version} node /app`);
});

test("down takes what it made, keeps volumes, keys and kinds, and touches nothing of others", async () => {
  const [pool] = exampleManifests.split("\n---\n").filter((text) => text.includes("kind: IpPool"));
  await cluster.kubectl(["apply", "-n", "default", "-f", "-"], { input: pool ?? "" });
  const { code, said } = await call(["down", "--yes"]);

  expect({ code, said }).toMatchObject({
    code: 0,
    said: expect.stringContaining("the operator is uninstalled"),
  });
  expect(await kubectl("get", "pods,smtp", "-n", EXAMPLE_NAMESPACE, "-o", "name")).toBe("");
  expect(await cluster.helm(["list", "-A", "-q"])).toBe("");
  expect(await namespaces()).not.toContain(OPERATOR_NAMESPACE);
  const left = await kubectl("get", "pvc,secrets", "-n", EXAMPLE_NAMESPACE, "-o", "name");
  expect(left).toContain("persistentvolumeclaim/spool-mail-0");
  expect(left).toContain("secret/example.test-dkim");
  for (const name of left.trim().split("\n")) expect(said).toContain(name);
  expect(said).toContain(`kubectl delete namespace ${EXAMPLE_NAMESPACE}`);
  expect(await kubectl("get", "ippools", "-n", "default", "-o", "name")).toContain(
    "ippool.smtprelay.dev/default",
  );
  expect(await kubectl("get", "clusterroles", "-o", "name")).not.toContain(OPERATOR);

  expect(await call(["down", "--yes"])).toMatchObject({ code: 0 });
}, 400_000);
