import { expect, test } from "vitest";

import {
  containerEnvironment,
  containerPorts,
  httpProbe,
  readStatefulSetSpec,
  secretMounts,
} from "./podTemplate.ts";

const container = {
  name: "relay",
  env: [
    { name: "SMTP_RELAY_POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
    { name: "NODE", valueFrom: { fieldRef: { fieldPath: "metadata.labels['zone']" } } },
    { name: "SMTP_RELAY_CONFIG_DIR", value: "/etc/smtp-relay" },
    { name: "SMTP_RELAY_SPOOL_DIR", value: "/var/spool/smtp-relay/queue" },
    { name: "OTHER", value: "/etc/smtp-relay-other" },
  ],
  ports: [{ name: "status", containerPort: 8025 }, { containerPort: 1587 }],
  volumeMounts: [
    { name: "config", mountPath: "/etc/smtp-relay" },
    { name: "spool", mountPath: "/var/spool/smtp-relay" },
  ],
  livenessProbe: { httpGet: { path: "/healthz", port: "status" } },
};
function template(volumes: object[] = [], more: object = {}) {
  return readStatefulSetSpec({
    template: {
      metadata: { labels: { zone: "a" } },
      spec: { containers: [{ ...container, ...more }], volumes },
    },
  }).template;
}
const facts = {
  namespace: "default",
  name: "mail-0",
  uid: "u",
  ip: "127.0.1.1",
  portShift: 20,
  folders: new Map([
    ["config", "/state/config"],
    ["spool", "/state/spool"],
  ]),
  adminSocket: "/state/admin.sock",
};

test("the environment names folders of this machine, and where to listen", () => {
  expect(containerEnvironment(template(), facts)).toEqual({
    SMTP_RELAY_POD: "mail-0",
    NODE: "a",
    SMTP_RELAY_CONFIG_DIR: "/state/config",
    SMTP_RELAY_SPOOL_DIR: "/state/spool/queue",
    OTHER: "/etc/smtp-relay-other",
    SMTP_RELAY_BIND: "127.0.1.1",
    SMTP_RELAY_PORT_SHIFT: "20",
    SMTP_RELAY_ADMIN_SOCKET: "/state/admin.sock",
  });
});

test("Secrets are mounted whole or by items, also projected", () => {
  const volumes = [
    { name: "config", secret: { secretName: "mail-runtime" } },
    { name: "both", projected: { sources: [{ secret: { name: "tls", items: [{ key: "a", path: "b" }] } }] } },
    { name: "tmp", emptyDir: {} },
  ];

  expect(secretMounts(template(volumes))).toEqual([
    { volume: "config", secretName: "mail-runtime", items: null, optional: false },
    { volume: "both", secretName: "tls", items: [{ key: "a", path: "b" }], optional: false },
  ]);
});

test("ports and probes are read, by number or by name", () => {
  expect(containerPorts(template())).toEqual([8025, 1587]);
  expect(httpProbe(template(), "livenessProbe")).toEqual({
    path: "/healthz",
    port: 8025,
    failureThreshold: 3,
  });
  expect(httpProbe(template(), "readinessProbe")).toBeNull();
});

test("what cannot be given here is refused by name", () => {
  expect(() => secretMounts(template([{ name: "host", hostPath: { path: "/" } }]))).toThrow(
    "volume host: local mode gives",
  );
  expect(() =>
    containerEnvironment(template([], { env: [{ name: "X", valueFrom: { secretKeyRef: {} } }] }), facts),
  ).toThrow("env X: local mode resolves value and fieldRef only");
  expect(() => readStatefulSetSpec({ template: { spec: { containers: [] } } })).toThrow(
    /spec\.template\.spec\.containers/,
  );
});
