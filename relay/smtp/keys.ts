/**
 * DKIM private keys: PKCS#8 PEM in, a key that can sign out, or a refusal that says what is wrong with it.
 * Neither the PEM nor anything made of it occurs in a refusal.
 */
import { createPrivateKey, type KeyObject } from "node:crypto";

import type { SigningKey } from "./sign.ts";

/** RFC 8301 §3.2: signers MUST use at least 1024 bits, and SHOULD use 2048. */
export const SMALLEST_RSA_BITS = 1024;
/** Verifiers need not take more than 4096 (RFC 8301 §3.2), and each signature costs more. */
export const LARGEST_RSA_BITS = 4096;

export type KeyParse =
  | { readonly kind: "key"; readonly key: KeyObject }
  | { readonly kind: "refused"; readonly reason: string };

/** `reason` completes "the key …": "is no PKCS#8 PEM", "is of type rsa, not ed25519". */
export function parseSigningKey(pem: string | Buffer, algorithm: SigningKey["algorithm"]): KeyParse {
  const refused = (reason: string): KeyParse => ({ kind: "refused", reason });
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: "pem" });
  } catch {
    return refused("is no private key in PEM (PKCS#8, not encrypted)");
  }
  const wanted = algorithm === "rsa-sha256" ? "rsa" : "ed25519";
  if (key.asymmetricKeyType !== wanted) {
    return refused(`is of type ${key.asymmetricKeyType ?? "unknown"}, ${algorithm} needs ${wanted}`);
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (wanted === "rsa" && (bits === undefined || bits < SMALLEST_RSA_BITS || bits > LARGEST_RSA_BITS)) {
    return refused(
      `has ${bits ?? "an unknown number of"} bits, RSA keys need ${SMALLEST_RSA_BITS} to ${LARGEST_RSA_BITS}`,
    );
  }
  return { kind: "key", key };
}
