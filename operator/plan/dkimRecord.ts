/**
 * The DKIM record of a key (RFC 6376 §3.6.1, RFC 8463 §4): what to publish, and whether what is seen will
 * do. The public half comes from the private one, so that record and signature cannot disagree.
 */
import { createPublicKey } from "node:crypto";

import type { Verdict } from "./dnsVerdict.ts";
import { parseTagList } from "./tagList.ts";

export type DkimAlgorithm = "rsa-sha256" | "ed25519-sha256";

/** A subject public key info of Ed25519 is a 12-byte prefix and the 32 bytes DNS wants (RFC 8410 §4). */
const ED25519_SPKI_BYTES = 44;
const ED25519_KEY_BYTES = 32;
/** RFC 8301 §3.2: signers SHOULD use keys of at least 2048 bits. */
const LEAST_RSA_BITS = 2048;

/** What the record says of a private key in PEM: the algorithm, and the public key in base64; null when DKIM has no use for it. */
export function publicKeyOf(
  privatePem: string,
): { readonly algorithm: DkimAlgorithm; readonly publicKey: string } | null {
  try {
    const key = createPublicKey(privatePem);
    const der = key.export({ type: "spki", format: "der" });
    if (key.asymmetricKeyType === "rsa") {
      const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
      return bits >= LEAST_RSA_BITS ? { algorithm: "rsa-sha256", publicKey: der.toString("base64") } : null;
    }
    return key.asymmetricKeyType === "ed25519" && der.length === ED25519_SPKI_BYTES
      ? { algorithm: "ed25519-sha256", publicKey: der.subarray(-ED25519_KEY_BYTES).toString("base64") }
      : null;
  } catch {
    return null;
  }
}

export function dkimRecordName(selector: string, domain: string): string {
  return `${selector}._domainkey.${domain}`;
}

export function dkimRecordValue(publicKey: string, algorithm: DkimAlgorithm): string {
  return `v=DKIM1; k=${keyType(algorithm)}; p=${publicKey}`;
}

const keyType = (algorithm: DkimAlgorithm) => (algorithm === "rsa-sha256" ? "rsa" : "ed25519");

/** Judges the TXT values at a selector against the value expected there. Strings arrive joined. */
export function judgeDkim(expected: string, values: readonly string[]): Verdict {
  const [value, ...others] = values;
  if (value === undefined) return { state: "Missing" };
  // RFC 6376 §3.6.2.2: the result with several records is undefined.
  if (others.length > 0)
    return { state: "Different", detail: `${values.length} TXT records; there must be one` };
  const want = parseTagList(expected);
  const tags = parseTagList(value);
  if (tags === null) return { state: "Different", detail: "not a list of tags such as v=DKIM1; k=rsa; p=…" };
  const different = (detail: string): Verdict => ({ state: "Different", detail });
  if ((tags.get("v") ?? "DKIM1") !== "DKIM1") return different(`v=${tags.get("v")} is not DKIM1`);
  if ((tags.get("k") ?? "rsa") !== want?.get("k")) {
    return different(`k=${tags.get("k") ?? "rsa"}, but the key is ${want?.get("k")}`);
  }
  const seen = tags.get("p")?.replace(/\s/g, "");
  if (seen === undefined) return different("p= is missing");
  if (seen === "") return different("p= is empty, which revokes the key");
  if (seen !== want?.get("p")) return different(whatDiffers(seen, want?.get("p") ?? ""));
  const hashes = tags
    .get("h")
    ?.split(":")
    .map((hash) => hash.trim());
  if (hashes !== undefined && !hashes.includes("sha256"))
    return different(`h=${tags.get("h")} forbids sha256`);
  const flags =
    tags
      .get("t")
      ?.split(":")
      .map((flag) => flag.trim()) ?? [];
  // RFC 6376 §3.6.1: with t=y verifiers treat signed mail as unsigned.
  if (flags.includes("y")) return different("t=y declares the key to be a test; remove it");
  return { state: "Verified" };
}

/** A long value cut by a form or a copy is the common mistake, so it is named. */
function whatDiffers(seen: string, wanted: string): string {
  return wanted.startsWith(seen)
    ? `p= ends after ${seen.length} of ${wanted.length} characters`
    : "p= holds another key";
}
