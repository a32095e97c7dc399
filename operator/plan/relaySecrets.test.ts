import { expect, test } from "vitest";

import { aDomain, anEnvironment, aRelay, aRelaySecret, aSecret, NOON } from "../../test/support/builders.ts";
import { makeCertificate } from "../../test/support/certificate.ts";
import {
  activeDomain,
  certificate,
  configOf,
  hashOf,
  object,
  plan,
  secrets,
  text,
  world,
} from "../../test/support/relayWorld.ts";
import type { SecretObject } from "../world.ts";
import { passwordsToHash } from "./credentials.ts";

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

test("passwords and a self-signed certificate outlive the relay, or go with it on wish", () => {
  const deletes = aRelay({ spec: { auth: { deletionPolicy: "Delete" } } });
  const owned = (made: ReturnType<typeof plan>) =>
    made.objects.flatMap(({ kind, metadata }) =>
      kind === "Secret" && metadata.ownerReferences !== undefined ? [metadata.name] : [],
    );

  expect(owned(plan())).toEqual(["mail-runtime"]);
  expect(owned(plan({ relay: deletes }))).toEqual(["mail-tls-self-signed", "mail-app", "mail-runtime"]);
});

test("a Secret of that name that was not made for this relay is neither used nor touched", () => {
  const own = aSecret("mail-app", { password: "somebody's" });
  const others = aRelaySecret("mail-app", { password: "another relay's" }, "mai");
  const { "tls.crt": _, ...tls } = secrets["mail-tls-self-signed"].data ?? {};
  const pair = aSecret("mail-tls-self-signed", {});
  for (const secret of [own, others]) {
    const made = plan({ secrets: new Map(Object.entries({ ...secrets, "mail-app": secret })) });

    expect(object(made, "Secret", "mail-app")).toBeUndefined();
    expect([made.needs, configOf(made).credentials]).toEqual([[], []]);
    expect(made.problems).toMatchObject([
      {
        reason: "SecretInvalid",
        message: expect.stringContaining("Secret mail-app exists and was not made for this relay") as string,
      },
    ]);
  }
  const made = plan({
    secrets: new Map(Object.entries({ ...secrets, "mail-tls-self-signed": { ...pair, data: tls } })),
  });
  expect([made.deletes, made.needs, made.config]).toEqual([[], [], null]);
  expect(made.problems).toMatchObject([{ severity: "Blocking", reason: "CertificateInvalid" }]);
});

test("local mode shows the host and port that reach it", () => {
  const made = plan({
    environment: anEnvironment({ submissionHost: "127.0.0.1", submissionPorts: { 587: 1587 } }),
  });

  expect(text(made, "mail-app", "uri")).toBe("smtp://app:s3%2Fcret@127.0.0.1:1587");
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

test("a domain whose object cannot be read sends and signs as it did", () => {
  const before = plan();
  const publishedConfig = configOf(before);
  const runtime = object(before, "Secret", "mail-runtime") as unknown as SecretObject;
  const unread = plan({
    domains: [],
    allDomains: [],
    unreadDomains: ["example.com", "other.example"],
    publishedConfig,
    // Its keys are reached through the object, so only the pods' copy is at hand.
    secrets: new Map<string, SecretObject>([
      ...[...world().secrets].filter(([name]) => name !== "example-com-dkim"),
      ["mail-runtime", runtime],
    ]),
  });

  expect(configOf(unread)).toEqual(publishedConfig);
  expect(object(unread, "Secret", "mail-runtime")?.["data"]).toEqual(runtime.data);
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
  const app = { credential: "app", password: "s3/cret", checked: false };
  expect(passwordsToHash(world())).toEqual([{ ...app, previousHash: null }]);
  expect(passwordsToHash(world({ publishedConfig: configOf(plan()) }))).toEqual([
    { ...app, previousHash: hashOf("s3/cret") },
  ]);
});

test("a hash in force was checked while the credentials' Secrets are as they were when it was published", () => {
  const first = plan();
  const runtime = first.objects.find(({ metadata }) => metadata.name === "mail-runtime") as SecretObject;
  const publishedConfig = configOf(first);
  const checkedWith = (app: Partial<SecretObject["metadata"]>) => {
    const credential = secrets["mail-app"];
    const now = new Map<string, SecretObject>(
      Object.entries({
        ...secrets,
        "mail-runtime": runtime,
        "mail-app": { ...credential, metadata: { ...credential.metadata, ...app } },
      }),
    );
    return passwordsToHash(world({ publishedConfig, secrets: now })).map(({ checked }) => checked);
  };

  expect(checkedWith({})).toEqual([true]);
  expect(checkedWith({ resourceVersion: "9" })).toEqual([false]);
  expect(checkedWith({ uid: "another" })).toEqual([false]);
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
