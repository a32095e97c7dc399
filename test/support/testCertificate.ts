/**
 * Certificates for tests: an authority made on the spot, and leaves it signs for the names asked for.
 * X.509 (RFC 5280 §4.1) in as much DER as that needs, so that no test depends on a key in the repository.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

export interface TestCertificate {
  readonly key: string;
  readonly cert: string;
}

export interface TestAuthority {
  /** PEM of the authority, for `ca`. */
  readonly ca: string;
  /** A certificate for these DNS names, with its key. */
  issue(...names: string[]): TestCertificate;
}

export function testAuthority(): TestAuthority {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = "Test Authority";
  const ca = certificate({ subject: name, issuer: name, key: privateKey, signer: privateKey, names: [] });
  return {
    ca,
    issue(...names) {
      const leaf = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
      return {
        key: leaf.export({ type: "pkcs8", format: "pem" }).toString(),
        cert: certificate({
          subject: names[0] ?? "test",
          issuer: name,
          key: leaf,
          signer: privateKey,
          names,
        }),
      };
    },
  };
}

interface Wanted {
  readonly subject: string;
  readonly issuer: string;
  readonly key: KeyObject;
  readonly signer: KeyObject;
  /** Names of a leaf; none: an authority. */
  readonly names: readonly string[];
}

function certificate(wanted: Wanted): string {
  const ecdsaWithSha256 = sequence(der(0x06, Buffer.from("2a8648ce3d040302", "hex")));
  const basicConstraints = sequence(
    der(0x06, Buffer.from("551d13", "hex")),
    der(0x01, Buffer.from([0xff])),
    der(0x04, sequence(der(0x01, Buffer.from([0xff])))),
  );
  const alternativeNames = sequence(
    der(0x06, Buffer.from("551d11", "hex")),
    der(0x04, sequence(...wanted.names.map((name) => der(0x82, Buffer.from(name))))),
  );
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    commonName(wanted.issuer),
    sequence(der(0x17, Buffer.from("200101000000Z")), der(0x17, Buffer.from("491231235959Z"))),
    commonName(wanted.subject),
    createPublicKey(wanted.key).export({ type: "spki", format: "der" }),
    der(0xa3, sequence(wanted.names.length === 0 ? basicConstraints : alternativeNames)),
  );
  const signature = sign("sha256", body, wanted.signer);
  const whole = sequence(body, ecdsaWithSha256, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function commonName(name: string): Buffer {
  const attribute = sequence(der(0x06, Buffer.from("550403", "hex")), der(0x0c, Buffer.from(name)));
  return sequence(der(0x31, attribute));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), content]);
}
