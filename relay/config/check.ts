/**
 * What the schema cannot say of a configuration: names that are there twice, files that are missing, keys
 * that do not fit. Pure but for the cryptography; gives the first thing that is wrong, with its place.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

import type { RelayConfig } from "../contract/config.ts";
import { containerPort } from "../contract/endpoints.ts";
import { parsePasswordHash } from "../kit/passwordHash.ts";

export type PodConfig = RelayConfig["pods"][number];

/** Files of the configuration folder by name: those the configuration names. */
export type ConfigFiles = ReadonlyMap<string, Buffer>;

/** Undefined when all fits. */
export function findContradiction(
  config: RelayConfig,
  pod: PodConfig,
  files: ConfigFiles,
): string | undefined {
  return (
    findDuplicate(config, pod) ??
    findBadCredential(config) ??
    findBadCertificate(config, files) ??
    findBadKey(config, files) ??
    findBadRoute(config, files)
  );
}

function findDuplicate(config: RelayConfig, pod: PodConfig): string | undefined {
  const sets: readonly [string, readonly (string | number)[]][] = [
    ["listeners: the name", config.listeners.map((entry) => entry.name)],
    ["listeners: the port", config.listeners.map((entry) => containerPort(entry.port))],
    ["credentials: the username", config.credentials.map((entry) => entry.username)],
    ["queue.classes: the name", (config.queue.classes ?? []).map((entry) => entry.name)],
    ["domains: the domain", config.domains.map((entry) => entry.domain.toLowerCase())],
    [`pods[${pod.name}].sources: the name`, pod.sources.map((entry) => entry.name)],
  ];
  for (const [what, values] of sets) {
    const twice = values.find((value, index) => values.indexOf(value) !== index);
    if (twice !== undefined) return `${what} ${twice} is there twice`;
  }
  return undefined;
}

function findBadCredential(config: RelayConfig): string | undefined {
  const bad = config.credentials.find((entry) => parsePasswordHash(entry.passwordHash) === undefined);
  if (bad !== undefined) return `credentials[${bad.name}].passwordHash: not a scrypt hash of bearable cost`;
  // Every queue has the class default (relay/policy/queueClass.ts).
  const classes = new Set(["default", ...(config.queue.classes ?? []).map((entry) => entry.name)]);
  for (const { name, queueClass } of config.credentials) {
    if (queueClass === undefined || classes.has(queueClass)) continue;
    return `credentials[${name}].queueClass: ${queueClass} is no class of queue.classes`;
  }
  return undefined;
}

function findBadCertificate(config: RelayConfig, files: ConfigFiles): string | undefined {
  const { certFile, keyFile } = config.certificate;
  const [cert, key] = [files.get(certFile), files.get(keyFile)];
  if (cert === undefined) return `certificate.certFile: there is no file ${certFile}`;
  if (key === undefined) return `certificate.keyFile: there is no file ${keyFile}`;
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    return `certificate.certFile: ${certFile} is no certificate in PEM`;
  }
  const privateKey = readKey(key);
  if (privateKey === undefined) return `certificate.keyFile: ${keyFile} is no private key in PEM`;
  return certificate.checkPrivateKey(privateKey)
    ? undefined
    : `certificate.keyFile: ${keyFile} is not the key of ${certFile}`;
}

function findBadKey(config: RelayConfig, files: ConfigFiles): string | undefined {
  for (const { domain, dkim } of config.domains) {
    for (const { selector, algorithm, file } of dkim) {
      const where = `domains[${domain}].dkim[${selector}]`;
      const bytes = files.get(file);
      if (bytes === undefined) return `${where}.file: there is no file ${file}`;
      const key = readKey(bytes);
      if (key === undefined) return `${where}.file: ${file} is no private key in PEM`;
      const wanted = algorithm === "rsa-sha256" ? "rsa" : "ed25519";
      if (key.asymmetricKeyType !== wanted) {
        return `${where}: ${file} is a key for ${key.asymmetricKeyType}, ${algorithm} needs ${wanted}`;
      }
    }
  }
  return undefined;
}

function findBadRoute(config: RelayConfig, files: ConfigFiles): string | undefined {
  // Pools are not looked for: one without sources on this pod holds its mail and says so (NoSource), while a
  // refused configuration would hold back everything else.
  for (const { name, to } of config.routes) {
    if (to.kind !== "smarthost" || to.username === null) continue;
    const where = `routes[${name}].to.passwordFile`;
    if (to.passwordFile === null) return `${where}: missing, there is a username`;
    if (!files.has(to.passwordFile)) return `${where}: there is no file ${to.passwordFile}`;
  }
  return undefined;
}

function readKey(pem: Buffer): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
