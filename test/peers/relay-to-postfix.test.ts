/**
 * The whole way of a message among strangers: swaks submits over TLS with AUTH, the relay keeps, signs and
 * delivers from a pool address to the MX that NSD publishes and Unbound resolves, Postfix takes it in over
 * TLS, and two independent verifiers judge the signatures as they stand in the mailbox.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

import { dkimKeyFile } from "../../relay/contract/endpoints.ts";
import { hashPassword } from "../../relay/kit/passwordHash.ts";
import { systemRandom } from "../../relay/kit/random.ts";
import { makeCertificate } from "../support/certificate.ts";
import { peerProgram } from "../support/peers/debian.ts";
import { type NameServer, startNsd, startUnbound } from "../support/peers/dnsServers.ts";
import { type Postfix, startPostfix } from "../support/peers/postfix.ts";
import { freePort, runProgram } from "../support/peers/program.ts";
import { pythonDkimVerdicts } from "../support/peers/pythonDkim.ts";
import { type RelayProcess, startRelay, testConfig } from "../support/relayProcess.ts";

const MX_ADDRESS = "127.0.0.25";
const SOURCE_ADDRESS = "127.0.0.11";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const ed25519 = generateKeyPairSync("ed25519").privateKey;
const txtRecords = {
  "r2611._domainkey.example.test": `v=DKIM1; k=rsa; p=${spki(rsa).toString("base64")}`,
  // RFC 8463 §4: p= of an Ed25519 key is its 32 raw bytes, the end of the SPKI structure.
  "e2611._domainkey.example.test": `v=DKIM1; k=ed25519; p=${spki(ed25519).subarray(-32).toString("base64")}`,
};

function spki(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}

let scratch: string;
let postfix: Postfix;
let authority: NameServer;
let resolver: NameServer;
let relay: RelayProcess;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "peers-"));
  const certificate = await makeCertificate("mx.inbox.test");
  const certFile = join(scratch, "mx.crt");
  const keyFile = join(scratch, "mx.key");
  await writeFile(certFile, certificate.cert);
  await writeFile(keyFile, certificate.key, { mode: 0o600 });
  const port = await freePort(MX_ADDRESS);
  postfix = await startPostfix({
    host: MX_ADDRESS,
    port,
    mailboxDomains: ["inbox.test"],
    certificate: { certFile, keyFile },
  });
  authority = await startNsd({
    "inbox.test": zone(`@ IN MX 10 mx\nmx IN A ${MX_ADDRESS}\n`),
    "elsewhere.test": zone("@ IN MX 10 mx.inbox.test.\n"),
    "example.test": zone(
      Object.entries(txtRecords)
        .map(
          ([name, value]) =>
            `${name}. IN TXT ${(value.match(/.{1,255}/g) ?? []).map((part) => `"${part}"`).join(" ")}\n`,
        )
        .join(""),
    ),
  });
  resolver = await startUnbound(["inbox.test", "elsewhere.test", "example.test"], authority);
  const pem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();
  const passwordHash = await hashPassword("correct horse", systemRandom);
  const base = testConfig({ listenerPort: 1 });
  relay = await startRelay({
    config: (listenerPort) => ({
      ...base,
      listeners: [
        { name: "submission", port: listenerPort, tls: "StartTls", auth: "Required", trustedNetworks: [] },
      ],
      credentials: [{ name: "app", username: "app", passwordHash, domains: [] }],
      domains: [
        {
          domain: "example.test",
          state: "Active",
          reason: "",
          dkim: [
            { selector: "r2611", algorithm: "rsa-sha256", file: dkimKeyFile("example.test", "r2611") },
            { selector: "e2611", algorithm: "ed25519-sha256", file: dkimKeyFile("example.test", "e2611") },
          ],
        },
        { domain: "inbox.test", state: "Active", reason: "", dkim: [] },
      ],
      dns: { servers: [resolver.address] },
      delivery: { port: postfix.port, forbiddenNetworks: [] },
    }),
    files: {
      [dkimKeyFile("example.test", "r2611")]: pem(rsa),
      [dkimKeyFile("example.test", "e2611")]: pem(ed25519),
    },
  });
});

afterAll(async () => {
  await relay?.[Symbol.asyncDispose]();
  await resolver?.[Symbol.asyncDispose]();
  await authority?.[Symbol.asyncDispose]();
  await postfix?.[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});

function zone(records: string): string {
  return `$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n${records}`;
}

/** Submits with swaks and returns its transcript. */
function swaks(...args: readonly string[]): Promise<string> {
  return runProgram(peerProgram("swaks"), [
    ...["--server", `127.0.0.1:${relay.port}`, "-tls", "--auth", "PLAIN"],
    ...["--auth-user", "app", "--auth-password", "correct horse"],
    ...["--from", "sender@example.test", ...args],
  ]);
}

