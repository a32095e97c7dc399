/**
 * What only one object may have, found across all files of a folder: its own name, a domain, an address,
 * a port of this machine. Whoever comes second is refused, with the place of the first.
 */
import type { Segments } from "../../crds/problems.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { ManifestDocument, Place, Refusal } from "./manifestYaml.ts";
import { objectKey } from "./objectKey.ts";

interface Claim {
  /** What only one may have: "domain example.test". */
  readonly subject: string;
  readonly segments: Segments;
  readonly path: string;
}

export function claimedTwice(
  manifests: readonly { readonly object: ApplyObject; readonly document: ManifestDocument }[],
): Refusal[] {
  const first = new Map<string, { readonly place: Place; readonly key: string }>();
  const refusals: Refusal[] = [];
  for (const { object, document } of manifests) {
    const key = objectKey(object);
    for (const claim of claimsOf(object)) {
      const place = document.locate(claim.segments);
      const earlier = first.get(claim.subject);
      if (earlier === undefined) {
        first.set(claim.subject, { place, key });
        continue;
      }
      const there = `${earlier.place.file}:${earlier.place.line}`;
      const by = earlier.key === key ? "" : ` by ${earlier.key}`;
      refusals.push({
        place,
        text: `${claim.path}: Duplicate value: ${claim.subject} is claimed at ${there}${by} already`,
      });
    }
  }
  return refusals;
}

function claimsOf(object: ApplyObject): Claim[] {
  const claims: Claim[] = [
    { subject: objectKey(object), segments: ["metadata", "name"], path: "metadata.name" },
  ];
  const spec = (object["spec"] ?? {}) as Record<string, unknown>;
  if (object.kind === "SendingDomain") {
    claims.push({
      subject: `domain ${String(spec["domain"])}`,
      segments: ["spec", "domain"],
      path: "spec.domain",
    });
  }
  if (object.kind === "IpPool") {
    (spec["addresses"] as { ip: string }[]).forEach(({ ip }, index) => {
      claims.push({
        subject: `address ${ip}`,
        segments: ["spec", "addresses", index, "ip"],
        path: `spec.addresses[${index}].ip`,
      });
    });
  }
  if (object.kind === "SmtpRelay") {
    // A cluster gives each relay an address of its own; this machine has one for all of them.
    const listeners = spec["listeners"] as { port: number }[];
    listeners.forEach(({ port }, index) => {
      claims.push({
        subject: `port ${port} of this machine`,
        segments: ["spec", "listeners", index, "port"],
        path: `spec.listeners[${index}].port`,
      });
    });
  }
  return claims;
}
