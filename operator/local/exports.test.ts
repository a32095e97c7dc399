import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import type { KubeObject } from "../adapters/kubeClient.ts";
import { exportObjects } from "./exports.ts";
import { StateFolder } from "./stateFolder.ts";

let state: StateFolder;
beforeEach(() => {
  state = new StateFolder(mkdtempSync(join(tmpdir(), "exports-")));
});
afterEach(() => rmSync(state.root, { recursive: true, force: true }));

const relay: KubeObject = {
  apiVersion: "smtprelay.dev/v1alpha1",
  kind: "SmtpRelay",
  metadata: { name: "mail", namespace: "default", generation: 2, creationTimestamp: "2026-11-23T12:00:00Z" },
  spec: { hostname: "mail.example.test" },
  status: { ready: "2/2", credentials: [{ name: "app", secretName: "mail-app", state: "Ready" }] },
};
const secret: KubeObject = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "mail-app", namespace: "default" },
  data: { password: Buffer.from("open sesame").toString("base64") },
};
const find = (_: string, name: string) => (name === "mail-app" ? secret : undefined);
const password = () => join(state.secrets, "mail-app", "password");

test("status is there as YAML, credentials as files only the owner reads", () => {
  exportObjects(state, [relay], find);

  expect(readFileSync(join(state.status, "SmtpRelay.mail.yaml"), "utf8")).toBe(
    "apiVersion: smtprelay.dev/v1alpha1\nkind: SmtpRelay\nmetadata:\n  name: mail\n  namespace: default\n  generation: 2\n  creationTimestamp: 2026-11-23T12:00:00Z\nstatus:\n  ready: 2/2\n  credentials:\n    - name: app\n      secretName: mail-app\n      state: Ready\n",
  );
  expect(readFileSync(password(), "utf8")).toBe("open sesame");
  expect(statSync(password()).mode & 0o777).toBe(0o600);
});

test("what is gone from the cluster goes from the folders; what is not ours stays", () => {
  exportObjects(state, [relay], find);
  writeFileSync(state.refusals, "relay.yaml:1: no");
  exportObjects(state, [], find);

  expect(existsSync(join(state.status, "SmtpRelay.mail.yaml"))).toBe(false);
  expect(existsSync(join(state.secrets, "mail-app"))).toBe(false);
  expect(existsSync(state.refusals)).toBe(true);
});

test("what did not change is not written again", () => {
  exportObjects(state, [relay], find);
  const before = statSync(password()).ino;
  exportObjects(state, [relay], find);

  expect(statSync(password()).ino).toBe(before);
});
