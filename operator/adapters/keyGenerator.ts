/**
 * Makes DKIM key pairs and self-signed certificates, off the main thread and a few at a time: hundreds of
 * domains applied at once must not starve password checks and disk writes, which share the threads.
 */
import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";

import type { Clock } from "../../relay/kit/clock.ts";
import { type CertificateAndKey, selfSignedCertificate } from "./certificate.ts";
import { createLimiter } from "./limiter.ts";

export type DkimAlgorithm = "rsa-sha256" | "ed25519-sha256";

export interface KeyGenerator {
  /** A new private key, PKCS#8 PEM. */
  dkimKey(algorithm: DkimAlgorithm): Promise<string>;
  /** A new self-signed server certificate for this name. */
  certificate(hostname: string): Promise<CertificateAndKey>;
}

/** RFC 8301 §3.2: signers should use at least 2048 bits; larger keys do not fit all DNS providers. */
const RSA_BITS = 2048;
const AT_A_TIME = 2;

const generate = promisify(generateKeyPair);

export function createKeyGenerator(options: { readonly clock: Clock }): KeyGenerator {
  const inTurn = createLimiter(AT_A_TIME);
  return {
    dkimKey: (algorithm) =>
      inTurn(async () => {
        const { privateKey } =
          algorithm === "rsa-sha256"
            ? await generate("rsa", { modulusLength: RSA_BITS })
            : await generate("ed25519");
        return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
      }),
    certificate: (hostname) => inTurn(() => selfSignedCertificate(hostname, options.clock.now())),
  };
}
