import { generateKeyPairSync } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, expect, test } from "vitest";

import { makeCertificate } from "../../test/support/certificate.ts";
import { certificateFiles, credentials, receivingConfig } from "../../test/support/receiving.ts";
import type { RelayConfig } from "../contract/config.ts";
import { parseConfig, readConfigFolder } from "./read.ts";

const pem = (type: "rsa" | "ed25519") =>
  (type === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : generateKeyPairSync("ed25519")
  ).privateKey
    .export({ type: "pkcs8", format: "pem" })
    .toString();
const rsa = Buffer.from(pem("rsa"));
const ed25519 = Buffer.from(pem("ed25519"));
const other = await makeCertificate("other.example");
const files = new Map([
  ...certificateFiles,
  ["dkim.r1.example.com.pem", rsa],
  ["dkim.e1.example.com.pem", ed25519],
]);
const signing: Partial<RelayConfig> = {
  domains: [
    {
      domain: "example.com",
      state: "Active",
      reason: "",
      dkim: [
        { selector: "r1", algorithm: "rsa-sha256", file: "dkim.r1.example.com.pem" },
        { selector: "e1", algorithm: "ed25519-sha256", file: "dkim.e1.example.com.pem" },
      ],
    },
  ],
};
const bytesOf = (config: unknown) => Buffer.from(JSON.stringify(config, null, 2));
const judged = (changes: Partial<RelayConfig>, has: ReadonlyMap<string, Buffer> = files, pod = "mail-0") =>
  parseConfig(bytesOf(receivingConfig({ ...signing, ...changes })), has, pod);

test("a good document gives the configuration, this pod's entry and the files it names", () => {
  const read = judged({}, new Map([...files, ["stray.txt", Buffer.from("x")]]));

  expect(read).toMatchObject({ ok: true, config: { revision: "1" }, pod: { name: "mail-0" } });
  expect(read.ok && [...read.files.keys()].sort()).toEqual([
    "dkim.e1.example.com.pem",
    "dkim.r1.example.com.pem",
    "tls.crt",
    "tls.key",
  ]);
});

test.each([
  ["", "relay.json is not JSON: line 1, column 1"],
  ["{", "relay.json is not JSON: line 1, column 2"],
  ['{\n  "version": 1,\n  "secret": oops\n}', "relay.json is not JSON: line 3, column 13"],
])("%j is refused by its position, without quoting it", (text, reason) => {
  expect(parseConfig(Buffer.from(text), files, "mail-0")).toEqual({ ok: false, revision: null, reason });
});

test.each([
  [{ version: 2 }, "relay.json: version is not 1, the one this relay reads"],
  [{ listeners: [] }, "relay.json: listeners: Too small: expected array to have >=1 items"],
  [
    { listeners: [{ ...receivingConfig().listeners[0], port: 0 }] },
    "relay.json: listeners[0].port: Too small: expected number to be >=1",
  ],
  [{ extra: 1 }, 'relay.json: the document: Unrecognized key: "extra"'],
  [
    { limits: { messageSizeBytes: 1 } },
    "relay.json: limits.messageSizeBytes: Too small: expected number to be >=1024; limits.recipientsPerMessage: Invalid input: expected number, received undefined; limits.sessions: Invalid input: expected number, received undefined; limits.sessionsPerClient: Invalid input: expected number, received undefined",
  ],
])("%j is refused by its path", (changes, reason) => {
  expect(parseConfig(bytesOf({ ...receivingConfig(), ...changes }), files, "mail-0")).toEqual({
    ok: false,
    revision: "1",
    reason,
  });
});

const [submission] = receivingConfig().listeners;
const [app] = credentials;
if (submission === undefined || app === undefined)
  throw new Error("the support has no listener or credential");
