import { expect, test } from "vitest";

import type { KubeObject } from "../adapters/kubeClient.ts";
import { judgeFolder, type ManifestFile } from "./manifests.ts";
import { printRefusal } from "./manifestYaml.ts";

const file = (name: string, text: string): ManifestFile => ({ name, text });

function object(kind: string, name: string, spec: string): string {
  return `apiVersion: smtprelay.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
}
const relay = (name: string, more = "") =>
  object("SmtpRelay", name, `{ hostname: ${name}.example.test, poolRef: { name: default }${more} }`);
const domain = (name: string, domainName: string) =>
  object("SendingDomain", name, `{ domain: ${domainName}, relayRef: { name: mail } }`);
const pool = (name: string, ip: string) =>
  object("IpPool", name, `{ addresses: [{ name: a, ip: "${ip}", ehloName: a.mail.example.test }] }`);

function judge(files: ManifestFile[], old?: KubeObject) {
  return judgeFolder(files, () => old);
}
function refused(files: ManifestFile[], old?: KubeObject): string[] {
  const verdict = judge(files, old);
  return verdict.kind === "good" ? [] : verdict.refusals.map(printRefusal);
}

test("a good folder gives its objects with defaults, in the default namespace, and the file they came from", () => {
  const verdict = judge([file("pool.yaml", pool("p", "127.0.0.11"))]);

  expect(verdict).toMatchObject({
    kind: "good",
    manifests: [
      {
        place: { file: "pool.yaml", line: 3 },
        object: {
          apiVersion: "smtprelay.dev/v1alpha1",
          kind: "IpPool",
          metadata: {
            name: "p",
            namespace: "default",
            annotations: { "local.smtprelay.dev/manifest": "pool.yaml" },
          },
          spec: { addresses: [{ state: "Active" }], warmup: { ramp: "Standard" } },
        },
      },
    ],
  });
});

test("an empty folder is refused: nothing that runs is taken for unwanted", () => {
  expect(refused([])).toEqual([expect.stringContaining("the folder holds no manifest")]);
  expect(refused([file("a.yaml", "# only words\n")])).toHaveLength(1);
});

test("a problem is named by file, line, field and reason", () => {
  const spec = "\n  hostname: mail.example.test\n  poolRef: { name: p }\n  replicas: -1\n  replica: 2";

  expect(refused([file("relay.yaml", object("SmtpRelay", "mail", spec))])).toEqual([
    "relay.yaml:7: spec.replicas: Invalid value: -1: must be at least 0",
    'relay.yaml:8: unknown field "spec.replica"; did you mean "replicas"?',
  ]);
});

test("a rule that compares with the object in force is heard", () => {
  const old: KubeObject = {
    apiVersion: "smtprelay.dev/v1alpha1",
    kind: "SendingDomain",
    metadata: { name: "d" },
    spec: { domain: "before.test", relayRef: { name: "mail" } },
  };

  expect(refused([file("d.yaml", domain("d", "after.test"))], old)[0]).toMatch(/^d\.yaml:4: spec\.domain: /);
});

test.each([
  [
    "one object twice",
    relay("mail"),
    relay("mail", ", listeners: [{ name: other, port: 2525, tls: StartTls }]"),
    "b.yaml:3: metadata.name: Duplicate value: SmtpRelay default/mail is claimed at a.yaml:3 already",
  ],
  [
    "one domain by two objects",
    domain("one", "example.test"),
    domain("two", "example.test"),
    "b.yaml:4: spec.domain: Duplicate value: domain example.test is claimed at a.yaml:4 by SendingDomain default/one already",
  ],
  [
    "one address by two pools",
    pool("one", "2001:db8::1"),
    pool("two", "2001:db8::1"),
    "b.yaml:4: spec.addresses[0].ip: Duplicate value: address 2001:db8::1 is claimed at a.yaml:4 by IpPool default/one already",
  ],
  [
    "one port by two relays",
    relay("one"),
    relay("two", ", listeners: [{ name: tls, port: 465, tls: Implicit }]"),
    "b.yaml:4: spec.listeners[0].port: Duplicate value: port 465 of this machine is claimed at a.yaml:4 by SmtpRelay default/one already",
  ],
])("%s is refused with both places", (_, one, two, text) => {
  expect(refused([file("a.yaml", one), file("b.yaml", two)])).toEqual([text]);
});

test.each([
  [
    "another kind",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n",
    "a.yaml:1: apiVersion: ",
  ],
  [
    "no kind",
    "apiVersion: smtprelay.dev/v1alpha1\nmetadata: { name: x }\n",
    "a.yaml:1: kind: Required value",
  ],
  [
    "no name",
    "apiVersion: smtprelay.dev/v1alpha1\nkind: IpPool\nmetadata: {}\n",
    "a.yaml:3: metadata.name: Required value",
  ],
  [
    "metadata that is a list",
    "apiVersion: smtprelay.dev/v1alpha1\nkind: IpPool\nmetadata: []\n",
    "a.yaml:3: metadata: ",
  ],
])("%s is refused", (_, text, start) => {
  expect(refused([file("a.yaml", text)]).join("\n")).toContain(start);
});

test("a Secret of one's own is taken, its plain text encoded", () => {
  const text =
    "apiVersion: v1\nkind: Secret\nmetadata: { name: own }\nstringData: { password: open sesame }\n";
  const verdict = judge([file("s.yaml", text)]);

  expect(verdict.kind === "good" && verdict.manifests[0]?.object["data"]).toEqual({
    password: Buffer.from("open sesame").toString("base64"),
  });
});

test("a refused Secret never shows a value", () => {
  const text = "apiVersion: v1\nkind: Secret\nmetadata: { name: own }\ndata: { password: 'open sesame!' }\n";

  expect(refused([file("s.yaml", text)])).toEqual([
    "s.yaml:4: data.password: Invalid value: must be base64; plain text goes under stringData",
  ]);
});

test("many refusals are cut, with their number", () => {
  const text = Array.from({ length: 80 }, () => "apiVersion: v2\nkind: Nothing\n").join("---\n");
  const lines = refused([file("a.yaml", text)]);

  expect(lines).toHaveLength(51);
  expect(lines.at(-1)).toMatch(/^… and \d+ more$/);
});
