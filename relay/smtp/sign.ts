/**
 * DKIM signatures (RFC 6376, RFC 8463): one field per key, all from one body hash that was taken while the
 * message came in, so that signing costs a header parse and the key operations. Those run in the thread
 * pool: an RSA signature of 0.3 ms would otherwise stall every session.
 */
import { createHash, type KeyObject, sign } from "node:crypto";

import type { Instant } from "../message.ts";
import { signedHeader } from "./dkim/canonicalHeader.ts";
import { unsignedField } from "./dkim/signatureField.ts";
import { parseHeader } from "./header.ts";

export interface SigningKey {
  readonly selector: string;
  readonly algorithm: "rsa-sha256" | "ed25519-sha256";
  /** A private key of that type (keys.ts checks). */
  readonly key: KeyObject;
}

export interface SignOrder {
  /** The stored header block, with or without the empty line that ends it; CRLF line ends. */
  readonly header: Buffer;
  /** Base64 SHA-256 of the relaxed body (bodyHash.ts). */
  readonly bodyHash: string;
  /** The signing domain, d=. */
  readonly domain: string;
  /** RFC 8463 §3: sign with RSA as well as Ed25519, for receivers that know only the one. */
  readonly keys: readonly SigningKey[];
  readonly signedAt: Instant;
}

/**
 * The DKIM-Signature fields, each ending in CRLF, to be put in front of the header; empty without keys.
 * Rejects when the message has no From field or a key does not fit its algorithm.
 */
export async function signMessage(order: SignOrder): Promise<Buffer> {
  if (order.keys.length === 0) return Buffer.alloc(0);
  const { names, canonical } = signedHeader(parseHeader(order.header, { mostFields: Infinity }));
  const fields = await Promise.all(
    order.keys.map(async ({ selector, algorithm, key }) => {
      const field = unsignedField({
        algorithm,
        domain: order.domain.toLowerCase(),
        selector,
        signedAtSeconds: Math.floor(order.signedAt / 1000),
        names,
        bodyHash: order.bodyHash,
      });
      const signature = await signed(algorithm, Buffer.from(canonical + field.canonical, "latin1"), key);
      return field.withSignature(signature.toString("base64"));
    }),
  );
  return Buffer.from(fields.join(""), "latin1");
}

function signed(algorithm: SigningKey["algorithm"], data: Buffer, key: KeyObject): Promise<Buffer> {
  const wanted = algorithm === "rsa-sha256" ? "rsa" : "ed25519";
  if (key.type !== "private" || key.asymmetricKeyType !== wanted) {
    const fact = `the ${key.type} key is of type ${key.asymmetricKeyType ?? "unknown"}`;
    return Promise.reject(new Error(`Cannot sign with ${algorithm}: ${fact}.`));
  }
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, signature: Buffer) => {
      if (error === null) resolve(signature);
      else reject(new Error(`Cannot sign with ${algorithm}: ${error.message}`, { cause: error }));
    };
    // RFC 8463 §3: PureEdDSA over the SHA-256 hash, not over the data.
    if (algorithm === "ed25519-sha256") sign(null, createHash("sha256").update(data).digest(), key, done);
    else sign("sha256", data, key, done);
  });
}
