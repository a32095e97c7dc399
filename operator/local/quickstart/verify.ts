/**
 * Verifies DKIM signatures with an implementation that is not ours (mailauth), asking the published zone
 * over the network as any receiver would.
 */
import { Resolver } from "node:dns/promises";

import { dkimVerify, type DNSResolver } from "mailauth";

export interface SignatureVerdict {
  readonly selector: string;
  readonly algorithm: string;
  /** Valid, and by the domain in From. */
  readonly valid: boolean;
  /** Why not, when not. */
  readonly reason: string;
}

export type Verify = (content: Buffer) => Promise<SignatureVerdict[]>;

/** `server`: "address:port" of the zone's name server. */
export function createVerifier(server: string): Verify {
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  resolver.setServers([server]);
  const lookup: DNSResolver = async (name, type) => {
    if (type === "TXT") return await resolver.resolveTxt(name);
    return (await resolver.resolve(name, type)) as string[];
  };
  return async (content) => {
    const { results } = await dkimVerify(content, { resolver: lookup });
    return results
      .filter(({ signingDomain }) => signingDomain !== undefined && signingDomain !== "")
      .map((result) => {
        const valid = result.status.result === "pass" && Boolean(result.status.aligned);
        return {
          selector: result.selector ?? "",
          algorithm: result.algo ?? "",
          valid,
          reason: valid ? "" : `${result.status.result} ${result.status.comment ?? ""}`.trim(),
        };
      });
  };
}
