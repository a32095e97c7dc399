import { generateKeyPairSync } from "node:crypto";

import { expect, test } from "vitest";

import { parseSigningKey } from "./keys.ts";

const pkcs8 = { format: "pem", type: "pkcs8" } as const;
const rsa = (modulusLength: number) =>
  generateKeyPairSync("rsa", { modulusLength }).privateKey.export(pkcs8).toString();
const ed25519 = generateKeyPairSync("ed25519");
const ed25519Pem = ed25519.privateKey.export(pkcs8).toString();

test("keys of the right type and size are taken", () => {
  expect(parseSigningKey(rsa(1024), "rsa-sha256").kind).toBe("key");
  expect(parseSigningKey(Buffer.from(ed25519Pem), "ed25519-sha256").kind).toBe("key");
});

test.each([
  {
    because: "small RSA",
    pem: rsa(768),
    algorithm: "rsa-sha256",
    reason: /has 768 bits, RSA keys need 1024 to 4096/,
  },
  {
    because: "swapped types",
    pem: ed25519Pem,
    algorithm: "rsa-sha256",
    reason: /is of type ed25519, .* needs rsa/,
  },
  {
    because: "swapped types",
    pem: rsa(1024),
    algorithm: "ed25519-sha256",
    reason: /of type rsa, .* needs ed25519/,
  },
  { because: "no PEM", pem: "hello", algorithm: "rsa-sha256", reason: /no private key in PEM/ },
  {
    because: "cut",
    pem: ed25519Pem.slice(0, 60),
    algorithm: "ed25519-sha256",
    reason: /no private key in PEM/,
  },
  {
    because: "public half",
    pem: ed25519.publicKey.export({ format: "pem", type: "spki" }).toString(),
    algorithm: "ed25519-sha256",
    reason: /no private key in PEM/,
  },
] as const)("a key that cannot sign is refused with the reason: $because", ({ pem, algorithm, reason }) => {
  expect(parseSigningKey(pem, algorithm)).toEqual({
    kind: "refused",
    reason: expect.stringMatching(reason) as string,
  });
});

test("a refusal carries nothing of the key", () => {
  const pem = ed25519Pem.replace("MC4C", "????");
  const parsed = parseSigningKey(pem, "ed25519-sha256");

  expect(parsed.kind).toBe("refused");
  expect(JSON.stringify(parsed)).not.toContain(pem.split("\n")[1]?.slice(8, 20));
});
