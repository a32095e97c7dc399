/** A relay's world in which everything is there, its plan, and how to look into that. */
import { planRelay } from "../../operator/plan/relay.ts";
import type { PlanTools } from "../../operator/plan/tools.ts";
import type { RelayPlan, RelayWorld } from "../../operator/world.ts";
import { aDomain, anEnvironment, aPool, aRelay, aRelaySecret, aSecret, NOON } from "./builders.ts";
import { makeCertificate } from "./certificate.ts";
import { ed25519Pem, rsaPem } from "./dkimKeys.ts";

export const certificate = await makeCertificate("mail.example.com");
export const hashOf = (password: string) =>
  `$scrypt$ln=14,r=8,p=1$c2FsdA$${Buffer.from(password).toString("base64url")}`;
const tools: PlanTools = { hashPassword: (password) => hashOf(password) };

export const activeDomain = aDomain({
  status: {
    dkim: {
      secretName: "example-com-dkim",
      keys: [
        { selector: "r2611", algorithm: "rsa-sha256", state: "Active", createdAt: "2026-11-23T11:00:00Z" },
        {
          selector: "e2611",
          algorithm: "ed25519-sha256",
          state: "Active",
          createdAt: "2026-11-23T11:00:00Z",
        },
        { selector: "r2605", algorithm: "rsa-sha256", state: "Retiring", createdAt: "2026-05-01T00:00:00Z" },
      ],
    },
  },
});

/** An address that passed its check, on stage 1, given wholly to one pod. */
export const warming = (name: string, ip: string, pod: string) => ({
  name,
  ip,
  state: "Warming" as const,
  checks: [],
  warmup: {
    stage: 1,
    stages: 14,
    startedOn: "2026-11-23",
    stageSince: "2026-11-23",
    day: "2026-11-23",
    dayLimit: 200,
    usedToday: 0,
    tomorrowLimit: 500,
    nextStage: "",
  },
  shares: [{ pod: `default/${pod}`, permille: 1000, spoolSince: "2026-11-23T11:00:00Z" }],
});
export const readyPool = aPool({
  status: { addresses: [warming("a", "192.0.2.10", "mail-0"), warming("b", "192.0.2.11", "mail-1")] },
});

export const secrets = {
  "mail-app": aRelaySecret("mail-app", { password: "s3/cret" }),
  "mail-tls-self-signed": aRelaySecret("mail-tls-self-signed", {
    "tls.crt": certificate.cert,
    "tls.key": certificate.key,
  }),
  "example-com-dkim": aSecret("example-com-dkim", { "r2611.pem": rsaPem, "e2611.pem": ed25519Pem }),
};

export function world(overrides: Partial<RelayWorld> = {}): RelayWorld {
  const relay = overrides.relay ?? aRelay();
  return {
    now: NOON,
    environment: anEnvironment(),
    relay,
    domains: [activeDomain],
    allDomains: [activeDomain],
    pools: [readyPool],
    allPools: [readyPool],
    poolRelays: [relay],
    secrets: new Map(Object.entries(secrets)),
    statefulSet: null,
    pods: [],
    publishedConfig: null,
    ...overrides,
  };
}

export const plan = (overrides: Partial<RelayWorld> = {}) => planRelay(world(overrides), tools);
export const object = (of: RelayPlan, kind: string, name: string) =>
  of.objects.find((one) => one.kind === kind && one.metadata.name === name);
export const text = (of: RelayPlan, secret: string, entry: string) => {
  const data = (object(of, "Secret", secret)?.["data"] ?? {}) as Record<string, string>;
  return Buffer.from(data[entry] ?? "", "base64").toString();
};
export const configOf = (of: RelayPlan) => {
  if (of.config === null) throw new Error(`no configuration: ${JSON.stringify(of.problems)}`);
  return of.config;
};
