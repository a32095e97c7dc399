/**
 * The certificate of the listeners: the owner's Secret, or a self-signed one of ours. One that cannot be
 * used leaves the last good one in force, which the runtime Secret still holds.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";

import type { Reason } from "../../crds/conditions.ts";
import { configFiles } from "../../relay/contract/endpoints.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { Need, Plan, Problem, RelayWorld, SecretObject } from "../world.ts";
import { relayLabels } from "./labels.ts";
import { relayNames } from "./names.ts";
import { blocking, degraded } from "./problem.ts";
import { foreign, keptSecret, madeFor, secretText } from "./secrets.ts";

export interface Certificate {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly selfSigned: boolean;
}

export interface CertificatePlan {
  /** Null: there is none yet. */
  readonly certificate: Certificate | null;
  readonly objects: readonly ApplyObject[];
  readonly deletes: Plan["deletes"];
  readonly needs: readonly Need[];
  readonly problems: readonly Problem[];
}

/** A self-signed certificate is made anew this long before it ends. */
const RENEW_BEFORE_MS = 30 * 86_400_000;
const secretType = { apiVersion: "v1", kind: "Secret", plural: "secrets" } as const;
const none = { objects: [], deletes: [], needs: [], problems: [] } as const;

export function planCertificate(world: RelayWorld): CertificatePlan {
  const { relay } = world;
  const secretRef = relay.spec.certificate?.secretRef;
  if (secretRef === undefined) return selfSigned(world);
  const secret = world.secrets.get(secretRef.name);
  const read = secret === undefined ? null : readPair(secret);
  const problem = (reason: Reason, text: string) => {
    const kept = keptCertificate(world);
    const message = `Secret ${secretRef.name} ${text}`;
    return kept === null
      ? { ...none, certificate: null, problems: [blocking(reason, `${message}.`)] }
      : {
          ...none,
          certificate: kept,
          problems: [degraded(reason, `${message}; the last good certificate stays in use.`)],
        };
  };
  if (secret === undefined) return problem("CertificateMissing", "does not exist");
  if (typeof read === "string") return problem("CertificateInvalid", read);
  if (read === null) return problem("CertificateMissing", "does not exist");
  const { certificate } = read;
  const flaw = flawOf(certificate, relay.spec.hostname, world.now);
  return {
    ...none,
    certificate: { ...read.pair, selfSigned: false },
    // Clients will complain, yet a wrong certificate serves better than none.
    problems: flaw === null ? [] : [degraded("CertificateInvalid", `Secret ${secretRef.name} ${flaw}.`)],
  };
}

function selfSigned(world: RelayWorld): CertificatePlan {
  const { relay, now } = world;
  const name = relayNames(relay.metadata.name).selfSignedSecret;
  const secret = world.secrets.get(name);
  if (secret !== undefined && !madeFor(relay, secret)) {
    const kept = keptCertificate(world);
    const message = `${foreign(name)}. Name it in spec.certificate.secretRef to use it, or delete it.`;
    const problem = kept === null ? blocking : degraded;
    return { ...none, certificate: kept, problems: [problem("CertificateInvalid", message)] };
  }
  const read = secret === undefined ? null : readPair(secret);
  if (secret === undefined || read === null || typeof read === "string") {
    return {
      certificate: keptCertificate(world),
      objects: [],
      // What is there cannot be used, and a need never replaces an entry.
      deletes: secret === undefined ? [] : [deletion(relay.metadata.namespace, name)],
      needs:
        secret === undefined
          ? [
              {
                kind: "certificate",
                secretName: name,
                hostname: relay.spec.hostname,
                labels: relayLabels(relay.metadata.name, "certificate"),
              },
            ]
          : [],
      problems: [],
    };
  }
  const certificate = { ...read.pair, selfSigned: true };
  const outdated =
    read.certificate.checkHost(relay.spec.hostname) === undefined ||
    Date.parse(read.certificate.validTo) - now < RENEW_BEFORE_MS;
  // Deleted now and made on the next look; the copy in the runtime Secret serves meanwhile.
  if (outdated) return { ...none, certificate, deletes: [deletion(relay.metadata.namespace, name)] };
  const object = keptSecret(relay, name, "certificate", secret.data ?? {}, { type: "kubernetes.io/tls" });
  return { ...none, certificate, objects: [object] };
}

function deletion(namespace: string, name: string): Plan["deletes"][number] {
  return { type: secretType, key: { namespace, name } };
}

/** The pair the pods use now. */
function keptCertificate(world: RelayWorld): Certificate | null {
  const runtime = world.secrets.get(relayNames(world.relay.metadata.name).runtimeSecret);
  const read = runtime === undefined ? null : readPair(runtime);
  if (read === null || typeof read === "string") return null;
  // Self-signed is who signed for itself; a wrong guess costs a hint in Ready.
  return { ...read.pair, selfSigned: read.certificate.issuer === read.certificate.subject };
}

interface Pair {
  readonly certificate: X509Certificate;
  readonly pair: { readonly certificatePem: string; readonly keyPem: string };
}

/** The pair, or what is wrong with it. */
function readPair(secret: SecretObject): Pair | string | null {
  const certificatePem = secretText(secret, configFiles.certificate);
  const keyPem = secretText(secret, configFiles.certificateKey);
  if (certificatePem === null) return `has no entry "${configFiles.certificate}"`;
  if (keyPem === null) return `has no entry "${configFiles.certificateKey}"`;
  try {
    const certificate = new X509Certificate(certificatePem);
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) return "holds a key of another certificate";
    return { certificate, pair: { certificatePem, keyPem } };
  } catch {
    return "holds no certificate and key in PEM";
  }
}

function flawOf(certificate: X509Certificate, hostname: string, now: number): string | null {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (now > to) return `expired on ${new Date(to).toISOString().slice(0, 10)}`;
  if (now < from) return `is not valid before ${new Date(from).toISOString().slice(0, 10)}`;
  return certificate.checkHost(hostname) === undefined ? `is not for ${hostname}` : null;
}
