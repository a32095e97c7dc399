/**
 * The operator as `smtp-relay-operator run` starts it, but for the facts of the place: here name server, receiving
 * server and pods are on loopback. Its one argument is an OperatorPlace as JSON. Ends as `run` does: 0 after a
 * signal, 1 when leadership was lost.
 */
import { hostname } from "node:os";

import { startClusterMode } from "../../../operator/cluster/clusterMode.ts";
import { kubeConfigAccess } from "../../../operator/adapters/cluster/kubeConfigAccess.ts";
import { createDnsProbe } from "../../../operator/adapters/dnsProbe.ts";
import { createKeyGenerator } from "../../../operator/adapters/keyGenerator.ts";
import { createReportSource } from "../../../operator/adapters/relayReports.ts";
import { CLUSTER_RHYTHM } from "../../../operator/world.ts";
import { systemClock as clock } from "../../../relay/kit/clock.ts";
import { createLog } from "../../../relay/kit/log.ts";
import { systemRandom as random } from "../../../relay/kit/random.ts";

export interface OperatorPlace {
  readonly kubeconfig: string;
  /** "address:port", authoritative for all. */
  readonly dns: string;
  readonly deliveryPort: number;
  /** Null: all. */
  readonly namespaces: readonly string[] | null;
  /** Null: no election. */
  readonly lease: { readonly namespace: string; readonly name: string } | null;
  readonly statusPort: number;
}

const place = JSON.parse(process.argv[2] ?? "") as OperatorPlace;
const told = new Promise<number>((resolve) => {
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => resolve(0));
});
const log = createLog({
  clock,
  level: "info",
  privacy: () => "Hashed",
  write: (line) => process.stderr.write(line),
});
const mode = await startClusterMode({
  access: await kubeConfigAccess({ file: place.kubeconfig }),
  clock,
  random,
  log,
  environment: {
    relayImage: "registry.example.com/smtp-relay:test",
    dnsServers: [place.dns],
    deliveryPort: place.deliveryPort,
    bindSourceAddresses: false,
    forbiddenNetworks: [],
    submissionHost: null,
    submissionPorts: {},
    operatorNamespace: null,
    ...CLUSTER_RHYTHM,
  },
  reports: createReportSource({ clock }),
  dns: createDnsProbe({ clock, random, direct: place.dns }),
  keys: createKeyGenerator({ clock }),
  namespaces: place.namespaces,
  lease: place.lease === null ? null : { ...place.lease, identity: `${hostname()}_${process.pid}` },
  instance: hostname(),
  status: { host: "127.0.0.1", port: place.statusPort },
});
log.info("started", { statusPort: mode.statusPort });
process.exitCode = await Promise.race([told, mode.ended.then(() => 1)]);
log.info("stopping", { exitCode: process.exitCode });
await mode.stop();
