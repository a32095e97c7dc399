/**
 * Who may submit: each credential's password, where it comes from, and what is wrong with it. A Secret of
 * the owner's own that goes missing takes nothing down: the hash in force stays in force.
 */
import { createHash } from "node:crypto";

import { GROUP } from "../../crds/group.ts";
import type { SmtpRelay } from "../../crds/kinds.ts";
import type { SmtpRelaySpec, SmtpRelayStatus } from "../../crds/smtpRelay.ts";
import type { Credential } from "../../relay/contract/config.ts";
import type { Need, Problem, RelayWorld } from "../world.ts";
import { relayLabels } from "./labels.ts";
import { relayNames } from "./names.ts";
import type { PasswordToHash } from "./passwords.ts";
import { degraded } from "./problem.ts";
import { foreign, madeFor, secretText } from "./secrets.ts";
import type { PlanTools } from "./tools.ts";

type CredentialSpec = SmtpRelaySpec["auth"]["credentials"][number];
export type CredentialState = NonNullable<SmtpRelayStatus["credentials"]>[number];

export interface ReadCredential {
  readonly spec: CredentialSpec;
  readonly secretName: string;
  /** The Secret is ours to make and keep. */
  readonly ours: boolean;
  readonly username: string;
  /** Null: not there (yet). */
  readonly password: string | null;
  readonly state: CredentialState["state"];
  readonly problem: Problem | null;
}

/** Bound of the user name on the wire (RelayConfig). */
const LONGEST_USERNAME = 255;

export function readCredentials(world: RelayWorld): readonly ReadCredential[] {
  const read = world.relay.spec.auth.credentials.map((spec) => readCredential(spec, world));
  const owners = new Map<string, string>();
  return read.map((one) => {
    const taken = one.password === null ? undefined : owners.get(one.username);
    if (taken !== undefined) {
      const message = `Credential ${one.spec.name}: user name ${JSON.stringify(one.username)} is that of credential ${taken} already.`;
      return { ...one, password: null, state: "SecretInvalid", problem: degraded("SecretInvalid", message) };
    }
    if (one.password !== null) owners.set(one.username, one.spec.name);
    return one;
  });
}

function readCredential(spec: CredentialSpec, world: RelayWorld): ReadCredential {
  const names = relayNames(world.relay.metadata.name);
  const ours = spec.secretRef === undefined;
  const secretName = spec.secretRef?.name ?? names.credentialSecret(spec.name);
  const base = { spec, secretName, ours, username: spec.name };
  const invalid = (message: string): ReadCredential => ({
    ...base,
    password: null,
    state: "SecretInvalid",
    problem: degraded("SecretInvalid", `Credential ${spec.name}: ${message}`),
  });
  const reserved: readonly string[] = [names.runtimeSecret, names.selfSignedSecret];
  if (ours && reserved.includes(secretName)) {
    return invalid(`its Secret would be ${secretName}, which is the relay's own; choose another name.`);
  }
  const secret = world.secrets.get(secretName);
  if (ours && secret !== undefined && !madeFor(world.relay, secret)) {
    return invalid(`${foreign(secretName)}. Name it in secretRef to use it, or delete one of the two.`);
  }
  if (secret === undefined && !ours) {
    return {
      ...base,
      password: null,
      state: "SecretMissing",
      problem: degraded("SecretMissing", `Credential ${spec.name}: Secret ${secretName} does not exist.`),
    };
  }
  const password = secretText(secret, "password");
  if (password === null && !ours) return invalid(`Secret ${secretName} has no entry "password".`);
  const username = ours ? spec.name : (secretText(secret, "username") ?? spec.name);
  if (username.length > LONGEST_USERNAME || hasControl(username)) {
    return invalid(
      `entry "username" of Secret ${secretName} must be one line of at most ${LONGEST_USERNAME} characters.`,
    );
  }
  const unknown = unknownDomains(spec, world);
  return {
    ...base,
    username,
    password,
    state: unknown.length > 0 ? "DomainUnknown" : "Ready",
    problem:
      unknown.length === 0
        ? null
        : degraded(
            "DomainUnknown",
            `Credential ${spec.name}: no SendingDomain of this relay is ${unknown.slice(0, 3).join(", ")}.`,
          ),
  };
}

