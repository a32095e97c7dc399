import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { API_VERSION } from "./group.ts";
import { judgeManifest } from "./judge.ts";

const spec = { hostname: "mail.example.com", poolRef: { name: "default" } };
const relay = { apiVersion: API_VERSION, kind: "SmtpRelay", metadata: { name: "mail" }, spec };

function texts(manifest: unknown, old?: unknown): string[] {
  const judgement = judgeManifest(manifest, old);
  return judgement.ok ? [] : judgement.problems.map(({ text }) => text);
}
const withSpec = (change: object): unknown => ({ ...relay, spec: { ...spec, ...change } });
const withMeta = (change: object): unknown => ({ ...relay, metadata: { name: "mail", ...change } });

describe("judgeManifest() gives a good manifest back", () => {
  test("with the documented defaults", () => {
    expect(judgeManifest(relay)).toEqual({
      ok: true,
      object: {
        apiVersion: API_VERSION,
        kind: "SmtpRelay",
        metadata: { name: "mail", namespace: "default" },
        spec: {
          hostname: "mail.example.com",
          replicas: 1,
          paused: false,
          poolRef: { name: "default" },
          listeners: [
            { name: "submission", port: 587, tls: "StartTls", auth: "Required", trustedNetworks: [] },
            { name: "submissions", port: 465, tls: "Implicit", auth: "Required", trustedNetworks: [] },
          ],
          limits: {
            messageSizeBytes: 26_214_400,
            recipientsPerMessage: 1000,
            sessions: 5000,
            sessionsPerClient: 200,
          },
          auth: { credentials: [{ name: "app", domains: [] }], deletionPolicy: "Retain" },
          storage: { size: "10Gi" },
          queue: {
            expireAfterSeconds: 432_000,
            retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 },
            classes: [],
          },
          routes: [],
          tlsOutbound: { mode: "Opportunistic", minVersion: "TLSv1.2" },
          privacy: { addressesInLogs: "Hashed" },
        },
      },
    });
  });

  test("with labels, annotations and finalizers, without what the server or the operator writes", () => {
    const fromCluster = {
      ...relay,
      metadata: {
        name: "mail",
        namespace: "smtp",
        labels: { "app.kubernetes.io/name": "mail", empty: "" },
        annotations: { "example.com/note": "any text\nat all" },
        finalizers: ["example.com/hold"],
        uid: "6f1c",
        resourceVersion: "12",
        generation: 3,
        creationTimestamp: "2026-11-23T10:00:00Z",
        managedFields: [],
      },
      status: { replicas: 2 },
    };

    expect(judgeManifest(fromCluster)).toMatchObject({
      ok: true,
      object: {
        metadata: {
          name: "mail",
          namespace: "smtp",
          labels: { "app.kubernetes.io/name": "mail", empty: "" },
          annotations: { "example.com/note": "any text\nat all" },
          finalizers: ["example.com/hold"],
        },
      },
    });
    const judgement = judgeManifest(fromCluster);
    expect(judgement.ok && Object.keys(judgement.object)).not.toContain("status");
    expect(judgement.ok && Object.keys(judgement.object.metadata)).not.toContain("uid");
  });
});

