/**
 * Local mode, wired: the controllers over an in-memory cluster that is kept on disk, fed from a folder of
 * manifests, with relays as processes of this machine.
 *
 *   folder → gitops → cluster ⇄ operator
 *                        ↓
 *              statefulSets → relay processes ← servicePorts ← clients
 *
 * Started in this order and stopped in the reverse one, so that a relay is asked to finish while clients
 * are already turned away and nobody gives it new work.
 */
import { dirname, extname, join } from "node:path";

import { parseIpPool, parseSendingDomain, parseSmtpRelay } from "../../crds/parse.ts";
import { relayNodeOptions, STATUS_PORT } from "../../relay/contract/endpoints.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import { Lifecycle } from "../../relay/kit/lifecycle.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import { createDnsProbe } from "../adapters/dnsProbe.ts";
import { createKeyGenerator } from "../adapters/keyGenerator.ts";
import type { ApplyObject, KubeObject, ResourceType } from "../adapters/kubeClient.ts";
import { createMemoryCluster } from "../adapters/memory/memoryCluster.ts";
import { createReportSource } from "../adapters/relayReports.ts";
import { resources } from "../resources.ts";
import { startOperator } from "../start.ts";
import type { Environment } from "../world.ts";
import { ClusterStore } from "./clusterStore.ts";
import { exportObjects } from "./exports.ts";
import { type Following, follow } from "./follow.ts";
import { watchFolder } from "./folder.ts";
import { GitOps, type GitOpsOutcome } from "./gitops.ts";
import { keepLogsBounded } from "./logs.ts";
import {
  asOutcome,
  type DnsChoice,
  probeThrough,
  everySoOften,
  forbiddenNetworks,
  judgeAsServer,
  listenersOf,
  openZone,
  RefusedAtStart,
  resolversOf,
} from "./localParts.ts";
import { Notes } from "./notes.ts";
import { stopOrphans } from "./orphans.ts";
import type { LocalPod } from "./pod.ts";
import { PodAddresses } from "./podAddresses.ts";
import { zonesOf } from "./publish.ts";
import { type OpenPort, readyEndpoints, ServicePorts } from "./servicePorts.ts";
import { adaptSourceAddresses } from "./sourceAddresses.ts";
import { lockStateFolder, StateFolder } from "./stateFolder.ts";
import { playStatefulSets } from "./statefulSets.ts";
import type { Shown } from "./statusTable.ts";
import { hasLoopbackRange } from "./tcpPorts.ts";
import type { ZoneServer } from "./zoneServer.ts";

export interface LocalModeOptions {
  readonly folder: string;
  readonly state: string;
  readonly dns: DnsChoice;
  /** Port of receiving MX hosts. */
  readonly deliveryPort: number;
  /** Tell pods apart by ports even where the whole loopback range is up. */
  readonly singleAddress: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Told of every outcome of a change in the folder, the first one excepted. */
  readonly onOutcome: (outcome: GitOpsOutcome) => void;
}

export interface LocalMode {
  readonly state: StateFolder;
  readonly zone: ZoneServer | null;
  /** False: only 127.0.0.1 is up, mail leaves from there whatever the pool says. */
  readonly loopbackRange: boolean;
  /** Names of pods a killed predecessor had left running. */
  readonly orphans: readonly string[];
  readonly firstOutcome: GitOpsOutcome;
  objects(): readonly Shown[];
  pods(): readonly LocalPod[];
  ports(): readonly OpenPort[];
  secret(namespace: string, name: string): KubeObject | undefined;
  /** Called whenever an object or a pod changed; the result ends that. */
  onChange(listener: () => void): () => void;
  /** Ends in order; every message in flight is finished or returned to the queue. */
  stop(): Promise<void>;
  /** Ends the relays at once; what was in flight is tried again at the next start. */
  kill(): void;
}

/** TypeScript in the repository, JavaScript in the image. */
const relayProgram = join(import.meta.dirname, "..", "..", "relay", `main${extname(import.meta.filename)}`);

/**
 * Rejects when it cannot start, with a sentence for the person: the state folder is in use, the folder is
 * refused and nothing ran before.
 */
export async function startLocalMode(options: LocalModeOptions): Promise<LocalMode> {
  const { clock, log } = options;
  const lifecycle = new Lifecycle({ clock, log });
  try {
    return await start(options, lifecycle);
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }
}

