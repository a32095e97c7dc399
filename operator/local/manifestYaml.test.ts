import { expect, test } from "vitest";

import { parseManifestFile, printRefusal } from "./manifestYaml.ts";

const refused = (text: string) => parseManifestFile("relay.yaml", text).refusals.map(printRefusal);

const relay = `# the relay
apiVersion: smtprelay.dev/v1alpha1
kind: SmtpRelay
metadata: { name: mail }
spec:
  hostname: mail.example.test
  replicas: -1
  listeners:
    - name: submission
      port: 587
    - { name: internal,
        port: 25 }
`;

test.each([
  [["spec", "replicas"], 7, "a field stands where its key stands"],
  [["metadata", "name"], 4, "also in flow style"],
  [["spec", "listeners", 1, "port"], 12, "also inside a list"],
  [["spec", "listeners", 1, "tls"], 11, "a missing field: what lacks it"],
  [["spec", "listeners", 7, "tls"], 8, "a missing item: the list"],
  [["spec", "poolRef", "name"], 5, "a missing group: the group around it"],
  [["status"], 2, "nothing of it there: the document"],
])("%j is on line %i: %s", (segments, line) => {
  const [document] = parseManifestFile("relay.yaml", relay).documents;

  expect(document?.locate(segments)).toEqual({ file: "relay.yaml", line, column: null });
});

test("documents of one file keep their own lines, and empty ones are passed over", () => {
  const { documents, refusals } = parseManifestFile(
    "all.yaml",
    `---\n# only a comment\n---\n${relay}---\n${relay}`,
  );

  expect(refusals).toEqual([]);
  expect(documents.map((document) => document.locate(["spec", "replicas"]).line)).toEqual([10, 23]);
});

test("JSON is read with its lines too", () => {
  const [document] = parseManifestFile(
    "relay.json",
    '{\n  "kind": "SmtpRelay",\n  "spec": {\n    "replicas": 1\n  }\n}',
  ).documents;

  expect(document?.object).toEqual({ kind: "SmtpRelay", spec: { replicas: 1 } });
  expect(document?.locate(["spec", "replicas"]).line).toBe(4);
});

test("an anchor's field is found behind its alias", () => {
  const [document] = parseManifestFile("a.yaml", "base: &b\n  port: 1\nspec: *b\n").documents;

  expect(document?.locate(["spec", "port"]).line).toBe(2);
});

test("broken YAML is refused with line and column", () => {
  expect(refused("kind: SmtpRelay\nspec:\n  replicas: [1\n")[0]).toMatch(
    /^relay\.yaml:\d+:\d+: not valid YAML: /,
  );
  expect(refused("kind: a\n\tspec: b\n")[0]).toMatch(/^relay\.yaml:2:\d+: not valid YAML: /);
  expect(refused("kind: SmtpRelay\nkind: IpPool\n")).toEqual([
    "relay.yaml:2:1: not valid YAML: Map keys must be unique",
  ]);
});

test("a document that is no object is refused", () => {
  expect(refused("kind: SmtpRelay\n---\n- one\n- two\n")).toEqual([
    "relay.yaml:3: a manifest is an object with apiVersion, kind, metadata and spec",
  ]);
});

test("a bare Off is refused, since kubectl would read it as false; quoted it is the word", () => {
  expect(refused("spec:\n  warmup:\n    ramp: Off\n")).toEqual([
    'relay.yaml:3: Off without quotes is a boolean to Kubernetes\' tools (YAML 1.1); write "Off" for the word',
  ]);
  expect(refused('spec:\n  warmup:\n    ramp: "Off"\n')).toEqual([]);
});

test("hostile text is refused and costs little", () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefgh"
    .split("")
    .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefg"[i]}`).join(",")}]`)
    .join("\n")}\n`;
  expect(refused(bomb)[0]).toContain("not valid YAML");
  expect(refused("[".repeat(100_000)).length).toBeGreaterThan(0);
  expect(refused("a: !!binary x\nb: !unknown y\n").length).toBeGreaterThan(0);
  expect(refused("\u0000\u0001").length).toBeGreaterThan(0);
});
