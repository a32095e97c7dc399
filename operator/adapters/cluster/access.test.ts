/** Credentials as they are found, remembered and renewed. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { FakeClock } from "../../../test/support/fakeClock.ts";
import { type TempFolder, tempFolder } from "../../../test/support/tempFolder.ts";
import { type ApiAccess, remembered } from "./access.ts";
import { inClusterAccess, insideCluster, podNamespace } from "./inClusterAccess.ts";
import { kubeConfigAccess } from "./kubeConfigAccess.ts";

let temporary: TempFolder;
beforeEach(() => {
  temporary = tempFolder();
});
afterEach(() => temporary[Symbol.dispose]());

const variables = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };

function serviceAccount(token: string): string {
  const folder = temporary.path;
  writeFileSync(join(folder, "token"), `${token}\n`);
  writeFileSync(join(folder, "ca.crt"), "the authority");
  writeFileSync(join(folder, "namespace"), "mail");
  return folder;
}

test("in a pod, address, token and authority are the mounted ones, read anew each time", async () => {
  const folder = serviceAccount("first");
  const access = inClusterAccess(variables, folder);

  expect(access.server.href).toBe("https://[fd00::1]/");
  expect(await access.credentials()).toEqual({
    headers: { authorization: "Bearer first" },
    tls: { ca: Buffer.from("the authority") },
  });
  writeFileSync(join(folder, "token"), "second");
  expect((await access.credentials()).headers).toEqual({ authorization: "Bearer second" });
  expect(await podNamespace(folder)).toBe("mail");
});

test("outside a pod there is no such access, and the message says what would help", async () => {
  expect(insideCluster({})).toBe(false);
  expect(() => inClusterAccess({})).toThrow(/not in a pod .* no kubeconfig was given/);
  expect(await podNamespace("/nowhere/at/all")).toBeNull();
});

test("credentials are read once in ten seconds, at once after a refusal, and failures are not kept", async () => {
  const clock = new FakeClock();
  let reads = 0;
  let broken = false;
  const access: ApiAccess = {
    server: new URL("https://example.com"),
    credentials: async () => {
      reads += 1;
      if (broken) throw new Error("the folder is being swapped");
      return { headers: { authorization: `Bearer ${reads}` }, tls: {} };
    },
    refused: () => {},
  };
  const kept = remembered(access, clock);
  const token = async () => (await kept.credentials()).headers["authorization"];

  expect([await token(), await token()]).toEqual(["Bearer 1", "Bearer 1"]);
  await clock.advance(10_000);
  expect(await token()).toBe("Bearer 2");
  kept.refused();
  expect(await token()).toBe("Bearer 3");
  await clock.advance(10_000);
  broken = true;
  await expect(token()).rejects.toThrow(/swapped/);
  broken = false;
  expect(await token()).toBe("Bearer 5");
});

function kubeconfig(): string {
  const folder = temporary.path;
  const file = join(folder, "config");
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: "one",
          cluster: {
            server: "https://192.0.2.1:6443/under/a/path",
            "certificate-authority-data": Buffer.from("the authority").toString("base64"),
            "tls-server-name": "kubernetes",
          },
        },
      ],
      users: [
        { name: "admin", user: { token: "s3cr3t", as: "someone" } },
        {
          name: "holder",
          user: {
            "client-certificate-data": Buffer.from("cert").toString("base64"),
            "client-key-data": Buffer.from("key").toString("base64"),
          },
        },
      ],
      contexts: [
        { name: "a", context: { cluster: "one", user: "admin" } },
        { name: "b", context: { cluster: "one", user: "holder" } },
        { name: "c", context: { cluster: "none", user: "holder" } },
      ],
      "current-context": "a",
    }),
  );
  return file;
}

test("a kubeconfig gives tokens, certificates, impersonation and the name to expect", async () => {
  const file = kubeconfig();
  const byToken = await kubeConfigAccess({ file });
  const byCertificate = await kubeConfigAccess({ file, context: "b" });

  expect(byToken.server.href).toBe("https://192.0.2.1:6443/under/a/path");
  expect(await byToken.credentials()).toEqual({
    headers: { authorization: "Bearer s3cr3t", "impersonate-user": "someone" },
    tls: { ca: Buffer.from("the authority"), servername: "kubernetes" },
  });
  expect((await byCertificate.credentials()).tls).toEqual({
    ca: Buffer.from("the authority"),
    cert: Buffer.from("cert"),
    key: Buffer.from("key"),
    servername: "kubernetes",
  });
});

test("a kubeconfig that cannot be used says what is wrong with it", async () => {
  const file = kubeconfig();
  const absent = join(temporary.path, "absent");

  await expect(kubeConfigAccess({ file, context: "z" })).rejects.toThrow(
    /"z": the kubeconfig has "a", "b", "c"/,
  );
  await expect(kubeConfigAccess({ file, context: "c" })).rejects.toThrow(/context "c" .* names no cluster/);
  await expect(kubeConfigAccess({ file: absent })).rejects.toThrow(/Cannot read the kubeconfig .*absent/);
});
