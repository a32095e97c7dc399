/**
 * Self-signed certificates for tests: what a relay is given as tls.crt and tls.key. EC P-256, because an
 * RSA key takes a noticeable part of a second to make; the DER of RFC 5280 §4.1 is written by hand, it is
 * twenty lines and needs no package.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface TestCertificate {
  /** PEM. */
  readonly cert: string;
  /** PKCS#8 PEM. */
  readonly key: string;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const OID_COMMON_NAME = "550403";
const OID_ECDSA_WITH_SHA256 = "2a8648ce3d040302";
const OID_SUBJECT_ALT_NAME = "551d11";
const DAY_MS = 86_400_000;

/** A certificate for `hostname`, valid around now for a year. */
export function makeCertificate(hostname: string): Promise<TestCertificate> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(SEQUENCE, oid(OID_ECDSA_WITH_SHA256));
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, oid(OID_COMMON_NAME), der(0x0c, Buffer.from(hostname)))));
  const alternativeNames = der(SEQUENCE, der(0x82, Buffer.from(hostname)));
  const toBeSigned = der(
    SEQUENCE,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)])),
    algorithm,
    name,
    der(SEQUENCE, utcTime(Date.now() - DAY_MS), utcTime(Date.now() + 365 * DAY_MS)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(SEQUENCE, der(SEQUENCE, oid(OID_SUBJECT_ALT_NAME), der(0x04, alternativeNames)))),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign("sha256", toBeSigned, privateKey)]);
  const certificate = der(SEQUENCE, toBeSigned, algorithm, der(0x03, signature));
  const lines = certificate.toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n");
  return Promise.resolve({
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  });
}

/** Tag, length (X.690 §8.1.3), contents. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  const length =
    body.length < 0x80
      ? [body.length]
      : body.length < 0x100
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, "hex"));
}

function utcTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, "").slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}
