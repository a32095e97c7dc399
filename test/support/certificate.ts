/** A certificate of its own authority for one host: what a relay is given as tls.crt and tls.key. */
import { type TestCertificate, testAuthority } from "./testCertificate.ts";

export async function makeCertificate(hostname: string): Promise<TestCertificate> {
  return testAuthority().issue(hostname);
}
