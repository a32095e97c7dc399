import { expect, test } from "vitest";

import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import { accountOf } from "./traffic.ts";

const entries = { username: "app", password: "secret", "ca.crt": "PEM" };
const objects: Readonly<Record<string, object>> = {
  "v1 Secret shop/mail-app": {
    data: Object.fromEntries(
      Object.entries(entries).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
    ),
  },
  "smtprelay.dev/v1alpha1 SmtpRelay shop/mail": { spec: { hostname: "mail.shop.test" } },
};
const api = {
  get: async (apiVersion: string, kind: string, name: string, namespace?: string) =>
    (objects[`${apiVersion} ${kind} ${namespace}/${name}`] ?? null) as KubeObject | null,
};

test("an application is told what its relay's Secret and manifest say", async () => {
  expect(await accountOf(api, "shop")).toEqual({
    username: "app",
    password: "secret",
    certificate: "PEM",
    hostname: "mail.shop.test",
  });
});