const smarthost = {
  kind: "smarthost",
  host: "mx.example",
  port: 587,
  tls: "Verify",
  username: "u",
  passwordFile: "smart.password",
  pool: null,
} as const;
const cases: readonly [Partial<RelayConfig>, string, ReadonlyMap<string, Buffer>?][] = [
  [
    { pods: [{ name: "mail-1", state: "Active", sources: [] }] },
    "pods has no entry for mail-0; it has mail-1",
  ],
  [{ pods: [] }, "pods has no entry for mail-0; it has none"],
  [
    { listeners: [submission, { ...submission, port: 2525 }] },
    "listeners: the name submission is there twice",
  ],
  [
    { listeners: [submission, { ...submission, name: "b", port: 1587 }] },
    "listeners: the port 1587 is there twice",
  ],
  [{ credentials: [app, { ...app, name: "b" }] }, "credentials: the username app is there twice"],
  [
    { credentials: [{ ...app, passwordHash: "secret" }] },
    "credentials[app].passwordHash: not a scrypt hash of bearable cost",
  ],
  [
    { credentials: [{ ...app, queueClass: "bulk" }] },
    "credentials[app].queueClass: bulk is no class of queue.classes",
  ],
  [{}, "certificate.certFile: there is no file tls.crt", new Map()],
  [
    {},
    "certificate.certFile: tls.crt is no certificate in PEM",
    new Map([...files, ["tls.crt", Buffer.from("x")]]),
  ],
  [
    {},
    "certificate.keyFile: tls.key is no private key in PEM",
    new Map([...files, ["tls.key", Buffer.from("x")]]),
  ],
  [
    {},
    "certificate.keyFile: tls.key is not the key of tls.crt",
    new Map([...files, ["tls.key", Buffer.from(other.key)]]),
  ],
  [{}, "domains[example.com].dkim[r1].file: there is no file dkim.r1.example.com.pem", certificateFiles],
  [
    {},
    "domains[example.com].dkim[r1].file: dkim.r1.example.com.pem is no private key in PEM",
    new Map([...files, ["dkim.r1.example.com.pem", Buffer.from("x")]]),
  ],
  [
    {},
    "domains[example.com].dkim[e1]: dkim.e1.example.com.pem is a key for rsa, ed25519-sha256 needs ed25519",
    new Map([...files, ["dkim.e1.example.com.pem", rsa]]),
  ],
  [
    { routes: [{ name: "smart", recipientDomains: [], to: smarthost }] },
    "routes[smart].to.passwordFile: there is no file smart.password",
  ],
  [
    { routes: [{ name: "smart", recipientDomains: [], to: { ...smarthost, passwordFile: null } }] },
    "routes[smart].to.passwordFile: missing, there is a username",
  ],
];
test.each(cases)("%# is refused: %j", (changes, reason, has) => {
  expect(judged(changes, has)).toEqual({ ok: false, revision: "1", reason: `relay.json: ${reason}` });
});

// --- folders ---

const root = await mkdtemp(join(tmpdir(), "relay-config-"));
afterAll(() => rm(root, { recursive: true, force: true }));

async function folder(
  name: string,
  config: unknown,
  has: ReadonlyMap<string, Buffer> = files,
): Promise<string> {
  const dir = join(root, name);
  await mkdir(dir, { recursive: true });
  for (const [file, bytes] of has) await writeFile(join(dir, file), bytes);
  await writeFile(join(dir, "relay.json"), bytesOf(config));
  return dir;
}

test("a plain folder is read", async () => {
  const dir = await folder("plain", receivingConfig(signing));

  expect(await readConfigFolder(dir, "mail-0")).toMatchObject({ ok: true, config: { revision: "1" } });
});

test("a kubelet's folder is read behind ..data, as a whole", async () => {
  const dir = join(root, "mounted");
  await mkdir(dir);
  await folder("mounted/..2026_1", receivingConfig(signing));
  await folder("mounted/..2026_2", receivingConfig({ ...signing, revision: "2" }));
  await symlink("..2026_1", join(dir, "..data"));
  expect(await readConfigFolder(dir, "mail-0")).toMatchObject({ config: { revision: "1" } });

  await symlink("..2026_2", join(dir, "..data_tmp"));
  await rename(join(dir, "..data_tmp"), join(dir, "..data"));
  expect(await readConfigFolder(dir, "mail-0")).toMatchObject({ config: { revision: "2" } });
});

test("a folder that is not there, and a file that is missing, are refusals that say so", async () => {
  const nowhere = join(root, "nowhere");
  expect(await readConfigFolder(nowhere, "mail-0")).toEqual({
    ok: false,
    revision: null,
    reason: `Cannot read ${nowhere}: ENOENT`,
  });
  const dir = await folder("bare", receivingConfig(), new Map());
  expect(await readConfigFolder(dir, "mail-0")).toMatchObject({
    ok: false,
    revision: "1",
    reason: "relay.json: certificate.certFile: there is no file tls.crt",
  });
});

test("a file larger than any configuration is not read", async () => {
  const dir = await folder(
    "large",
    receivingConfig(),
    new Map([...files, ["tls.key", Buffer.alloc(1_048_577)]]),
  );

  expect(await readConfigFolder(dir, "mail-0")).toMatchObject({
    reason: `Cannot read ${dir}: ${join(dir, "tls.key")} has 1048577 bytes, more than 1048576`,
  });
});
