/**
 * SendingDomain → its key Secret, the keys to make, and the records it needs. The order of arrival does not
 * matter: keys are made and records named before the relay exists.
 */
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { DomainWorld, ExpectedRecord, Need, Plan, Problem } from "../world.ts";
import { domainOwner, nameOf } from "./claims.ts";
import { createdAnnotation, type KeyPlan, pemEntry, planKeys } from "./dkimKeys.ts";
import { domainRecords } from "./dnsRecords.ts";
import { domainLabels, ownedBy } from "./labels.ts";
import { dkimSecretName } from "./names.ts";
import { blocking, degraded } from "./problem.ts";

/** The questions to ask DNS about this domain. */
export function expectedDomainRecords(world: Omit<DomainWorld, "dns">): readonly ExpectedRecord[] {
  return domainRecords(world.domain, planKeys(world).published, world.pools);
}

export function planDomain(world: DomainWorld): Plan {
  const { domain } = world;
  if (domain.metadata.deletionTimestamp !== undefined) return nothing;
  const problems: Problem[] = [];
  const owner = domainOwner(domain, world.allDomains);
  if (owner !== null) {
    problems.push(
      blocking(
        "DomainClaimed",
        `${domain.spec.domain} belongs to ${nameOf(owner)}, which is older; delete one of the two.`,
      ),
    );
  }
  if (world.relay === null) {
    const what = world.relayUnread === true ? "cannot be read, as it says itself" : "does not exist";
    problems.push(
      blocking(
        "RelayMissing",
        `SmtpRelay ${domain.metadata.namespace}/${domain.spec.relayRef.name} ${what}.`,
      ),
    );
  }
  const keys = planKeys(world);
  if (keys.unusable.length > 0) {
    problems.push(
      degraded(
        "SecretInvalid",
        `Secret ${dkimSecretName(domain.metadata.name)}: ${keys.unusable.join(", ")} is no RSA (2048 bits or more) or Ed25519 private key in PEM.`,
      ),
    );
  }
  const secret = keySecret(world, keys);
  return {
    objects: secret === null ? [] : [secret],
    deletes: [],
    // A domain that belongs to another gets no keys: they would never sign.
    needs: owner === null ? keyNeeds(world, keys) : [],
    problems,
  };
}

const nothing: Plan = { objects: [], deletes: [], needs: [], problems: [] };

function keyNeeds({ domain }: DomainWorld, { toMake }: KeyPlan): readonly Need[] {
  return toMake.map((key) => ({
    kind: "dkimKey",
    secretName: dkimSecretName(domain.metadata.name),
    ...key,
  }));
}

/** Null while no key exists. What cannot be read is kept: someone put it there. */
function keySecret({ domain, keySecret: present }: DomainWorld, plan: KeyPlan): ApplyObject | null {
  const entries = Object.entries(present?.data ?? {});
  const current = new Map(plan.published.map((key) => [pemEntry(key.selector), key]));
  const kept = entries.filter(([entry]) => current.has(entry) || plan.unusable.includes(entry));
  if (kept.length === 0) return null;
  const created = [...current.values()].map((key) => [createdAnnotation(key.selector), key.createdAt]);
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: dkimSecretName(domain.metadata.name),
      namespace: domain.metadata.namespace,
      labels: domainLabels(domain.metadata.name),
      annotations: Object.fromEntries(created),
      // Retain: without an owner the keys outlive the domain object, and a new one of that name finds them.
      ...(domain.spec.dkim.deletionPolicy === "Delete" ? { ownerReferences: [ownedBy(domain)] } : {}),
    },
    type: "Opaque",
    data: Object.fromEntries(kept),
  };
}