async function start(options: LocalModeOptions, lifecycle: Lifecycle): Promise<LocalMode> {
  const { clock, random, log } = options;
  const state = new StateFolder(options.state);
  const started = (name: string, deadlineSeconds: number, stop: () => Promise<void> | void) =>
    lifecycle.started({ name, deadlineSeconds, stop });

  const lock = lockStateFolder(state);
  started("lock", 1, () => lock.release());
  const orphans = await stopOrphans(state.pods, clock);
  const notes = new Notes(state.notes);
  const loopbackRange = !options.singleAddress && (await hasLoopbackRange());
  const zone = options.dns.kind === "loopback" ? await openZone(notes) : null;
  if (zone !== null) started("zone", 2, () => zone.close());

  const store = new ClusterStore(state.cluster);
  const restored = store.load();
  const admit = (object: KubeObject, old: KubeObject | null) => judgeAsServer(object, old);
  const cluster = createMemoryCluster({
    clock,
    random,
    admit,
    persist: (write) => store.persist(write),
    ...(restored === undefined ? {} : { restored }),
  });
  const listeners = new Set<() => void>();
  const changed = () => {
    for (const listener of listeners) listener();
  };
  const extraRecords = options.dns.kind === "loopback" ? options.dns.records : [];
  let publish = () => {};
  const customChanged = () => {
    // At once: the operator asks for a record as soon as it has put it into status.
    publish();
    changed();
  };
  const context = { client: cluster, clock, random, log };
  const followed: Following[] = [];
  const followKind = async (type: ResourceType, onChange: () => void = changed) => {
    const following = await follow(context, type, onChange);
    followed.push(following);
    return following;
  };
  started("followers", 2, async () => {
    await Promise.all(followed.map((following) => following.stop()));
  });
  const [relays, domains, pools] = await Promise.all([
    followKind(resources.smtpRelays, customChanged),
    followKind(resources.sendingDomains, customChanged),
    followKind(resources.ipPools, customChanged),
  ]);
  const [secrets, services, pods] = await Promise.all([
    followKind(resources.secrets),
    followKind(resources.services),
    followKind(resources.pods),
  ]);
  const objects = (): Shown[] => [
    ...relays.all().map(parseSmtpRelay),
    ...domains.all().map(parseSendingDomain),
    ...pools.all().map(parseIpPool),
  ];

  publish = () => zone?.publish(zonesOf(objects(), extraRecords));

  const ports = new ServicePorts({
    notes,
    endpoints: (wanted) => readyEndpoints(wanted, services.all(), pods.all()),
  });
  started("ports", 1, () => ports.destroy());
  const submissionPorts: Record<number, number> = {};
  const environment: Environment = {
    relayImage: "local",
    dnsServers: resolversOf(options.dns, zone),
    deliveryPort: options.deliveryPort,
    bindSourceAddresses: true,
    forbiddenNetworks: forbiddenNetworks(options.dns),
    submissionHost: "127.0.0.1",
    submissionPorts,
    // Nobody else shares this API server, and somebody watches the table.
    reportSeconds: 3,
    figuresSeconds: 3,
  };
  const prepare = async (wished: readonly (ApplyObject | KubeObject)[]) => {
    const wanted = listenersOf(wished);
    await ports.want(wanted);
    for (const { port, localPort } of ports.open) submissionPorts[port] = localPort;
    ports.closeAllBut(wanted);
  };

  const gitops = new GitOps({
    folder: options.folder,
    client: cluster,
    trial: () => createMemoryCluster({ clock, random, admit, restored: cluster.snapshot() }),
    prepare,
    refusalsFile: state.refusals,
  });
  // Watching begins before the first look, so that no save falls between the two.
  let stopping = false;
  const first = Promise.withResolvers<void>();
  const watching = await watchFolder({
    folder: options.folder,
    clock,
    onChange: async () => {
      await first.promise;
      if (stopping) return;
      options.onOutcome(await gitops.apply().catch(asOutcome));
    },
  });
  started("folder", 1, () => watching.stop());
  const firstOutcome = await gitops.apply();
  if (firstOutcome.kind === "refused") {
    const inForce = await gitops.inForce();
    if (inForce.length === 0) throw new RefusedAtStart(options.folder, firstOutcome.lines);
    await prepare(inForce);
  }

  publish();

  const sets = await playStatefulSets({
    ...context,
    state,
    addresses: new PodAddresses({
      notes,
      range: loopbackRange,
      owner: state.root,
      reserved: () =>
        new Set(pools.all().flatMap((pool) => parseIpPool(pool).spec.addresses.map(({ ip }) => ip))),
    }),
    adaptFile: adaptSourceAddresses(loopbackRange),
    command: [process.execPath, ...relayNodeOptions, relayProgram],
    onChange: changed,
  });
  const operator = startOperator({
    ...context,
    environment,
    reports: createReportSource({
      clock,
      endpoint: ({ namespace, name }) => {
        const pod = sets
          .pods()
          .find(({ identity }) => identity.namespace === namespace && identity.name === name);
        return pod === undefined || pod.place === null
          ? null
          : { host: pod.place.ip, port: STATUS_PORT + pod.place.portShift };
      },
    }),
    dns: createDnsProbe({ clock, random, ...probeThrough(options.dns, zone) }),
    keys: createKeyGenerator({ clock }),
    namespaces: null,
  });
  // The longest grace a template asks for is the pod's own affair; this is the end of patience.
  started("relays", 3600, () => sets.stop());
  started("operator", 35, () => operator.stop());
  started("new connections", 1, () => ports.stopAccepting());
  await operator.synced;
  started("logs", 1, keepLogsBounded(dirname(state.log("default", "any")), clock));

  const exporting = everySoOften(clock, () => {
    exportObjects(state, [...relays.all(), ...domains.all(), ...pools.all()], (namespace, name) =>
      secrets.get({ namespace, name }),
    );
  });
  listeners.add(exporting.ask);
  exporting.ask();
  started("exports", 1, () => exporting.stop());
  first.resolve();

  return {
    state,
    zone,
    loopbackRange,
    orphans,
    firstOutcome,
    objects,
    pods: () => sets.pods(),
    ports: () => ports.open,
    secret: (namespace, name) => secrets.get({ namespace, name }),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stop: () => {
      stopping = true;
      return lifecycle.stop();
    },
    kill: () => {
      sets.kill();
      lock.release();
    },
  };
}
