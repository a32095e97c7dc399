import { expect, test } from "vitest";

import type { KubeObject } from "../adapters/kubeClient.ts";
import { judgeFolder, type JudgeManifest, type ManifestFile } from "./manifests.ts";
import { printRefusal } from "./manifestYaml.ts";

const accept: JudgeManifest = () => ({ ok: true });
const file = (name: string, text: string): ManifestFile => ({ name, text });

function object(kind: string, name: string, spec: string): string {
  return `apiVersion: smtprelay.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
}

function refused(files: ManifestFile[], judge = accept, old?: KubeObject): string[] {
  const verdict = judgeFolder(files, judge, () => old);
  return verdict.kind === "good" ? [] : verdict.refusals.map(printRefusal);
}

test("a good folder gives its objects, in the default namespace, with the file they came from", () => {
  const verdict = judgeFolder(
    [file("pool.yaml", object("IpPool", "p", "{ addresses: [] }"))],
    accept,
    () => undefined,
  );

  expect(verdict).toEqual({
    kind: "good",
    manifests: [
      {
        file: "pool.yaml",
        object: {
          apiVersion: "smtprelay.dev/v1alpha1",
          kind: "IpPool",
          metadata: {
            name: "p",
            namespace: "default",
            annotations: { "local.smtprelay.dev/manifest": "pool.yaml" },
          },
          spec: { addresses: [] },
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
  const judge: JudgeManifest = () => ({
    ok: false,
    problems: [
      { segments: ["spec", "replicas"], text: "spec.replicas: Invalid value: -1: must be 0 or more" },
    ],
  });

  expect(refused([file("relay.yaml", object("SmtpRelay", "mail", "\n  replicas: -1"))], judge)).toEqual([
    "relay.yaml:5: spec.replicas: Invalid value: -1: must be 0 or more",
  ]);
});

test("the object in force is given to rules that compare with it", () => {
  const old: KubeObject = {
    apiVersion: "smtprelay.dev/v1alpha1",
    kind: "SendingDomain",
    metadata: { name: "d" },
  };
  const seen: unknown[] = [];
  const judge: JudgeManifest = (_, before) => {
    seen.push(before);
    return { ok: true };
  };
  refused([file("d.yaml", object("SendingDomain", "d", "{ domain: example.test }"))], judge, old);

  expect(seen).toEqual([old]);
});

test.each([
  [
    "one object twice",
    object("SmtpRelay", "mail", "{ hostname: a }"),
    object("SmtpRelay", "mail", "{ hostname: b, listeners: [{ port: 2525 }] }"),
    "b.yaml:3: metadata.name: Duplicate value: SmtpRelay default/mail is claimed at a.yaml:3 already",
  ],
  [
    "one domain by two objects",
    object("SendingDomain", "one", "{ domain: example.test }"),
    object("SendingDomain", "two", "{ domain: example.test }"),
    "b.yaml:4: spec.domain: Duplicate value: domain example.test is claimed at a.yaml:4 by SendingDomain default/one already",
  ],
  [
    "one address by two pools, however it is written",
    object("IpPool", "one", '{ addresses: [{ name: a, ip: "2001:db8::1" }] }'),
    object("IpPool", "two", '{ addresses: [{ name: b, ip: "2001:DB8:0::1" }] }'),
    "b.yaml:4: spec.addresses[0].ip: Duplicate value: address 2001:db8::1 is claimed at a.yaml:4 by IpPool default/one already",
  ],
  [
    "one port by two relays",
    object("SmtpRelay", "one", "{ hostname: a }"),
    object("SmtpRelay", "two", "{ listeners: [{ port: 465 }] }"),
    "b.yaml:4: spec.listeners[0].port: Duplicate value: port 465 of this machine is claimed at a.yaml:4 by SmtpRelay default/one already",
  ],
])("%s is refused with both places", (_, one, two, text) => {
  expect(refused([file("a.yaml", one), file("b.yaml", two)])).toEqual([text]);
});

test.each([
  [
    "kind: Deployment",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n",
    'a.yaml:2: kind: Unsupported value: "Deployment"',
  ],
  ["no kind", "metadata: { name: x }\n", "a.yaml:1: kind: Unsupported value: nothing"],
  [
    "no name",
    "apiVersion: smtprelay.dev/v1alpha1\nkind: IpPool\nmetadata: {}\n",
    "a.yaml:3: metadata.name: Required value",
  ],
  [
    "a name that is no text",
    "apiVersion: smtprelay.dev/v1alpha1\nkind: IpPool\nmetadata: { name: 1 }\n",
    "a.yaml:3: metadata.name: Required value",
  ],
  [
    "a copy with the server's fields",
    "apiVersion: smtprelay.dev/v1alpha1\nkind: IpPool\nmetadata:\n  name: x\n  uid: abc\nstatus: {}\n",
    "a.yaml:5: metadata.uid: Forbidden",
  ],
])("%s is refused", (_, text, start) => {
  expect(refused([file("a.yaml", text)])[0]).toContain(start);
});

test("a Secret of one's own is taken, its plain text encoded", () => {
  const text =
    "apiVersion: v1\nkind: Secret\nmetadata: { name: own }\nstringData: { password: open sesame }\n";
  const verdict = judgeFolder([file("s.yaml", text)], accept, () => undefined);

  expect(verdict.kind === "good" && verdict.manifests[0]?.object["data"]).toEqual({
    password: Buffer.from("open sesame").toString("base64"),
  });
});

test("a refused Secret never shows a value", () => {
  const text = "apiVersion: v1\nkind: Secret\nmetadata: { name: own }\ndata: { password: 'open sesame!' }\n";

  expect(refused([file("s.yaml", text)])).toEqual([
    "s.yaml:4: data.password: Invalid value: must be base64 (plain text goes under stringData)",
  ]);
});

test("many refusals are cut, with their number", () => {
  const text = Array.from({ length: 80 }, () => "kind: Nothing\n").join("---\n");
  const lines = refused([file("a.yaml", text)]);

  expect(lines).toHaveLength(51);
  expect(lines.at(-1)).toBe("… and 30 more");
});
