import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";

import { expect, test } from "vitest";

import { systemClock } from "../../relay/kit/clock.ts";
import { createKeyGenerator } from "./keyGenerator.ts";

const keys = createKeyGenerator({ clock: systemClock });

test("DKIM keys are RSA with 2048 bits and Ed25519, in PKCS#8", async () => {
  const [rsa, ed25519] = await Promise.all([keys.dkimKey("rsa-sha256"), keys.dkimKey("ed25519-sha256")]);

  expect(createPrivateKey(rsa).asymmetricKeyDetails?.modulusLength).toBe(2048);
  expect(createPrivateKey(ed25519).asymmetricKeyType).toBe("ed25519");
  expect(rsa).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
});

test("every key is a new one, also when many are asked for at once", async () => {
  const made = await Promise.all(Array.from({ length: 20 }, () => keys.dkimKey("ed25519-sha256")));

  expect(new Set(made).size).toBe(20);
});

test("a certificate is for its name, for two years, and fits its key", async () => {
  const { certificate, key } = await keys.certificate("mail.example.com");
  const read = new X509Certificate(certificate);

  expect(read.subjectAltName).toBe("DNS:mail.example.com");
  expect(read.checkHost("mail.example.com")).toBe("mail.example.com");
  expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect(read.verify(createPublicKey(key))).toBe(true);
  expect(read.ca).toBe(false);
  const days = (read.validToDate.getTime() - read.validFromDate.getTime()) / 86_400_000;
  expect(Math.round(days)).toBe(730);
});

test("a name longer than a common name may be is still served", async () => {
  const long = `${"a".repeat(60)}.${"b".repeat(60)}.example.com`;

  expect(new X509Certificate((await keys.certificate(long)).certificate).checkHost(long)).toBe(long);
});

test("a client that is given the certificate as its authority trusts the server", async () => {
  const { certificate, key } = await keys.certificate("mail.example.com");
  const server = createServer({ cert: certificate, key }, (socket) => socket.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connect({ host: "127.0.0.1", port, servername: "mail.example.com", ca: certificate });
  await once(client, "secureConnect");

  expect(client.authorized).toBe(true);
  client.destroy();
  server.close();
});
