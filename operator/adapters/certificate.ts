/**
 * A self-signed server certificate, for relays whose owner has named none: TLS works at once, and the
 * relay's condition says that clients have no reason to trust it.
 *
 * ECDSA on P-256 (RFC 5480), X.509 version 3 (RFC 5280 §4.1). The DER it takes is written here: it is
 * forty lines, and a certificate library would bring twenty packages for it.
 */
import { createHash, generateKeyPair, type KeyObject, randomBytes, sign } from "node:crypto";
import { promisify } from "node:util";

/** Both as PEM. */
export interface CertificateAndKey {
  readonly certificate: string;
  readonly key: string;
}

const VALID_DAYS = 730;
const DAY_MS = 86_400_000;
/** Clocks of clients may be behind ours. */
const BACKDATED_MS = 3_600_000;

const oids = {
  commonName: "550403",
  ecdsaWithSha256: "2a8648ce3d040302",
  subjectKeyIdentifier: "551d0e",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  extendedKeyUsage: "551d25",
  serverAuth: "2b06010505070301",
} as const;

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  dnsName: 0x82,
  version: 0xa0,
  extensions: 0xa3,
} as const;

/** A certificate for this DNS name, valid from `now` (milliseconds since the epoch) for two years. */
export async function selfSignedCertificate(hostname: string, now: number): Promise<CertificateAndKey> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)("ec", { namedCurve: "P-256" });
  const body = toBeSigned(hostname, publicKey, now);
  const signature = sign("sha256", body, privateKey);
  const certificate = sequence(body, algorithm, der(tags.bitString, Buffer.from([0]), signature));
  return {
    certificate: pem("CERTIFICATE", certificate),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function toBeSigned(hostname: string, publicKey: KeyObject, now: number): Buffer {
  const name = distinguishedName(hostname);
  const keyInfo = publicKey.export({ type: "spki", format: "der" });
  return sequence(
    der(tags.version, der(tags.integer, Buffer.from([2]))),
    serialNumber(),
    algorithm,
    name,
    sequence(time(now - BACKDATED_MS), time(now + VALID_DAYS * DAY_MS)),
    name,
    keyInfo,
    der(
      tags.extensions,
      sequence(
        extension(oids.basicConstraints, sequence(), { critical: true }),
        // Bit 0, digitalSignature: all a server key of TLS 1.2 with ECDHE or of TLS 1.3 is used for.
        extension(oids.keyUsage, der(tags.bitString, Buffer.from([7, 0x80])), { critical: true }),
        extension(oids.extendedKeyUsage, sequence(oid(oids.serverAuth))),
        extension(oids.subjectAltName, sequence(der(tags.dnsName, Buffer.from(hostname, "ascii")))),
        extension(
          oids.subjectKeyIdentifier,
          der(tags.octetString, createHash("sha1").update(keyInfo).digest()),
        ),
      ),
    ),
  );
}

/** The common name holds 64 characters (RFC 5280 appendix A.1, ub-common-name); longer ones stay in the SAN. */
function distinguishedName(hostname: string): Buffer {
  const commonName = hostname.length <= 64 ? hostname : "smtp-relay";
  return sequence(
    der(tags.set, sequence(oid(oids.commonName), der(tags.utf8String, Buffer.from(commonName)))),
  );
}

/** Positive and at most 20 bytes (RFC 5280 §4.1.2.2). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return der(tags.integer, bytes);
}

/** UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, "").slice(0, 14);
  return Number(digits.slice(0, 4)) < 2050
    ? der(tags.utcTime, Buffer.from(`${digits.slice(2)}Z`))
    : der(tags.generalizedTime, Buffer.from(`${digits}Z`));
}

function extension(id: string, value: Buffer, options: { readonly critical?: boolean } = {}): Buffer {
  const critical = options.critical === true ? [der(tags.boolean, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...critical, der(tags.octetString, value));
}

function oid(hex: string): Buffer {
  return der(tags.oid, Buffer.from(hex, "hex"));
}

function sequence(...items: readonly Buffer[]): Buffer {
  return der(tags.sequence, ...items);
}

/** Tag, length (X.690 §8.1.3), contents. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const significant = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | significant.length]), significant, body]);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

const algorithm = sequence(oid(oids.ecdsaWithSha256));
