/**
 * A self-signed server certificate, for relays whose owner has named none: TLS works at once, and the
 * relay's condition says that clients have no reason to trust it. ECDSA on P-256, X.509 version 3.
 */
// @peculiar/x509 resolves its algorithms through metadata of this package.
import "reflect-metadata";
import { webcrypto } from "node:crypto";

import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** Both as PEM. */
export interface CertificateAndKey {
  readonly certificate: string;
  readonly key: string;
}

const VALID_DAYS = 730;
const DAY_MS = 86_400_000;
/** Clocks of clients may be behind ours. */
const BACKDATED_MS = 3_600_000;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate for this DNS name, valid from `now` (milliseconds since the epoch) for two years. */
export async function selfSignedCertificate(hostname: string, now: number): Promise<CertificateAndKey> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    // The common name holds 64 characters (RFC 5280 appendix A.1, ub-common-name); longer ones stay in the SAN.
    name: `CN=${hostname.length <= 64 ? hostname : "smtp-relay"}`,
    notBefore: new Date(now - BACKDATED_MS),
    notAfter: new Date(now + VALID_DAYS * DAY_MS),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      // All a server key of TLS 1.2 with ECDHE or of TLS 1.3 is used for.
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([{ type: "dns", value: hostname }]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { certificate: `${certificate.toString("pem")}\n`, key: pem("PRIVATE KEY", key) };
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
