import { connect, createServer } from "node:net";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import type { KubeObject } from "../adapters/kubeClient.ts";
import { Notes } from "./notes.ts";
import { readyEndpoints, ServicePorts } from "./servicePorts.ts";

const wanted = { namespace: "default", relay: "mail", port: 587 };

function service(name: string, spec: object): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name,
      namespace: "default",
      ownerReferences: [{ apiVersion: "x", kind: "SmtpRelay", name: "mail", uid: "1", controller: true }],
    },
    spec: { selector: { app: "relay" }, ...spec },
  };
}
function pod(
  name: string,
  more: { ready?: boolean; shift?: string; app?: string; leaving?: boolean } = {},
): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "default",
      labels: { app: more.app ?? "relay" },
      annotations: { "local.smtprelay.dev/port-shift": more.shift ?? "0" },
      ...(more.leaving === true ? { deletionTimestamp: "2026-11-23T12:00:00Z" } : {}),
    },
    spec: { containers: [{ ports: [{ name: "submission", containerPort: 1587 }] }] },
    status: {
      podIP: "127.0.1.1",
      conditions: [{ type: "Ready", status: more.ready === false ? "False" : "True" }],
    },
  };
}
const client = service("mail", { ports: [{ port: 587, targetPort: 1587 }] });

test("ready pods of the Service are where connections go, at their own shift", () => {
  const pods = [
    pod("mail-1", { shift: "10000" }),
    pod("mail-0"),
    pod("mail-2", { ready: false }),
    pod("other", { app: "x" }),
  ];

  expect(readyEndpoints(wanted, [client], pods)).toEqual([
    { host: "127.0.1.1", port: 1587 },
    { host: "127.0.1.1", port: 11_587 },
  ]);
});

test.each([
  ["a pod on its way out", [client], [pod("mail-0", { leaving: true })]],
  ["a headless Service", [service("pods", { clusterIP: "None", ports: [{ port: 587 }] })], [pod("mail-0")]],
  ["a Service without that port", [service("mail", { ports: [{ port: 465 }] })], [pod("mail-0")]],
  [
    "a Service without a selector",
    [service("mail", { selector: {}, ports: [{ port: 587 }] })],
    [pod("mail-0")],
  ],
  ["no Service", [], [pod("mail-0")]],
])("%s gives nowhere to go", (_, services, pods) => {
  expect(readyEndpoints(wanted, services, pods)).toEqual([]);
});

test("a target port may be a name", () => {
  const named = service("mail", { ports: [{ port: 587, targetPort: "submission" }] });

  expect(readyEndpoints(wanted, [named], [pod("mail-0")])).toEqual([{ host: "127.0.1.1", port: 1587 }]);
});

let folder: string;
const opened: ServicePorts[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ports-"));
});
afterEach(() => {
  for (const ports of opened.splice(0)) ports.destroy();
  rmSync(folder, { recursive: true, force: true });
});
function servicePorts(): ServicePorts {
  const ports = new ServicePorts({ notes: new Notes(join(folder, "local.json")), endpoints: () => [] });
  opened.push(ports);
  return ports;
}

test("a port that is taken is passed over, named, and the choice is kept for the next start", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const first = servicePorts();
  await first.want([{ ...wanted, port }]);
  const [chosen] = first.open;
  expect(chosen).toMatchObject({ plannedPort: port });
  expect(chosen?.localPort).toBeGreaterThan(port);

  first.destroy();
  taken.close();
  await once(taken, "close");
  const second = servicePorts();
  await second.want([{ ...wanted, port }]);
  expect(second.open).toMatchObject([{ localPort: chosen?.localPort }]);
});

test("a port nobody wants any more is closed", async () => {
  const ports = servicePorts();
  await ports.want([{ ...wanted, port: 23_587 }]);
  const localPort = ports.open[0]?.localPort ?? 0;
  ports.closeAllBut([]);

  expect(ports.open).toEqual([]);
  const [error] = (await once(connect(localPort, "127.0.0.1"), "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNREFUSED");
});