function hasControl(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

function unknownDomains(spec: CredentialSpec, world: RelayWorld): readonly string[] {
  const known = new Set(world.domains.map((domain) => domain.spec.domain));
  return spec.domains.filter((domain) => !known.has(domain));
}

/** Passwords to be made. */
export function passwordNeeds(relay: SmtpRelay, credentials: readonly ReadCredential[]): readonly Need[] {
  const labels = relayLabels(relay.metadata.name, "credentials");
  return credentials
    .filter((one) => one.ours && one.password === null && one.problem === null)
    .map((one) => ({ kind: "password", secretName: one.secretName, credential: one.spec.name, labels }));
}

/** The passwords `planRelay` will ask to have hashed, each with the hash in force. */
export function passwordsToHash(world: RelayWorld): readonly PasswordToHash[] {
  const credentials = readCredentials(world);
  const runtime = world.secrets.get(relayNames(world.relay.metadata.name).runtimeSecret);
  const checked =
    runtime?.metadata.annotations?.[CHECKED_ANNOTATION] === credentialVersions(credentials, world);
  return credentials.flatMap(({ spec, password }) => {
    if (password === null) return [];
    const previousHash = published(world, spec.name)?.passwordHash ?? null;
    return [{ credential: spec.name, password, previousHash, checked: checked && previousHash !== null }];
  });
}

/**
 * On the runtime Secret: which versions of the credentials' Secrets its hashes were checked against. To check a
 * password costs some 40 ms of CPU and 16 MiB; an operator that starts anew would pay that for every
 * credential. Versions tell nothing about a password, as a quick digest of it would.
 */
export const CHECKED_ANNOTATION = `${GROUP}/credential-versions`;

export function credentialVersions(credentials: readonly ReadCredential[], world: RelayWorld): string {
  const versions = credentials.map(({ spec, secretName }) => {
    const { uid = "", resourceVersion = "" } = world.secrets.get(secretName)?.metadata ?? {};
    return [spec.name, secretName, uid, resourceVersion];
  });
  return createHash("sha256").update(JSON.stringify(versions)).digest("hex").slice(0, 32);
}

/** Credentials as the relay takes them; one without a password keeps what is in force, if anything is. */
export function configCredentials(
  credentials: readonly ReadCredential[],
  world: RelayWorld,
  tools: PlanTools,
): readonly Credential[] {
  return credentials.flatMap(({ spec, username, password }) => {
    const before = published(world, spec.name);
    const known =
      password === null
        ? before
        : { username, passwordHash: tools.hashPassword(password, before?.passwordHash ?? null) };
    if (known === undefined) return [];
    return [
      {
        name: spec.name,
        username: known.username,
        passwordHash: known.passwordHash,
        domains: [...spec.domains],
        ...(spec.queueClass === undefined ? {} : { queueClass: spec.queueClass }),
      },
    ];
  });
}

function published({ publishedConfig }: RelayWorld, name: string): Credential | undefined {
  return publishedConfig?.credentials.find((credential) => credential.name === name);
}

/** What an application has to know, besides user name and password. */
export function connectionSettings(
  relay: SmtpRelay,
  environment: RelayWorld["environment"],
): { readonly host: string; readonly port: number; readonly security: "STARTTLS" | "TLS" } {
  const listener = relay.spec.listeners[0];
  if (listener === undefined)
    throw new Error(`Cannot name connection settings: relay ${relay.metadata.name} has no listener`);
  return {
    host: environment.submissionHost ?? relay.spec.hostname,
    port: environment.submissionPorts[listener.port] ?? listener.port,
    security: listener.tls === "Implicit" ? "TLS" : "STARTTLS",
  };
}
