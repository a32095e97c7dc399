import { expect, test } from "vitest";

import { relayConfig } from "../../relay/contract/config.ts";
import {
  aDomain,
  anEnvironment,
  aPod,
  aPool,
  aRelay,
  aSecret,
  aSilentPod,
  NOON,
} from "../../test/support/builders.ts";
import { makeCertificate } from "../../test/support/certificate.ts";
import { ed25519Pem, rsaPem } from "../../test/support/dkimKeys.ts";
import type { RelayPlan, RelayWorld } from "../world.ts";
import { passwordsToHash } from "./credentials.ts";
import { planRelay } from "./relay.ts";
import type { PlanTools } from "./tools.ts";

const certificate = await makeCertificate("mail.example.com");
const hashOf = (password: string) =>
  `$scrypt$ln=14,r=8,p=1$c2FsdA$${Buffer.from(password).toString("base64url")}`;
const tools: PlanTools = { hashPassword: (password) => hashOf(password) };

const activeDomain = aDomain({
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
const warming = (name: string, ip: string, pod: string) => ({
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
const readyPool = aPool({
  status: { addresses: [warming("a", "192.0.2.10", "mail-0"), warming("b", "192.0.2.11", "mail-1")] },
});

const secrets = {
  "mail-app": aSecret("mail-app", { password: "s3/cret" }),
  "mail-tls-self-signed": aSecret("mail-tls-self-signed", {
    "tls.crt": certificate.cert,
    "tls.key": certificate.key,
  }),
  "example-com-dkim": aSecret("example-com-dkim", { "r2611.pem": rsaPem, "e2611.pem": ed25519Pem }),
};

function world(overrides: Partial<RelayWorld> = {}): RelayWorld {
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

const plan = (overrides: Partial<RelayWorld> = {}) => planRelay(world(overrides), tools);
const object = (of: RelayPlan, kind: string, name: string) =>
  of.objects.find((one) => one.kind === kind && one.metadata.name === name);
const text = (of: RelayPlan, secret: string, entry: string) => {
  const data = (object(of, "Secret", secret)?.["data"] ?? {}) as Record<string, string>;
  return Buffer.from(data[entry] ?? "", "base64").toString();
};
const configOf = (of: RelayPlan) => {
  if (of.config === null) throw new Error(`no configuration: ${JSON.stringify(of.problems)}`);
  return of.config;
};

test("a relay becomes these objects, in this order, all owned by it", () => {
  const { objects, needs, problems } = plan();

  expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    "Secret mail-tls-self-signed",
    "Secret mail-app",
    "Secret mail-runtime",
    "Service mail-pods",
    "Service mail",
    "StatefulSet mail",
  ]);
  expect(new Set(objects.map(({ metadata }) => metadata.ownerReferences?.[0]?.uid))).toEqual(
    new Set(["SmtpRelay-default-mail"]),
  );
  expect(new Set(objects.map(({ metadata }) => metadata.labels?.["smtprelay.dev/relay"]))).toEqual(
    new Set(["mail"]),
  );
  expect([needs, problems]).toEqual([[], []]);
});

test("the configuration says all of it, in the relay's words", () => {
  const config = configOf(plan());

  expect(relayConfig.safeParse(config).error).toBeUndefined();
  expect(config).toEqual({
    version: 1,
    revision: expect.stringMatching(/^1-[0-9a-f]{16}$/),
    relay: { namespace: "default", name: "mail", hostname: "mail.example.com" },
    paused: false,
    listeners: [
      { name: "submission", port: 587, tls: "StartTls", auth: "Required", trustedNetworks: [] },
      { name: "submissions", port: 465, tls: "Implicit", auth: "Required", trustedNetworks: [] },
    ],
    certificate: { certFile: "tls.crt", keyFile: "tls.key" },
    limits: {
      messageSizeBytes: 26_214_400,
      recipientsPerMessage: 1000,
      sessions: 5000,
      sessionsPerClient: 200,
    },
    credentials: [{ name: "app", username: "app", passwordHash: hashOf("s3/cret"), domains: [] }],
    domains: [
      {
        domain: "example.com",
        state: "Active",
        reason: "",
        dkim: [
          { selector: "r2611", algorithm: "rsa-sha256", file: "dkim.r2611.example.com.pem" },
          { selector: "e2611", algorithm: "ed25519-sha256", file: "dkim.e2611.example.com.pem" },
        ],
      },
    ],
    routes: [{ name: "default", recipientDomains: [], to: { kind: "pool", pool: "default" } }],
    queue: { expireAfterSeconds: 432_000, retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 } },
    tlsOutbound: { mode: "Opportunistic", minVersion: "TLSv1.2" },
    dns: { servers: [] },
    delivery: { port: 25, forbiddenNetworks: [] },
    privacy: { addressesInLogs: "Hashed" },
    pods: [
      {
        name: "mail-0",
        state: "Active",
        usageSince: "2026-11-23T11:00:00Z",
        sources: [
          {
            name: "default/a",
            pool: "default",
            address: "192.0.2.10",
            ehloName: "a.mail.example.com",
            state: "Active",
            stateReason: "",
            allowance: expect.arrayContaining([
              {
                day: "2026-11-23",
                total: 200,
                providers: expect.objectContaining({ google: 80, apple: 20 }),
              },
              { day: "2026-11-24", total: 500, providers: expect.objectContaining({ google: 200 }) },
              { day: "2026-11-30", total: 40_000, providers: expect.objectContaining({ google: 16_000 }) },
            ]),
          },
        ],
      },
      {
        name: "mail-1",
        state: "Active",
        usageSince: "2026-11-23T11:00:00Z",
        sources: [expect.objectContaining({ name: "default/b", address: "192.0.2.11" })],
      },
    ],
  });
});

test("the runtime Secret holds the configuration and every file it names", () => {
  const made = plan();
  const data = object(made, "Secret", "mail-runtime")?.["data"] as Record<string, string>;

  expect(Object.keys(data)).toEqual([
    "dkim.e2611.example.com.pem",
    "dkim.r2611.example.com.pem",
    "relay.json",
    "tls.crt",
    "tls.key",
  ]);
  expect(JSON.parse(text(made, "mail-runtime", "relay.json"))).toEqual(made.config);
});

test("an application finds all it needs in one Secret", () => {
  const made = plan();

  expect(
    Object.fromEntries(
      ["host", "port", "username", "password", "uri"].map((entry) => [entry, text(made, "mail-app", entry)]),
    ),
  ).toEqual({
    host: "mail.example.com",
    port: "587",
    username: "app",
    password: "s3/cret",
    uri: "smtp://app:s3%2Fcret@mail.example.com:587",
  });
  expect(text(made, "mail-app", "ca.crt")).toBe(certificate.cert);
});

test("local mode shows the host and port that reach it", () => {
  const made = plan({
    environment: anEnvironment({ submissionHost: "127.0.0.1", submissionPorts: { 587: 1587 } }),
  });

  expect(text(made, "mail-app", "uri")).toBe("smtp://app:s3%2Fcret@127.0.0.1:1587");
});

test("the pod template has boot-time facts and obeys the restricted pod standard", () => {
  const spec = object(plan(), "StatefulSet", "mail")?.["spec"];

  expect(spec).toMatchObject({
    replicas: 2,
    serviceName: "mail-pods",
    podManagementPolicy: "Parallel",
    persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" },
    template: {
      spec: {
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
        containers: [
          {
            image: "smtp-relay:test",
            command: ["node", "relay/main.ts"],
            env: [
              { name: "SMTP_RELAY_POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
              { name: "SMTP_RELAY_CONFIG_DIR", value: "/etc/smtp-relay" },
              { name: "SMTP_RELAY_SPOOL_DIR", value: "/var/spool/smtp-relay" },
            ],
            ports: [
              { name: "status", containerPort: 8025 },
              { containerPort: 1587 },
              { containerPort: 1465 },
            ],
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ["ALL"] },
            },
          },
        ],
      },
    },
  });
});

test("configuration does not touch the pod template", () => {
  const before = object(plan(), "StatefulSet", "mail");
  const after = object(
    plan({ relay: aRelay({ spec: { paused: true, privacy: { addressesInLogs: "Plain" } } }), domains: [] }),
    "StatefulSet",
    "mail",
  );

  expect(after).toEqual(before);
});

test("planning again with what was applied changes nothing, the revision least of all", () => {
  const first = plan();
  const runtime = object(first, "Secret", "mail-runtime");
  const applied = new Map(Object.entries(secrets));
  if (runtime !== undefined)
    applied.set("mail-runtime", { ...aSecret("mail-runtime", {}), ...(runtime as object) });
  const second = plan({ publishedConfig: configOf(first), secrets: applied });

  expect(second).toEqual(first);
});

test("a configuration that returns to an earlier content is a new revision", () => {
  const first = configOf(plan());
  const paused = configOf(plan({ relay: aRelay({ spec: { paused: true } }), publishedConfig: first }));
  const back = configOf(plan({ publishedConfig: paused }));

  expect([first, paused, back].map(({ revision }) => revision.split("-")[0])).toEqual(["1", "2", "3"]);
  expect(back.revision.split("-")[1]).toBe(first.revision.split("-")[1]);
});

test("should the published configuration be lost, its serial does not come again", () => {
  const pods = [aPod("mail-0", { appliedRevision: "7-0123456789abcdef" }), aSilentPod("mail-1")];

  expect(configOf(plan({ pods })).revision).toMatch(/^8-/);
});

test("a changed key file is a new revision", () => {
  const first = configOf(plan());
  const changed = new Map(Object.entries(secrets));
  changed.set("example-com-dkim", aSecret("example-com-dkim", { "r2611.pem": rsaPem, "e2611.pem": rsaPem }));
  const second = configOf(plan({ secrets: changed, publishedConfig: first }));

  expect(second.revision).not.toBe(first.revision);
  expect({ ...second, revision: "" }).toEqual({ ...first, revision: "" });
});

test("what only chance can make is asked for, and pods wait for a certificate", () => {
  const { needs, config, objects, problems } = plan({ secrets: new Map() });

  expect(needs).toEqual([
    { kind: "certificate", secretName: "mail-tls-self-signed", hostname: "mail.example.com" },
    { kind: "password", secretName: "mail-app", credential: "app" },
  ]);
  expect(config).toBeNull();
  expect(objects.map(({ kind }) => kind)).toEqual(["Service", "Service"]);
  expect(problems).toEqual([]);
});

test("a domain is held until its RSA key signs, or at once with verification: Warn", () => {
  const waits = aDomain({
    status: {
      dkim: {
        secretName: "example-com-dkim",
        keys: [
          {
            selector: "r2611",
            algorithm: "rsa-sha256",
            state: "Publishing",
            createdAt: "2026-11-23T11:00:00Z",
          },
          {
            selector: "e2611",
            algorithm: "ed25519-sha256",
            state: "Active",
            createdAt: "2026-11-23T11:00:00Z",
          },
        ],
      },
    },
  });
  const entry = (domain: typeof waits) =>
    configOf(plan({ domains: [domain], allDomains: [domain] })).domains[0];

  expect(entry(waits)).toMatchObject({
    state: "Held",
    reason: "its DKIM record r2611._domainkey.example.com was not seen in DNS yet",
    dkim: [{ selector: "e2611" }],
  });
  expect(entry(aDomain())).toMatchObject({
    state: "Held",
    reason: "its DKIM keys are not made yet",
    dkim: [],
  });
  expect(entry({ ...waits, spec: { ...waits.spec, verification: "Warn" } })).toMatchObject({
    state: "Active",
  });
});

test("of two domain objects the older one's keys sign, the younger is left out", () => {
  const younger = aDomain({ metadata: { name: "copy", creationTimestamp: "2026-11-23T11:59:00Z" } });
  const { domains } = configOf(
    plan({ domains: [younger, activeDomain], allDomains: [younger, activeDomain] }),
  );

  expect(domains).toHaveLength(1);
  expect(domains[0]?.dkim).toHaveLength(2);
});

test("a missing pool is named, and what runs stays as it is", () => {
  const published = configOf(plan());
  const gone = plan({ pools: [], publishedConfig: published });

  expect(gone.config).toBeNull();
  expect(gone.problems).toEqual([
    { severity: "Blocking", reason: "PoolMissing", message: "IpPool default/default does not exist." },
  ]);
  expect(object(gone, "Secret", "mail-runtime")).toBeUndefined();
  expect(object(gone, "StatefulSet", "mail")).toBeDefined();
});

const ownSecret = aRelay({
  spec: {
    auth: {
      credentials: [
        { name: "app", domains: ["example.com"] },
        { name: "crm", domains: ["crm.example.com"], secretRef: { name: "crm-smtp" } },
      ],
    },
  },
});

test("a credential whose own Secret is missing keeps the hash in force; the others go on", () => {
  const withCrm = new Map(
    Object.entries({ ...secrets, "crm-smtp": aSecret("crm-smtp", { password: "p", username: "crm@x" }) }),
  );
  const first = plan({ relay: ownSecret, secrets: withCrm });
  const second = plan({ relay: ownSecret, publishedConfig: configOf(first) });

  expect(configOf(first).credentials).toEqual([
    { name: "app", username: "app", passwordHash: hashOf("s3/cret"), domains: ["example.com"] },
    { name: "crm", username: "crm@x", passwordHash: hashOf("p"), domains: ["crm.example.com"] },
  ]);
  expect(object(first, "Secret", "mail-crm")).toBeUndefined();
  expect(configOf(second).credentials).toEqual(configOf(first).credentials);
  expect([first, second].map(({ problems }) => problems.map(({ message }) => message))).toEqual([
    ["Credential crm: no SendingDomain of this relay is crm.example.com."],
    ["Credential crm: Secret crm-smtp does not exist."],
  ]);
});

test("a Secret without a password, a taken user name and a reserved Secret name are told apart", () => {
  const problems = (extra: Record<string, string>, name = "crm") =>
    plan({
      relay: aRelay({
        spec: {
          auth: {
            credentials: [
              { name: "app" },
              name === "crm" ? { name, secretRef: { name: "crm-smtp" } } : { name },
            ],
          },
        },
      }),
      secrets: new Map(Object.entries({ ...secrets, "crm-smtp": aSecret("crm-smtp", extra) })),
    }).problems.map(({ reason, message }) => `${reason}: ${message}`);

  expect(problems({ pass: "x" })).toEqual([
    'SecretInvalid: Credential crm: Secret crm-smtp has no entry "password".',
  ]);
  expect(problems({ password: "x", username: "app" })).toEqual([
    'SecretInvalid: Credential crm: user name "app" is that of credential app already.',
  ]);
  expect(problems({}, "runtime")).toEqual([
    "SecretInvalid: Credential runtime: its Secret would be mail-runtime, which is the relay's own; choose another name.",
  ]);
});

test("the passwords to hash come with the hash in force", () => {
  expect(passwordsToHash(world())).toEqual([{ credential: "app", password: "s3/cret", previousHash: null }]);
  expect(passwordsToHash(world({ publishedConfig: configOf(plan()) }))).toEqual([
    { credential: "app", password: "s3/cret", previousHash: hashOf("s3/cret") },
  ]);
});

const ownCertificate = aRelay({ spec: { certificate: { secretRef: { name: "mail-tls" } } } });

test("an owner's certificate that goes missing or bad leaves the last good one in use", async () => {
  const good = new Map(
    Object.entries({
      ...secrets,
      "mail-tls": aSecret("mail-tls", { "tls.crt": certificate.cert, "tls.key": certificate.key }),
    }),
  );
  const first = plan({ relay: ownCertificate, secrets: good });
  const runtime = new Map(Object.entries(secrets));
  runtime.set("mail-runtime", {
    ...aSecret("mail-runtime", {}),
    ...(object(first, "Secret", "mail-runtime") as object),
  });
  const missing = plan({ relay: ownCertificate, secrets: runtime, publishedConfig: configOf(first) });
  const foreign = await makeCertificate("mail.example.com");
  const bad = plan({
    relay: ownCertificate,
    secrets: new Map([
      ...runtime,
      ["mail-tls", aSecret("mail-tls", { "tls.crt": certificate.cert, "tls.key": foreign.key })],
    ]),
    publishedConfig: configOf(first),
  });

  expect(first.problems).toEqual([]);
  expect(
    [missing, bad].map(({ problems }) => problems.map(({ severity, message }) => `${severity}: ${message}`)),
  ).toEqual([
    ["Degraded: Secret mail-tls does not exist; the last good certificate stays in use."],
    ["Degraded: Secret mail-tls holds a key of another certificate; the last good certificate stays in use."],
  ]);
  expect([missing, bad].map(({ config }) => config?.revision)).toEqual([
    first.config?.revision,
    first.config?.revision,
  ]);
  expect(plan({ relay: ownCertificate }).problems).toEqual([
    { severity: "Blocking", reason: "CertificateMissing", message: "Secret mail-tls does not exist." },
  ]);
});

test("an expired or foreign certificate is used and complained about", () => {
  const at = (hostname: string, now: number) =>
    plan({
      now,
      relay: aRelay({ spec: { hostname, certificate: { secretRef: { name: "mail-tls" } } } }),
      secrets: new Map(
        Object.entries({
          ...secrets,
          "mail-tls": aSecret("mail-tls", { "tls.crt": certificate.cert, "tls.key": certificate.key }),
        }),
      ),
    });

  expect(at("other.example.com", NOON).problems[0]?.message).toBe(
    "Secret mail-tls is not for other.example.com.",
  );
  expect(at("mail.example.com", Date.parse("2099-01-01T00:00:00Z")).problems[0]?.message).toMatch(
    /^Secret mail-tls expired on /,
  );
});

test("a self-signed certificate for another name is thrown away, used meanwhile, and made anew", () => {
  const moved = plan({ relay: aRelay({ spec: { hostname: "new.example.com" } }) });

  expect(moved.deletes.map(({ key }) => key.name)).toEqual(["mail-tls-self-signed"]);
  expect(moved.config).not.toBeNull();
});

test("routes come in order, a smart host with its login, the default pool last", () => {
  const relay = aRelay({
    spec: {
      routes: [
        {
          name: "partner",
          match: { recipientDomains: ["partner.example"] },
          to: { smarthost: { host: "mx.partner.example", credentialsRef: { name: "partner" } } },
        },
      ],
    },
  });
  const partner = aSecret("partner", { username: "us", password: "secret" });
  const made = plan({ relay, secrets: new Map(Object.entries({ ...secrets, partner })) });

  expect(configOf(made).routes).toEqual([
    {
      name: "partner",
      recipientDomains: ["partner.example"],
      to: {
        kind: "smarthost",
        host: "mx.partner.example",
        port: 587,
        tls: "Verify",
        username: "us",
        passwordFile: "smarthost.partner.password",
        pool: null,
      },
    },
    { name: "default", recipientDomains: [], to: { kind: "pool", pool: "default" } },
  ]);
  expect(text(made, "mail-runtime", "smarthost.partner.password")).toBe("secret");
  expect(plan({ relay }).problems).toEqual([
    {
      severity: "Blocking",
      reason: "SecretMissing",
      message: "Route partner: Secret partner does not exist.",
    },
  ]);
});

test("an address says why it does not send", () => {
  const states = (pool: ReturnType<typeof aPool>) =>
    configOf(plan({ pools: [pool], allPools: [pool] })).pods.map(({ sources }) => sources[0]?.stateReason);
  const blocked = { ...warming("a", "192.0.2.10", "mail-0"), state: "Blocked" as const };
  const failed = {
    name: "ForwardConfirmedReverseDns" as const,
    result: "Fail" as const,
    detail: "PTR is missing",
  };

  expect(states(aPool())).toEqual([
    "IpPool default has not been checked yet",
    "IpPool default has not been checked yet",
  ]);
  expect(
    states(
      aPool({
        spec: {
          addresses: [
            { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com" },
            { name: "b", ip: "192.0.2.11", ehloName: "b.mail.example.com", state: "Paused" },
          ],
        },
        status: { addresses: [{ ...blocked, checks: [failed] }, warming("b", "192.0.2.11", "mail-1")] },
      }),
    ),
  ).toEqual(["ForwardConfirmedReverseDns: PTR is missing", "paused in IpPool default"]);
  expect(
    states(
      aPool({
        status: { addresses: [warming("a", "192.0.2.10", "mail-1"), warming("b", "192.0.2.11", "mail-1")] },
      }),
    ),
  ).toEqual(["waits for its part of the day's allowance, which another pod still holds", ""]);
});

test("a pod whose spool was never seen is trusted with nothing it may have forgotten", () => {
  const { shares, ...rest } = warming("a", "192.0.2.10", "mail-0");
  const unseen = shares.map(({ pod, permille }) => ({ pod, permille }));
  const pool = aPool({ status: { addresses: [{ ...rest, shares: unseen }] } });

  expect(configOf(plan({ pools: [pool], allPools: [pool] })).pods[0]?.usageSince).toBe(
    "1970-01-01T00:00:00Z",
  );
});

test("warm addresses have no rows", () => {
  const pool = aPool({
    spec: { warmup: { ramp: "Off" } },
    status: { addresses: [{ ...warming("a", "192.0.2.10", "mail-0"), state: "Warm" }] },
  });
  const [first] = configOf(plan({ pools: [pool], allPools: [pool] })).pods;

  expect(first).toEqual({
    name: "mail-0",
    state: "Active",
    sources: [expect.objectContaining({ state: "Active", allowance: [] })],
  });
});

const scaledDown = aRelay({ spec: { replicas: 1 }, status: { replicas: 3 } });

test("on scale-down a pod stays until its report proves it empty under the configuration that drains it", () => {
  const two = [
    aPod("mail-0"),
    aPod("mail-1", { queue: { messages: 12, recipients: 12, oldestSeconds: 5, providers: [] } }),
  ];
  const drains = plan({ relay: scaledDown, poolRelays: [scaledDown], pods: two });
  const published = configOf(drains);
  const states = (made: RelayPlan) => configOf(made).pods.map(({ name, state }) => `${name} ${state}`);
  const again = (mail1: ReturnType<typeof aPod>) =>
    plan({
      relay: scaledDown,
      poolRelays: [scaledDown],
      pods: [aPod("mail-0"), mail1],
      publishedConfig: published,
    });

  expect(states(drains)).toEqual(["mail-0 Active", "mail-1 Draining"]);
  expect(object(drains, "StatefulSet", "mail")?.["spec"]).toMatchObject({ replicas: 2 });
  expect(states(again(aPod("mail-1", { appliedRevision: "1-0000000000000000" })))).toEqual([
    "mail-0 Active",
    "mail-1 Draining",
  ]);
  expect(states(again(aSilentPod("mail-1")))).toEqual(["mail-0 Active", "mail-1 Draining"]);
  expect(states(again(aPod("mail-1", { appliedRevision: published.revision })))).toEqual(["mail-0 Active"]);
});

test("a pod above one that still holds mail leaves, a pod below it stays", () => {
  const holds = { queue: { messages: 1, recipients: 1, oldestSeconds: 5, providers: [] } };
  const first = plan({
    relay: scaledDown,
    poolRelays: [scaledDown],
    pods: [aPod("mail-0"), aPod("mail-1"), aPod("mail-2", holds)],
  });
  const revision = configOf(first).revision;
  const pods = [
    aPod("mail-0"),
    aPod("mail-1", { appliedRevision: revision }),
    aPod("mail-2", { ...holds, appliedRevision: revision }),
  ];
  const second = plan({
    relay: scaledDown,
    poolRelays: [scaledDown],
    pods,
    publishedConfig: configOf(first),
  });

  expect(configOf(second).pods.map(({ name }) => name)).toEqual(["mail-0", "mail-1", "mail-2"]);
});

test("nothing is made for a relay that is being deleted", () => {
  const relay = aRelay({ metadata: { deletionTimestamp: "2026-11-23T12:00:00Z" } });

  expect(plan({ relay })).toEqual({ objects: [], deletes: [], needs: [], problems: [], config: null });
});