describe("judgeManifest() names field, value and reason", () => {
  test.each<[string, unknown, string[]]>([
    [
      "a number out of range",
      withSpec({ replicas: -1 }),
      ["spec.replicas: Invalid value: -1: must be at least 0"],
    ],
    [
      "a field that is missing",
      { ...relay, spec: { poolRef: { name: "default" } } },
      ["spec.hostname: Required value"],
    ],
    [
      "a field that does not exist, with its neighbour",
      withSpec({ replica: 2 }),
      ['unknown field "spec.replica"; did you mean "replicas"?'],
    ],
    [
      "a field that resembles nothing",
      withSpec({ queue: { nonsense: 1 } }),
      ['unknown field "spec.queue.nonsense"'],
    ],
    [
      "a misspelt value",
      withSpec({ tlsOutbound: { mode: "Oportunistic" } }),
      [
        'spec.tlsOutbound.mode: Unsupported value: "Oportunistic": supported values: "Opportunistic", "Required"; did you mean "Opportunistic"?',
      ],
    ],
    [
      "a number in quotes",
      withSpec({ replicas: "2" }),
      ['spec.replicas: Invalid value: "2": must be an integer, not a string; leave out the quotes'],
    ],
    [
      "a name that YAML read as a number",
      withSpec({ poolRef: { name: 12 } }),
      ["spec.poolRef.name: Invalid value: 12: must be a string, not a number; put it in quotes"],
    ],
    [
      "a fraction",
      withSpec({ replicas: 1.5 }),
      ["spec.replicas: Invalid value: 1.5: must be an integer, not a fraction"],
    ],
    [
      "a list where an object belongs",
      withSpec({ limits: [] }),
      ["spec.limits: Invalid value: must be an object, not a list"],
    ],
    [
      "a host name, once and with an example",
      withSpec({ hostname: "" }),
      [
        'spec.hostname: Invalid value: "": must be a fully qualified lower-case host name such as mail.example.com',
      ],
    ],
    [
      "a rule by its own words, with the value",
      withSpec({ listeners: [{ name: "a", port: 8025, tls: "StartTls" }] }),
      [
        "spec.listeners[0].port: Invalid value: 8025: port 8025 is taken by the relay's health checks and metrics",
      ],
    ],
    [
      "several at once",
      withSpec({ replicas: 51, paused: "yes" }),
      [
        "spec.replicas: Invalid value: 51: must be at most 50",
        'spec.paused: Invalid value: "yes": must be true or false, not a string',
      ],
    ],
  ])("%s", (_, manifest, expected) => {
    expect(texts(manifest)).toEqual(expected);
  });

  test("and cuts long values", () => {
    expect(texts(withSpec({ hostname: `${"x".repeat(300)}.example.com` }))[0]).toBe(
      `spec.hostname: Too long: "${"x".repeat(79)}…: 312 characters, at most 253 are allowed`,
    );
  });

  test("and the way there, for an editor", () => {
    const judgement = judgeManifest(withSpec({ listeners: [{ name: "a", port: 0, tls: "StartTls" }] }));

    expect(judgement).toMatchObject({
      ok: false,
      problems: [
        { path: "spec.listeners[0].port", segments: ["spec", "listeners", 0, "port"], kind: "Invalid" },
      ],
    });
  });
});

