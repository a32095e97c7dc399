/** `smtp-relay-operator run`: real ports, signals and exit code around cluster mode. */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";

import { systemClock } from "../../relay/kit/clock.ts";
import { createLog } from "../../relay/kit/log.ts";
import { systemRandom } from "../../relay/kit/random.ts";
import type { ApiAccess } from "../adapters/cluster/access.ts";
import { inClusterAccess, insideCluster, podNamespace } from "../adapters/cluster/inClusterAccess.ts";
import { kubeConfigAccess } from "../adapters/cluster/kubeConfigAccess.ts";
import { createDnsProbe } from "../adapters/dnsProbe.ts";
import { createKeyGenerator } from "../adapters/keyGenerator.ts";
import { createReportSource } from "../adapters/relayReports.ts";
import { CLUSTER_RHYTHM } from "../world.ts";
import type { RunOptions } from "./commandLine.ts";
import { type ClusterMode, startClusterMode } from "./clusterMode.ts";

/** What mail from a real place must never be led to: this machine and its neighbours on the wire. */
const notOutside = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/128", "::1/128", "fe80::/10"];
const DEFAULT_NAMESPACE = "default";

/** Runs until a signal or until leadership is lost. Resolves with the exit code. */
export async function runInCluster(options: RunOptions): Promise<number> {
  const clock = systemClock;
  const log = createLog({
    clock,
    level: options.logLevel,
    privacy: () => "Hashed",
    write: (line) => process.stderr.write(line),
  });
  // Heard from the first moment on, so that a stop during the start is a stop too.
  const told = signalled();
  let mode: ClusterMode;
  try {
    mode = await startClusterMode({
      access: await accessFor(options),
      clock,
      random: systemRandom,
      log,
      environment: {
        relayImage: options.relayImage,
        dnsServers: [],
        deliveryPort: options.deliveryPort,
        bindSourceAddresses: false,
        forbiddenNetworks: notOutside,
        submissionHost: null,
        submissionPorts: {},
        operatorNamespace: await podNamespace(),
        ...CLUSTER_RHYTHM,
      },
      reports: createReportSource({ clock }),
      dns: createDnsProbe({ clock, random: systemRandom }),
      keys: createKeyGenerator({ clock }),
      namespaces: options.namespaces,
      lease: options.leaderElect
        ? {
            namespace: options.leaseNamespace ?? (await podNamespace()) ?? DEFAULT_NAMESPACE,
            name: options.leaseName,
            identity: `${hostname()}_${randomUUID()}`,
          }
        : null,
      instance: hostname(),
      status: { port: options.metricsPort },
    });
  } catch (error) {
    log.error("cannot start", { error });
    return 1;
  }
  log.info("started", {
    statusPort: mode.statusPort,
    namespaces: options.namespaces ?? "all",
    leaderElect: options.leaderElect,
  });
  const why = await Promise.race([told, mode.ended]);
  log.info("stopping", { why });
  await mode.stop();
  return stops.some((signal) => signal === why) ? 0 : 1;
}

const stops = ["SIGTERM", "SIGINT"] as const;

function signalled(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of stops) process.once(signal, () => resolve(signal));
  });
}

async function accessFor({ kubeconfig, context }: RunOptions): Promise<ApiAccess> {
  if (kubeconfig === null && context === null && insideCluster(process.env)) {
    return inClusterAccess(process.env);
  }
  return await kubeConfigAccess({
    ...(kubeconfig === null ? {} : { file: kubeconfig }),
    ...(context === null ? {} : { context }),
  });
}