/** Postfix has answered 250 before its own local delivery: waits for the files. */
async function inMailbox(address: string, count: number): Promise<readonly Buffer[]> {
  return vi.waitFor(
    async () => {
      const messages = await postfix.mailbox(address);
      if (messages.length !== count) {
        throw new Error(`${address} has ${messages.length} messages of ${count}:\n${await postfix.log()}`);
      }
      return messages;
    },
    { timeout: 20_000, interval: 50 },
  );
}

async function delivered(address: string): Promise<Buffer> {
  await relay.until((report) => report.queue.recipients === 0);
  const messages = await inMailbox(address, 1);
  // A Maildir keeps LF line ends; on the wire, where it was signed, they were CRLF.
  return Buffer.from((messages[0] ?? Buffer.alloc(0)).toString("latin1").replace(/\r?\n/g, "\r\n"), "latin1");
}

test("a message from swaks reaches a Postfix mailbox with both signatures valid to two verifiers", async () => {
  const transcript = await swaks(
    "--to",
    "bob@inbox.test",
    "--h-Subject",
    "Quarterly   figures ",
    "--body",
    "Dear Bob,\n.dot\n\nbye  \n\n",
  );

  expect(transcript).toMatch(/250 2\.0\.0 Ok: queued as [0-9A-Z]{26}/);
  const message = await delivered("bob@inbox.test");
  expect(await pythonDkimVerdicts(message, txtRecords)).toEqual([true, true]);
  const judged = await dkimVerify(message, {
    resolver: async (name: string) => {
      const value = (txtRecords as Record<string, string>)[name];
      if (value === undefined) throw Object.assign(new Error("no such record"), { code: "ENOTFOUND" });
      return [[value]];
    },
  });
  expect(judged.results.map((result) => `${result.algo} ${result.status.result}`).toSorted()).toEqual([
    "ed25519-sha256 pass",
    "rsa-sha256 pass",
  ]);
});

test("Postfix sees the pool's address and EHLO name, and TLS", async () => {
  await swaks("--to", "carol@inbox.test");

  const header = (await delivered("carol@inbox.test")).toString("latin1");
  expect(header).toMatch(
    new RegExp(`from a\\.mail\\.example\\.test \\(.*\\[${SOURCE_ADDRESS.replaceAll(".", "\\.")}\\]\\)`),
  );
  expect(header).toMatch(/using TLSv1\.[23]/);
});

test("a recipient Postfix refuses comes back to the sender as a delivery status notification", async () => {
  // Postfix knows no mailbox of elsewhere.test, which the route sends to it all the same; the sender reads at inbox.test.
  await swaks(
    "--to",
    "nobody@elsewhere.test",
    "--from",
    "reader@inbox.test",
    "--h-From",
    "reader@inbox.test",
  );

  const notice = (await delivered("reader@inbox.test")).toString("latin1");
  expect(notice).toMatch(/^Content-Type: multipart\/report; report-type=delivery-status;/m);
  expect(notice).toMatch(/^Final-Recipient: rfc822; ?nobody@elsewhere\.test/m);
  expect(notice).toMatch(/^Action: failed/m);
  expect(notice).toMatch(/^Diagnostic-Code: smtp; ?554 5\.7\.1 /m);
  expect(notice).toMatch(/^Return-Path: <>/m);
});

test("smtp-source with many sessions loses nothing", async () => {
  await relay.configure({ ...testConfigWithTrust(relay.port), revision: "test-2" });
  await relay.until((report) => report.appliedRevision === "test-2");
  await runProgram(peerProgram("smtp-source"), [
    ...["-s", "10", "-m", "200", "-l", "4096", "-f", "sender@example.test", "-t", "load@inbox.test"],
    `127.0.0.1:${relay.port}`,
  ]);

  await relay.until((report) => report.queue.recipients === 0, 60);
  expect(await inMailbox("load@inbox.test", 200)).toHaveLength(200);
});

/** The same relay, but this machine may submit without AUTH: smtp-source has neither TLS nor AUTH. */
function testConfigWithTrust(port: number): ReturnType<typeof testConfig> {
  return testConfig({
    listenerPort: port - relay.shift,
    dns: { servers: [resolver.address] },
    delivery: { port: postfix.port, forbiddenNetworks: [] },
  });
}
