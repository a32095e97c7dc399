/**
 * The sending domains as the relay takes them: which may send now, and which keys sign.
 *
 * With verification: Require a domain is Held until an RSA key of it signs: RSA is the signature every
 * receiver can check (RFC 8463 §6), and it signs only once it was seen in DNS.
 */
import type { SendingDomain } from "../../crds/kinds.ts";
import { dkimKeyFile } from "../../relay/contract/endpoints.ts";
import type { SendingDomainConfig } from "../../relay/contract/config.ts";
import type { RelayWorld } from "../world.ts";
import { domainOwner } from "./claims.ts";
import { type KeyStatus, pemEntry } from "./dkimKeys.ts";
import { dkimRecordName } from "./dkimRecord.ts";
import { dkimSecretName, relayNames } from "./names.ts";

export interface DomainConfigs {
  readonly domains: readonly SendingDomainConfig[];
  /** Key files, base64. */
  readonly files: Readonly<Record<string, string>>;
}

export function planDomains(world: RelayWorld): DomainConfigs {
  const files: Record<string, string> = {};
  const domains = world.domains
    .filter((domain) => domain.metadata.deletionTimestamp === undefined)
    // Who claimed it first has it; two entries of one domain would be a toss-up.
    .filter((domain) => domainOwner(domain, world.allDomains) === null)
    .map((domain): SendingDomainConfig => {
      const keys = activeKeys(domain).flatMap((key) => {
        const file = dkimKeyFile(domain.spec.domain, key.selector);
        const pem = keyData(domain, key, file, world);
        if (pem === undefined) return [];
        files[file] = pem;
        return [{ selector: key.selector, algorithm: key.algorithm, file }];
      });
      const reason = whyHeld(domain, keys);
      return {
        domain: domain.spec.domain,
        state: reason === null ? "Active" : "Held",
        reason: reason ?? "",
        dkim: keys,
      };
    })
    .concat(unread(world, files))
    .toSorted((a, b) => (a.domain < b.domain ? -1 : 1));
  return { domains, files };
}

/** Domains whose object cannot be read send and sign as they do now, until somebody puts it right. */
function unread(world: RelayWorld, files: Record<string, string>): readonly SendingDomainConfig[] {
  const names = new Set(world.unreadDomains);
  for (const { spec } of world.domains) names.delete(spec.domain);
  const kept = (world.publishedConfig?.domains ?? []).filter(({ domain }) => names.has(domain));
  const runtime = world.secrets.get(relayNames(world.relay.metadata.name).runtimeSecret);
  for (const { file } of kept.flatMap(({ dkim }) => dkim)) {
    const pem = runtime?.data?.[file];
    if (pem !== undefined) files[file] = pem;
  }
  return kept;
}

function activeKeys(domain: SendingDomain): readonly KeyStatus[] {
  return (domain.status?.dkim?.keys ?? []).filter(({ state }) => state === "Active");
}

/** From the domain's Secret; should that be gone, the copy the pods use now. */
function keyData(domain: SendingDomain, key: KeyStatus, file: string, world: RelayWorld): string | undefined {
  const own = world.secrets.get(dkimSecretName(domain.metadata.name));
  const runtime = world.secrets.get(relayNames(world.relay.metadata.name).runtimeSecret);
  return own?.data?.[pemEntry(key.selector)] ?? runtime?.data?.[file];
}

/** Null: mail is taken. The text goes to clients behind a 451. */
export function whyHeld(
  domain: SendingDomain,
  keys: readonly { readonly algorithm: string }[],
): string | null {
  if (domain.spec.verification === "Warn") return null;
  if (keys.some(({ algorithm }) => algorithm === "rsa-sha256")) return null;
  const waiting = (domain.status?.dkim?.keys ?? []).find(
    (key) => key.state === "Publishing" && key.algorithm === "rsa-sha256",
  );
  return waiting === undefined
    ? "its DKIM keys are not made yet"
    : `its DKIM record ${dkimRecordName(waiting.selector, domain.spec.domain)} was not seen in DNS yet`;
}
