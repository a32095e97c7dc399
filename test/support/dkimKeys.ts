/** DKIM private keys for tests, made once a run: RSA keys take their time. */
import { generateKeyPairSync } from "node:crypto";

/** An RSA-2048 private key in PKCS#8 PEM. */
export const rsaPem = pem(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey);
/** Another one. */
export const otherRsaPem = pem(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey);
/** An Ed25519 private key in PKCS#8 PEM. */
export const ed25519Pem = pem(generateKeyPairSync("ed25519").privateKey);
export const otherEd25519Pem = pem(generateKeyPairSync("ed25519").privateKey);

function pem(key: ReturnType<typeof generateKeyPairSync>["privateKey"]): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