describe("judgeManifest() on kind, version and metadata", () => {
  test.each<[string, unknown, string[]]>([
    [
      "no object",
      "kind: SmtpRelay",
      ['Invalid value: "kind: SmtpRelay": must be an object with apiVersion and kind, not a string'],
    ],
    ["an empty document", null, ["Invalid value: must be an object with apiVersion and kind, not null"]],
    ["no kind", { apiVersion: API_VERSION }, ["kind: Required value"]],
    ["nothing at all", {}, ["apiVersion: Required value", "kind: Required value"]],
    [
      "a misspelt kind",
      { ...relay, kind: "SmtpRely" },
      [
        'kind: Unsupported value: "SmtpRely": supported values: "SmtpRelay", "SendingDomain", "IpPool"; did you mean "SmtpRelay"?',
      ],
    ],
    [
      "a version that is not served",
      { ...relay, apiVersion: "smtprelay.dev/v1" },
      [
        'apiVersion: Unsupported value: "smtprelay.dev/v1": supported values: "smtprelay.dev/v1alpha1", "v1"; did you mean "smtprelay.dev/v1alpha1"?',
      ],
    ],
    [
      "a kind of the core group that local mode does not take",
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" } },
      ['kind: Unsupported value: "ConfigMap": supported values: "Secret"'],
    ],
    [
      "a kind called like a method of objects",
      { ...relay, kind: "constructor" },
      ['kind: Unsupported value: "constructor": supported values: "SmtpRelay", "SendingDomain", "IpPool"'],
    ],
    ["no metadata", { ...relay, metadata: undefined }, ["metadata.name: Required value"]],
    [
      "a generated name",
      withMeta({ generateName: "mail-" }),
      [
        "metadata.generateName: Forbidden: a manifest needs a name of its own, or every apply would make another object",
      ],
    ],
    [
      "a misspelt field",
      withMeta({ lables: {} }),
      ['unknown field "metadata.lables"; did you mean "labels"?'],
    ],
    [
      "a label that is none",
      withMeta({ labels: { app: "a b" } }),
      [
        "metadata.labels.app: Invalid value: \"a b\": must be at most 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit",
      ],
    ],
    [
      "a label that YAML read as a number",
      withMeta({ labels: { version: 1 } }),
      ["metadata.labels.version: Invalid value: 1: must be a string, not a number; put it in quotes"],
    ],
    [
      "annotations without end",
      withMeta({ annotations: { a: "x".repeat(262_144) } }),
      ["metadata.annotations: Too long: 262145 bytes in all, at most 262144 are allowed"],
    ],
  ])("%s", (_, manifest, expected) => {
    expect(texts(manifest)).toEqual(expected);
  });

  test.each(["UPPER", "under_score", "-start", "end-", "a..b", "a".repeat(254), "line\nend"])(
    "refuses the name %j",
    (name) => {
      expect(texts({ ...relay, kind: "IpPool", metadata: { name } }).join()).toContain("metadata.name");
    },
  );

  test("tells a hundred problems of a manifest that has a ten thousand", () => {
    const fields = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`field${index}`, index]));
    const listeners = Array.from({ length: 10_000 }, () => ({ port: "x", ...relay }));

    expect(texts(withSpec(fields))).toHaveLength(100);
    expect(texts({ ...relay, ...fields })).toHaveLength(100);
    expect(texts(withMeta(fields))).toHaveLength(100);
    expect(texts(withSpec({ listeners }))).toEqual([
      "spec.listeners: Too many: 10000: must have at most 8 items",
    ]);
  });
});

describe("judgeManifest() on anything", () => {
  /** A good manifest with a piece of nonsense at one place of it. */
  const nonsense = fc
    .tuple(
      fc.constantFrom("kind", "metadata", "spec", ...Object.keys(spec), "listeners", "queue", "routes"),
      fc.jsonValue(),
    )
    .map(([field, value]) => (field in relay ? { ...relay, [field]: value } : withSpec({ [field]: value })));

  test("says something and never throws", () => {
    const speechless = fc.check(
      fc.property(fc.oneof(fc.jsonValue(), nonsense), fc.option(fc.jsonValue()), (manifest, old) => {
        const judgement = judgeManifest(manifest, old);
        return judgement.ok || judgement.problems.length > 0;
      }),
      { numRuns: 2000 },
    );

    expect(speechless.counterexample).toBeNull();
  });

  test("agrees with itself: what it gives back is accepted and stays the same", () => {
    fc.assert(
      fc.property(nonsense, (manifest) => {
        const first = judgeManifest(manifest);
        if (!first.ok) return;
        expect(judgeManifest(first.object, first.object)).toEqual(first);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("judgeManifest() on change", () => {
  const large = withSpec({ storage: { size: "20Gi" } });

  test("compares with the object in force, whose defaults may not be written out", () => {
    expect(texts(withSpec({ storage: { size: "10Gi" } }), relay)).toEqual([]);
    expect(texts(large, relay)).toEqual([
      expect.stringContaining('spec.storage.size: Invalid value: "20Gi": cannot be changed'),
    ]);
  });

  test("lets a new object be as it wants", () => {
    expect(texts(large)).toEqual([]);
  });
});
