import { expect, test } from "vitest";

import { relayConfig } from "../../relay/contract/config.ts";
import { aPod, aRelay, aSecret, aSilentPod } from "../../test/support/builders.ts";
import { rsaPem } from "../../test/support/dkimKeys.ts";
import { relayLabels } from "./labels.ts";
import { configOf, hashOf, object, plan, secrets, text } from "../../test/support/relayWorld.ts";

test("a relay becomes these objects, in this order, owned by it but for what applications hold", () => {
  const { objects, needs, problems } = plan();

  expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    "Secret mail-tls-self-signed",
    "Secret mail-app",
    "Secret mail-runtime",
    "ServiceAccount mail",
    "Service mail-pods",
    "Service mail",
    "NetworkPolicy mail",
    "PodDisruptionBudget mail",
    "StatefulSet mail",
  ]);
  expect(
    objects.flatMap(({ metadata }) => (metadata.ownerReferences === undefined ? [metadata.name] : [])),
  ).toEqual(["mail-tls-self-signed", "mail-app"]);
  expect(new Set(objects.flatMap(({ metadata }) => metadata.ownerReferences?.[0]?.uid ?? []))).toEqual(
    new Set(["SmtpRelay-default-mail"]),
  );
  expect(new Set(objects.map(({ metadata }) => metadata.labels?.["smtprelay.dev/relay"]))).toEqual(
    new Set(["mail"]),
  );
  expect([needs, problems]).toEqual([[], []]);
});

test("queue classes reach the configuration whole, and are not there where there are none", () => {
  const config = configOf(
    plan({
      relay: aRelay({
        spec: {
          auth: { credentials: [{ name: "app", queueClass: "codes" }] },
          queue: {
            classes: [
              { name: "codes", priority: "High", expireAfterSeconds: 3600, retry: { firstDelaySeconds: 30 } },
              { name: "bulk", priority: "Low" },
            ],
          },
        },
      }),
    }),
  );

  expect(config.queue.classes).toEqual([
    {
      name: "codes",
      priority: "High",
      expireAfterSeconds: 3600,
      retry: { firstDelaySeconds: 30, longestDelaySeconds: 14_400 },
    },
    {
      name: "bulk",
      priority: "Low",
      expireAfterSeconds: 432_000,
      retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 },
    },
  ]);
  expect(config.credentials).toMatchObject([{ name: "app", queueClass: "codes" }]);
  expect(configOf(plan()).queue).not.toHaveProperty("classes");
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
            command: ["node", "--max-semi-space-size=8", "--heap-growing-percent=200", "relay/main.js"],
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
    {
      kind: "certificate",
      secretName: "mail-tls-self-signed",
      hostname: "mail.example.com",
      labels: relayLabels("mail", "certificate"),
    },
    {
      kind: "password",
      secretName: "mail-app",
      credential: "app",
      labels: relayLabels("mail", "credentials"),
    },
  ]);
  expect(config).toBeNull();
  expect(objects.map(({ kind }) => kind)).toEqual([
    "ServiceAccount",
    "Service",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
  ]);
  expect(problems).toEqual([]);
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

test("routes come in order, a smart host with its login, the default pool last", () => {
  const relay = aRelay({
    spec: {
      routes: [
        {
          name: "partner",
          match: { recipientDomains: ["partner.example"] },
          to: {
            smarthost: { host: "mx.partner.example", credentialsRef: { name: "partner" }, connections: 3 },
          },
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
        connections: 3,
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

test("nothing is made for a relay that is being deleted", () => {
  const relay = aRelay({ metadata: { deletionTimestamp: "2026-11-23T12:00:00Z" } });

  expect(plan({ relay })).toEqual({ objects: [], deletes: [], needs: [], problems: [], config: null });
});
